//! What a proxy wrote about a call, read: a line of its access log, or the response code details of a 401 or 403.

use chrono::{DateTime, Utc};
use heddle_model::id::AccessRuleId;
use heddle_translate::naming;
use serde_json::{Map, Value};

/// What stands in the response code details before the policy that decided.
const DENIED: &str = "rbac_access_denied_matched_policy[";
/// What stands there before the reason for which a token does not count.
const UNFIT: &str = "jwt_authn_access_denied{";
/// The reason when there is no token.
const MISSING: &str = "Jwt_is_missing";

/// Why a proxy refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// This rule said so.
    ByRule(AccessRuleId),
    /// No rule let it in.
    ByNone,
    /// Some servers take its path for another one.
    Disguised,
    /// The service that calls is revoked.
    Revoked,
    /// It carries no token of an end user that counts.
    NoToken,
    /// Its token does not hold.
    UnfitToken,
    /// It says itself what only a token can say.
    ForgedClaims,
}

/// What is said about a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// When it came, by the proxy's clock.
    pub(super) at: Option<DateTime<Utc>>,
    /// Why it was refused; `None` when access rules let it through.
    pub(super) denied: Option<Denied>,
    /// The rule that only reports and would have denied it.
    pub(super) would_deny: Option<AccessRuleId>,
    /// The rule that only reports and would have allowed it.
    pub(super) would_allow: Option<AccessRuleId>,
}

/// Reads what somebody pasted.
///
/// # Errors
/// What is wrong with it, in sentences that do not repeat it.
pub(super) fn read(text: &str) -> Result<Line, Vec<String>> {
    match object(text) {
        Some(line) => read_line(&line),
        None => match denied(text) {
            Some(Ok(denied)) => Ok(Line {
                denied: Some(denied),
                ..Line::default()
            }),
            Some(Err(wrong)) => Err(vec![wrong]),
            None => Err(vec![format!(
                "neither a line of an access log as JSON, nor `{DENIED}...]` or `{UNFIT}...}}`"
            )]),
        },
    }
}

/// The object in a text; what collects logs puts the name of a container and the like before it.
fn object(text: &str) -> Option<Map<String, Value>> {
    let json = text.get(text.find('{')?..=text.rfind('}')?)?;
    serde_json::from_str(json).ok()
}

/// The policy that refused, where the text names one.
fn denied(text: &str) -> Option<Result<Denied, String>> {
    if let Some((_, reason)) = text.split_once(UNFIT) {
        return Some(Ok(match reason.starts_with(MISSING) {
            true => Denied::NoToken,
            false => Denied::UnfitToken,
        }));
    }
    let (_, rest) = text.split_once(DENIED)?;
    let Some((policy, _)) = rest.split_once(']') else {
        return Some(Err(String::from("the name of the policy has no end")));
    };
    Some(match policy {
        "none" => Ok(Denied::ByNone),
        naming::DOT_SEGMENTS => Ok(Denied::Disguised),
        naming::REVOKED => Ok(Denied::Revoked),
        naming::NO_TOKEN => Ok(Denied::NoToken),
        naming::FORGED_CLAIMS => Ok(Denied::ForgedClaims),
        naming::UNFIT_CLAIMS => Ok(Denied::UnfitToken),
        policy => match policy.parse() {
            Ok(id) => Ok(Denied::ByRule(id)),
            Err(_) => Err(String::from(
                "the policy that refused the call is not an access rule of Heddle's",
            )),
        },
    })
}

