//! Why a call is let through or refused: worked out for a call that somebody thinks of, or found for one that a proxy wrote about.
//!
//! What is thought of is decided by the evaluator that a property test holds equal to real Envoys. What a proxy wrote names the
//! rule by its identifier, also when the rule was changed or deleted since: every version is kept.

mod asked;
mod log;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use heddle_model::access::{self, Because};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::ConfigRead;
use heddle_model::code::Code;
use heddle_model::id::{AccessRuleId, MeshId};
use heddle_model::kind::Kind;
use heddle_model::violation::{Pointer, Violations};
use heddle_store::revisions::{self, RevisionRow, Version, When};
use heddle_store::{Tx, meshes};
use serde_json::{Map, Value, json};

use crate::auth::Allow;
use crate::extract::{JsonBytes, Query, Segments, decode};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

pub(crate) use asked::CheckAccess;
use log::{Denied, Line};

/// The path.
pub(crate) const PATH: &str = "/v1/orgs/{org}/meshes/{mesh}/access/checks";

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"call": {"from": {"service": "checkout"}, "service": "payments", "method": "POST", "path": "/v1/charges"}})
}

/// What decided, in a word for programs and a sentence for people.
const fn words(allowed: bool, because: &Because<'_>) -> (&'static str, &'static str) {
    match (because, allowed) {
        (Because::Rule(_), true) => ("rule", "This rule allows it, and none denies it."),
        (Because::Rule(_), false) => ("rule", "This rule denies it."),
        (Because::Default, true) => (
            "default",
            "No rule says anything, and the mesh allows what no rule is about.",
        ),
        (Because::Default, false) => (
            "default",
            "No rule allows it, and the mesh denies what no rule allows.",
        ),
        (Because::Malformed, _) => (
            "malformed",
            "No proxy takes such a request, whatever the rules say.",
        ),
        (Because::Disguised, _) => (
            "disguised_path",
            "Some servers take the path for another one, as in `/public/..;/admin`: where a rule is about paths, it is refused.",
        ),
        (Because::Revoked, _) => (
            "revoked",
            "The identity of the service that calls is revoked in this mesh.",
        ),
        (Because::NoToken, _) => NO_TOKEN,
    }
}

const NO_TOKEN: (&str, &str) = (
    "no_token",
    "The service wants a token of an end user, and the call has none that counts.",
);
const UNFIT_TOKEN: (&str, &str) = (
    "unfit_token",
    "The token that it carries does not hold: its signature, issuer, audience or time is wrong, its keys cannot be fetched, or a claim of it fits into no header.",
);
const FORGED_CLAIMS: (&str, &str) = (
    "forged_claims",
    "It carries a header that only a checked token may fill, and no such token.",
);

/// An answer before its rules are looked up.
struct Verdict {
    allowed: bool,
    because: (&'static str, &'static str),
    at: Option<DateTime<Utc>>,
    /// Where each rule goes in the answer, and which version of it is meant.
    rules: Vec<(&'static str, AccessRuleId, When)>,
}

impl Verdict {
    fn of_line(line: &Line) -> Self {
        let when = line.at.map_or(When::Newest, When::At);
        let mut rules = Vec::new();
        let because = match line.denied {
            None => (
                "passed",
                "The access rules let it through to the application.",
            ),
            Some(Denied::ByNone) => words(false, &Because::Default),
            Some(Denied::Disguised) => words(false, &Because::Disguised),
            Some(Denied::Revoked) => words(false, &Because::Revoked),
            Some(Denied::NoToken) => NO_TOKEN,
            Some(Denied::UnfitToken) => UNFIT_TOKEN,
            Some(Denied::ForgedClaims) => FORGED_CLAIMS,
            Some(Denied::ByRule(id)) => {
                rules.push(("rule", id, when));
                ("rule", "This rule denied it.")
            }
        };
        rules.extend(line.would_deny.map(|id| ("would_deny", id, when)));
        rules.extend(line.would_allow.map(|id| ("would_allow", id, when)));
        Self {
            allowed: line.denied.is_none(),
            because,
            at: line.at,
            rules,
        }
    }

    fn of_decision(decision: &access::Decision<'_>) -> Self {
        let rule = match decision.because {
            Because::Rule(rule) => Some(rule),
            Because::Default
            | Because::Malformed
            | Because::Disguised
            | Because::Revoked
            | Because::NoToken => None,
        };
        let rules = [
            ("rule", rule),
            ("would_deny", decision.would_deny),
            ("would_allow", decision.would_allow),
        ];
        let placed = |(place, rule): (_, Option<&access::Rule>)| {
            rule.map(|rule| (place, rule.id, When::Revision(rule.revision)))
        };
        Self {
            allowed: decision.allowed,
            because: words(decision.allowed, &decision.because),
            at: None,
            rules: rules.into_iter().filter_map(placed).collect(),
        }
    }
}

/// Looks the rules up, and who wrote them.
struct Rules<'a, P: Permission> {
    tx: &'a mut Tx<P>,
    mesh: MeshId,
}

