//! The messages of reports, as far as they are read, and what a record says. Everything in them is text from outside.

use std::net::IpAddr;

use heddle_model::id::AccessRuleId;
use heddle_model::name::Name;

use crate::source::{Observed, Sighting, Times};
use crate::telemetry::Outcome;

/// The longest name of a caller, in bytes.
const CALLER: usize = 300;
/// How many attributes of a record are looked at: twice as many as ours have.
const ATTRIBUTES: usize = 16;
/// What Envoy writes where there is nothing.
const NOTHING: &str = "-";

/// `ExportLogsServiceRequest` of OpenTelemetry.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Scope {
    #[prost(message, repeated, tag = "2")]
    records: Vec<Record>,
}

/// `LogRecord`: its attributes are ours.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Record {
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Text>,
}

/// `AnyValue`, when it is a text.
#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// `HealthCheckRequest` of gRPC: nobody asks for one service among several.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Check {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse` of gRPC, and, without a status, `ExportLogsServiceResponse` of OpenTelemetry.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl Answer {
    pub(super) const SERVING: Self = Self { status: 1 };
    pub(super) const TAKEN: Self = Self { status: 0 };
}

impl Export {
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        let scopes = self.resources.iter().flat_map(|one| &one.scopes);
        scopes.flat_map(|one| &one.records)
    }
}

impl Record {
    /// What it says; empty where there is nothing.
    fn get(&self, key: &str) -> &str {
        let mut all = self.attributes.iter().take(ATTRIBUTES);
        let found = all.find(|one| one.key == key);
        let text = found.and_then(|one| one.value.as_ref());
        let text = text.map_or("", |value| value.text.as_str());
        if text == NOTHING { "" } else { text }
    }

    /// Whom a proxy of this service saw by it.
    pub(super) fn read(&self, own: &Name) -> Result<Vec<(Sighting, Times)>, Outcome> {
        let malformed = Outcome::Malformed;
        if self.get("service") != own.as_str() {
            return Err(Outcome::Foreign);
        }
        let port: Name = self.get("port").parse().map_err(|_| malformed)?;
        let from: IpAddr = self.get("from").parse().map_err(|_| malformed)?;
        let from = from.to_canonical().to_string();
        let plain = match self.get("plain") {
            "" => None,
            "true" => Some(Observed::PlainText),
            _ => return Err(malformed),
        };
        let rule: Option<AccessRuleId> = match self.get("rule") {
            "" => None,
            rule => Some(rule.parse().map_err(|_| malformed)?),
        };
        let answer = self.get("answer");
        let refused = ["rbac_access_denied", "jwt_authn_access_denied"]
            .into_iter()
            .any(|why| answer.starts_with(why));
        let times = match self.get("type") {
            "DownstreamEnd" => Times {
                requests: 1,
                refused: u64::from(refused),
            },
            // It goes on; that it was there is enough.
            "DownstreamPeriodic" => Times::default(),
            _ => return Err(malformed),
        };
        let caller = match self.get("peer") {
            "" => from.clone(),
            peer => name(peer).ok_or(malformed)?,
        };
        let sighting = |what, caller| {
            let (service, port) = (own.clone(), port.clone());
            let sighting = Sighting {
                service,
                port,
                what,
                caller,
            };
            (sighting, times)
        };
        let plain = plain.map(|what| sighting(what, from));
        let rule = rule.map(|rule| sighting(Observed::WouldDeny(rule), caller));
        Ok(plain.into_iter().chain(rule).collect())
    }
}

/// A SPIFFE id, as far as it matters here. Of several URIs in a certificate none is.
fn name(peer: &str) -> Option<String> {
    let fits = peer.starts_with("spiffe://") && peer.len() <= CALLER;
    let plain = peer.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    (fits && plain).then(|| peer.to_owned())
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    const RULE: &str = "ar_01jdbg8ehwfdftt7h57xet4v7y";

    fn record(pairs: &[(&str, &str)]) -> Record {
        let usual = [
            ("service", "payments"),
            ("port", "http"),
            ("plain", "true"),
            ("from", "::ffff:10.0.0.7"),
            ("peer", "-"),
            ("rule", "-"),
            ("answer", "via_upstream"),
            ("type", "DownstreamEnd"),
        ];
        let value = |key: &str, usual: &str| {
            let own = pairs.iter().find(|(own, _)| *own == key);
            own.map_or(usual, |(_, value)| value).to_owned()
        };
        let attributes = usual.into_iter().map(|(key, usual)| Attribute {
            key: key.to_owned(),
            value: Some(Text {
                text: value(key, usual),
            }),
        });
        Record {
            attributes: attributes.collect(),
        }
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Vec<String>, Outcome> {
        let seen = record(pairs).read(&"payments".parse().unwrap())?;
        let seen = seen.into_iter().map(|(at, times)| {
            let what = match at.what {
                Observed::PlainText => "plain",
                Observed::WouldDeny(_) => "rule",
            };
            let Times { requests, refused } = times;
            format!(
                "{}/{} {what} {} {requests} {refused}",
                at.service, at.port, at.caller
            )
        });
        Ok(seen.collect())
    }

    #[test]
    fn a_record_says_who_called_and_nothing_about_others() {
        let plain = "payments/http plain 10.0.0.7 1 0";
        assert_eq!(read(&[]).unwrap(), [plain]);
        let denied = [
            ("plain", "true"),
            ("answer", "rbac_access_denied_matched_policy[none]"),
        ];
        assert_eq!(read(&denied).unwrap(), ["payments/http plain 10.0.0.7 1 1"]);
        let goes_on = read(&[("type", "DownstreamPeriodic")]).unwrap();
        assert_eq!(goes_on, ["payments/http plain 10.0.0.7 0 0"]);
        let both = read(&[("rule", RULE)]).unwrap();
        assert_eq!(both, [plain, "payments/http rule 10.0.0.7 1 0"]);
        let peer = "spiffe://shop.example/service/checkout";
        let by_name = read(&[("plain", ""), ("rule", RULE), ("peer", peer)]).unwrap();
        assert_eq!(by_name, [format!("payments/http rule {peer} 1 0")]);
        assert_eq!(read(&[("plain", "")]).unwrap(), Vec::<String>::new());

        assert_eq!(read(&[("service", "checkout")]), Err(Outcome::Foreign));
        let long = format!("spiffe://{}", "a".repeat(CALLER));
        for (key, value) in [
            ("port", "Not a name"),
            ("port", ""),
            ("plain", "permissive"),
            ("from", "somewhere"),
            ("from", "10.0.0.7:80"),
            ("rule", "heddle/revoked"),
            ("type", "TcpConnectionEnd"),
            ("peer", "https://example.com"),
            ("peer", "spiffe://a/b,spiffe://c/d"),
            ("peer", long.as_str()),
        ] {
            assert_eq!(
                read(&[(key, value)]),
                Err(Outcome::Malformed),
                "{key}: {value}"
            );
        }
    }

    #[test]
    fn junk_is_refused_or_says_nothing() {
        for junk in [&[0xff_u8; 64][..], &[0x0a, 0x05, 1], &[0x0a, 0]] {
            let Ok(read) = Export::decode(junk) else {
                continue;
            };
            assert_eq!(read.records().count(), 0);
        }
    }
}