fn read_line(line: &Map<String, Value>) -> Result<Line, Vec<String>> {
    let text = |field: &str| line.get(field).and_then(Value::as_str);
    let mut wrong = Vec::new();
    let mut read = Line {
        at: text("time")
            .and_then(|time| DateTime::parse_from_rfc3339(time).ok())
            .map(|time| time.to_utc()),
        ..Line::default()
    };
    let details = text("response_code_details").unwrap_or_default();
    match denied(details) {
        Some(Ok(denied)) => read.denied = Some(denied),
        Some(Err(problem)) => wrong.push(problem),
        None if text("direction") == Some("outbound") => wrong.push(String::from(
            "this line is of the caller's proxy: the one of the called service, with `\"direction\":\"inbound\"`, says why",
        )),
        // Whatever went on to the application, or tried to, has passed the rules.
        None if details == "via_upstream" || details.starts_with("upstream_") => {}
        None => wrong.push(String::from(
            "`response_code_details` says nothing about access rules: the call ended for another reason",
        )),
    }
    let mut reported = |field: &str| {
        let id = text(field)?.parse();
        if id.is_err() {
            wrong.push(format!("`{field}` is not the identifier of an access rule"));
        }
        id.ok()
    };
    read.would_deny = reported("would_deny");
    read.would_allow = reported("would_allow");
    if wrong.is_empty() {
        Ok(read)
    } else {
        Err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id() -> AccessRuleId {
        AccessRuleId::from_uuid(uuid::Uuid::from_u128(7))
    }

    #[test]
    fn details_name_who_refused_wherever_they_stand() {
        let rule = format!("{DENIED}{}]", id());
        let prefixed = format!("payments-1  | {}", json!({"response_code_details": rule}));
        for text in [rule.clone(), format!("403 {rule} GET /x"), prefixed] {
            assert_eq!(
                read(&text).unwrap().denied,
                Some(Denied::ByRule(id())),
                "{text}"
            );
        }
        let none = read(&format!("{DENIED}none]")).unwrap();
        assert_eq!(none.denied, Some(Denied::ByNone));
        let dots = read(&format!("{DENIED}heddle/dot-segments]")).unwrap();
        assert_eq!(dots.denied, Some(Denied::Disguised));
        for (details, denied) in [
            (format!("{DENIED}heddle/no-token]"), Denied::NoToken),
            (
                format!("{DENIED}heddle/forged-claims]"),
                Denied::ForgedClaims,
            ),
            (format!("{DENIED}heddle/unfit-claims]"), Denied::UnfitToken),
            (format!("{UNFIT}Jwt_is_missing}}"), Denied::NoToken),
            (format!("{UNFIT}Jwt_is_expired}}"), Denied::UnfitToken),
        ] {
            assert_eq!(read(&details).unwrap().denied, Some(denied), "{details}");
        }
    }

    #[test]
    fn a_line_says_when_it_was_and_which_rules_only_report() {
        let line = json!({
            "time": "2026-11-26T12:00:00.123Z",
            "direction": "inbound",
            "response_code_details": "via_upstream",
            "would_deny": id().to_string(),
            "would_allow": null,
        });
        let line = read(&line.to_string()).unwrap();
        assert_eq!(
            line.at.unwrap().to_rfc3339(),
            "2026-11-26T12:00:00.123+00:00"
        );
        assert_eq!((line.denied, line.would_allow), (None, None));
        assert_eq!(line.would_deny, Some(id()));
    }

    #[test]
    fn what_says_nothing_about_rules_is_refused_with_every_reason() {
        let wrong = |line: Value| read(&line.to_string()).unwrap_err().len();
        assert_eq!(wrong(json!("403")), 1);
        assert_eq!(wrong(json!({})), 1);
        assert_eq!(wrong(json!({"response_code_details": DENIED})), 1);
        let other = format!("{DENIED}someone-else]");
        assert_eq!(
            wrong(json!({"response_code_details": other, "would_deny": "x", "would_allow": "y"})),
            3
        );
        // The 403 that the caller's proxy passes on came from the other side.
        let passed_on = json!({"direction": "outbound", "response_code_details": "via_upstream"});
        assert_eq!(wrong(passed_on), 1);
        let early =
            json!({"direction": "inbound", "response_code_details": "path_normalization_failed"});
        assert_eq!(wrong(early), 1);
    }
}