impl<P: Permission> Rules<'_, P> {
    /// A rule as it was; `None` when this mesh never had it, whoever else has.
    async fn find(&mut self, id: AccessRuleId, when: When) -> Result<Option<Value>, Problem> {
        let what = (Kind::AccessRule, id.uuid());
        let Some(version) = revisions::version(self.tx, self.mesh, what, when).await? else {
            return Ok(None);
        };
        let object = &version.placed.object;
        let (state, since) = match (version.deleted, version.newest) {
            (Some(deleted), _) => ("deleted", Some(deleted)),
            (None, newest) if newest == object.revision => ("current", None),
            (None, newest) => ("changed", Some(newest)),
        };
        let mut body = rule(&version);
        body["state"] = json!(state);
        body["written"] = change(&self.revision(object.revision).await?);
        if let Some(since) = since {
            body["changed"] = change(&self.revision(since).await?);
        }
        Ok(Some(body))
    }

    async fn revision(&mut self, revision: u64) -> Result<RevisionRow, Problem> {
        let row = revisions::find(self.tx, self.mesh, revision).await?;
        row.ok_or_else(|| Problem::internal(&format!("revision {revision} is missing")))
    }
}

fn rule(version: &Version) -> Value {
    let placed = &version.placed;
    let stored = &placed.object;
    json!({
        "uid": view::uid(stored.kind, stored.id),
        "name": stored.name,
        "service": placed.parents.last(),
        "path": view::path(stored.kind, &placed.parents, &stored.name),
        "action": stored.sent.get("action"),
        "report_only": stored.sent.get("report_only") == Some(&json!(true)),
        "spec": stored.sent,
    })
}

fn change(row: &RevisionRow) -> Value {
    json!({
        "revision": row.revision,
        "author": {"actor": row.actor, "token": row.token},
        "message": row.message,
        "at": view::time(row.created_at),
    })
}

pub(crate) async fn create(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let wanted: CheckAccess = decode(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    let found = meshes::require(&mut tx, &mesh).await?;
    let mesh_ref = tx.mesh_ref(&found);
    // The snapshot has a connection of its own.
    drop(tx);
    let mut violations = Violations::new();
    let root = Pointer::Root;
    if wanted.call.is_some() == wanted.log.is_some() {
        violations.add(&root, Code::ExactlyOne, "exactly one of `call` and `log`");
    }
    let mut verdict = None;
    let mut revision = found.revision;
    if let Some(text) = &wanted.log {
        match log::read(text) {
            Ok(line) => verdict = Some(Verdict::of_line(&line)),
            Err(wrong) => {
                for detail in wrong {
                    violations.add(&root.field("log"), Code::BadFormat, detail);
                }
            }
        }
    }
    if let Some(call) = &wanted.call {
        let loaded = app.store.snapshot(&mesh_ref).await?;
        let mut loaded = loaded.ok_or_else(Problem::not_found)?;
        // Servers keep what they have until such a row is mended.
        if !loaded.skipped.is_empty() {
            return Err(Problem::internal(&"a stored object does not parse"));
        }
        let _next = loaded.snapshot.drop_expired(app.clock.now());
        let snapshot = &loaded.snapshot;
        revision = snapshot.revision;
        if let Some(whole) = call.complete(snapshot, &mut violations) {
            let decision = access::decide(snapshot, whole.node, &whole.call());
            verdict = Some(Verdict::of_decision(&decision));
        }
    }
    let mut answer = Map::new();
    if let Some(verdict) = verdict {
        let mut tx = app.store.begin(&grant).await?;
        meshes::require(&mut tx, &mesh).await?;
        let mut rules = Rules {
            tx: &mut tx,
            mesh: found.id,
        };
        let (because, detail) = verdict.because;
        answer.insert(String::from("allowed"), json!(verdict.allowed));
        answer.insert(String::from("because"), json!(because));
        answer.insert(String::from("detail"), json!(detail));
        answer.insert(String::from("revision"), json!(revision));
        if let Some(at) = verdict.at {
            answer.insert(String::from("at"), json!(view::time(at)));
        }
        for (place, id, when) in verdict.rules {
            match rules.find(id, when).await? {
                Some(rule) => {
                    answer.insert(place.to_owned(), rule);
                }
                None => violations.add(
                    &root.field("log"),
                    Code::UnknownReference,
                    format!("this mesh has no access rule {id}, and never had"),
                ),
            }
        }
    }
    violations.into_result().map_err(Problem::invalid)?;
    Ok(Json(Value::Object(answer)))
}
