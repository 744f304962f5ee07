//! `apply` and `sync`: a list of objects of any kind, written as one revision or not at all.

mod body;
mod plan;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::{AccessWrite, ConfigWrite};
use heddle_model::authz::{Action, Permission};
use heddle_model::code::Code;
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_model::quota::Quota;
use heddle_model::violation::{Violation, Violations};
use heddle_store::meshes::{self, MeshRow};
use heddle_store::resources::{self, Address, Step, Stored};
use heddle_store::{Error, Tx, resources::own};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::auth::{Allow, Maybe};
use crate::declared::{changes_of, kinds};
use crate::extract::{Headers, JsonBytes, Query, Segments};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::{guardrails, mtls, view};

pub(crate) use body::sample;
use plan::{Done, Plan};

/// The path.
pub(crate) const PATH: &str = "/v1/orgs/{org}/meshes/{mesh}/apply";

pub(crate) async fn apply(
    Allow(grant): Allow<ConfigWrite>,
    (Maybe(access), State(app)): (Maybe<AccessWrite>, State<App>),
    Segments((_, mesh)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let mut intent = Intent::owning(&mut query, &headers)?.once(&headers, &uri, &bytes)?;
    query.finish()?;
    let described = kinds::all();
    let wanted = body::read(&bytes, &described, &mut intent.writer)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let changes = changes_of(&mesh);
    let current = resources::everything(&mut tx, mesh.id).await?;
    let mut plan = Plan::make(
        &wanted,
        &current,
        &described,
        &intent.writer,
        &changes,
        &mesh.name,
    )
    .map_err(refused)?;
    let equal = resources::equal(&mut tx, &plan.pairs()).await?;
    plan.settle(&equal, &changes).map_err(refused)?;
    guard(&mesh, &plan)?;
    // Whoever may not write one of the kinds is told so before anything is written.
    let needs = |action: Action| {
        described
            .iter()
            .any(|one| one.action == action && plan.touches(one.kind))
    };
    if needs(AccessWrite::ACTION) {
        tx.also(&access?, mesh.id)?;
    }
    let (results, changed) = write(&mut tx, &mesh, &plan, &described).await?;
    check_mtls(&mut tx, &mesh, &plan, &current, intent.accept_plain_callers).await?;
    let answer = Json(json!({
        "mode": wanted.mode,
        "changed": changed,
        "revision": mesh.revision + u64::from(changed),
        "results": results,
    }));
    intent.finish(tx, answer.into_response()).await
}

/// What is written keeps the guardrails of its mesh; what stays as it is was judged when it was written.
fn guard(mesh: &MeshRow, plan: &Plan<'_>) -> Result<(), Problem> {
    let Some(guardrails) = guardrails::of(mesh)? else {
        return Ok(());
    };
    let mut violations = Violations::new();
    for planned in plan.items.iter().filter(|p| p.done != Done::Unchanged) {
        let item = planned.item;
        for one in (item.described.guard)(&guardrails, &item.sent).into_sorted() {
            violations.push(Violation {
                pointer: format!("/resources/{}{}", planned.index, one.pointer),
                ..one
            });
        }
    }
    violations.into_result().map_err(refused)
}

/// What was written fits the modes of mutual TLS, with what was left as it was.
async fn check_mtls(
    tx: &mut Tx<ConfigWrite>,
    mesh: &MeshRow,
    plan: &Plan<'_>,
    current: &[Stored],
    accept_plain_callers: bool,
) -> Result<(), Problem> {
    let mut surroundings = mtls::Surroundings::of(mesh, accept_plain_callers);
    let services = current.iter().filter(|one| one.kind == Kind::Service);
    let written = plan.items.iter().filter(|one| one.done != Done::Unchanged);
    let sent = written.clone().map(|planned| &planned.item.sent);
    let mut all = services.map(|stored| &stored.sent).chain(sent);
    if !mtls::is_mentioned(&mesh.spec.sent) && !all.any(mtls::is_mentioned) {
        return Ok(());
    }
    let mut listed: BTreeMap<(Kind, &[Name]), usize> = BTreeMap::new();
    for planned in written {
        let kind = planned.item.described.kind;
        listed.insert((kind, planned.item.path()), planned.index);
        if let (Kind::Service, Some(stored)) = (kind, planned.existing) {
            surroundings.was(stored.id, Some(&stored.sent));
        }
    }
    let found = surroundings.judge(tx, mesh.id).await?;
    // What is not in the list was judged when it was written.
    mtls::refuse_at(found, |one| {
        let of_service = [one.service.clone()];
        let rule = one.objection.rule.as_ref();
        let of_rule = rule.map(|rule| [one.service.clone(), rule.clone()]);
        let rule = of_rule.and_then(|path| listed.get(&(Kind::AccessRule, &path[..])).copied());
        if let Some(index) = rule {
            return Some(format!("/resources/{index}"));
        }
        let index = listed.get(&(Kind::Service, &of_service[..]))?;
        Some(format!("/resources/{index}{}", one.objection.pointer))
    })
}

/// Does what was planned, and says of each object what became of it: in the order of the list, then what it left out.
async fn write(
    tx: &mut Tx<ConfigWrite>,
    mesh: &MeshRow,
    plan: &Plan<'_>,
    described: &[kinds::Described],
) -> Result<(Vec<Value>, bool), Problem> {
    // Parents come first, so each finds the identifier of its own.
    let mut ids: BTreeMap<(Kind, &[Name]), Uuid> = BTreeMap::new();
    let mut places = Vec::new();
    for planned in &plan.items {
        let item = planned.item;
        let id = planned
            .existing
            .map_or_else(|| resources::new_id(tx), |stored| stored.id);
        let above = &item.path()[..item.path().len() - 1];
        let listed = item
            .described
            .parents
            .last()
            .and_then(|kind| ids.get(&(*kind, above)));
        let parent = match (listed, planned.existing) {
            (Some(id), _) => Some(*id),
            (None, Some(stored)) => stored.parent,
            (None, None) => plan.parent_there(item),
        };
        places.push((id, parent));
        ids.insert((item.described.kind, item.path()), id);
    }
    let mut steps = Vec::new();
    let mut step_of = Vec::new();
    for (planned, (id, parent)) in plan.items.iter().zip(&places) {
        let (sent, owner) = (&planned.item.sent, planned.owner.as_ref());
        let step = match (planned.done, planned.existing) {
            (Done::Created, _) => Some(Step::Create {
                id: *id,
                address: Address {
                    mesh: mesh.id,
                    kind: planned.item.described.kind,
                    parent: *parent,
                    name: &planned.item.name,
                },
                sent,
                owner,
            }),
            (Done::Replaced, Some(before)) => Some(Step::Replace {
                before,
                sent,
                owner,
            }),
            _ => None,
        };
        step_of.push(step.is_some().then_some(steps.len()));
        steps.extend(step);
    }
    steps.extend(plan.pruned().map(|before| Step::Delete { before }));
    let written = resources::write_all(tx, mesh.id, &steps).await;
    let written = written.map_err(|error| no_room(plan, error))?;
    let mut results: Vec<(usize, Value)> = Vec::new();
    for (planned, step) in plan.items.iter().zip(&step_of) {
        let new: Option<Stored> = step.and_then(|step| written[step].clone());
        let Some(mut stored) = new.or_else(|| planned.existing.cloned()) else {
            continue;
        };
        own(
            tx,
            mesh.id,
            &mut stored,
            planned.owner.as_ref(),
            step.is_some(),
        )
        .await?;
        let mut result = named(planned.item.described, planned.item.path(), planned.done);
        let meta = json!({
            "uid": view::uid(stored.kind, stored.id),
            "etag": stored.etag(),
            "revision": stored.revision,
        });
        result.insert(String::from("meta"), meta);
        if let Some(finding) = &planned.finding {
            result.insert(String::from("findings"), json!([finding]));
        }
        results.push((planned.index, Value::Object(result)));
    }
    results.sort_by_key(|(index, _)| *index);
    let mut results: Vec<Value> = results.into_iter().map(|(_, result)| result).collect();
    for (stored, (kind, path), done) in &plan.left {
        let Some(described) = described.iter().find(|one| one.kind == *kind) else {
            continue;
        };
        let mut result = named(described, path, *done);
        let meta = json!({"uid": view::uid(stored.kind, stored.id)});
        result.insert(String::from("meta"), meta);
        if *done == Done::Kept {
            result.insert(String::from("findings"), plan::kept());
        }
        results.push(Value::Object(result));
    }
    Ok((results, !steps.is_empty()))
}

/// Where the list has what there is no room for.
fn no_room(plan: &Plan<'_>, error: Error) -> Problem {
    let Error::LimitReached(reached) = error else {
        return error.into();
    };
    Problem::limits(&reached, |one| {
        let created = plan.items.iter().filter(|planned| {
            planned.done == Done::Created
                && Quota::of_kind(planned.item.described.kind) == one.quota
        });
        let mut created: Vec<usize> = created.map(|planned| planned.index).collect();
        created.sort_unstable();
        // What goes makes room for what comes; of the rest, the last ones are too many.
        let beyond = usize::try_from(one.wanted - one.room()).unwrap_or(usize::MAX);
        let first = created.get(created.len().saturating_sub(beyond));
        first.map_or_else(String::new, |index| format!("/resources/{index}"))
    })
}

/// How a result names its object: as an item of the list would.
fn named(described: &kinds::Described, path: &[Name], done: Done) -> Map<String, Value> {
    let mut result = Map::new();
    result.insert(String::from("kind"), json!(described.kind));
    for (kind, name) in described.parents.iter().zip(path) {
        result.insert(kind.as_str().to_owned(), json!(name));
    }
    if let Some(name) = path.last() {
        result.insert(String::from("name"), json!(name));
    }
    result.insert(String::from("result"), json!(done));
    result
}

/// One problem for all violations: with the code that they share if it has a status of its own.
fn refused(violations: Violations) -> Problem {
    let all = violations.into_sorted();
    let shared = all
        .first()
        .map(|one| one.code)
        .filter(|code| code.status() != 422 && all.iter().all(|one| one.code == *code));
    Problem::broken(shared.unwrap_or(Code::Invalid), all)
}
