//! Going back to a revision, or taking one back.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use heddle_model::authz::permission::{AccessWrite, ConfigWrite, MeshWrite};
use heddle_model::code::Code;
use heddle_model::kind::{Kind, Mesh};
use heddle_model::name::Name;
use heddle_model::violation::{Pointer, Violation, Violations};
use heddle_model::wire;
use heddle_store::Tx;
use heddle_store::meshes::{self, MeshRow};
use heddle_store::resources::Precondition;
use heddle_store::revisions::Summary;
use heddle_store::rollbacks::{self, Goal, Obstacle, Plan};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::{Allow, Maybe};
use crate::declared::changes_of;
use crate::extract::{Headers, JsonBytes, Query, Segments, decode, precondition};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::v1::revisions;
use crate::{guardrails, mtls, view};

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/rollbacks";

/// Where to go back to: exactly one field.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRollback {
    /// Make the mesh equal to this revision.
    #[schema(minimum = 1, example = 11)]
    pub(crate) to_revision: Option<u64>,
    /// Take back what this revision changed, and keep what came later.
    #[schema(minimum = 2)]
    pub(crate) revert_revision: Option<u64>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"to_revision": 11})
}

async fn goal(tx: &mut Tx<ConfigWrite>, body: &[u8], mesh: &MeshRow) -> Result<Goal, Problem> {
    let wanted: CreateRollback = decode(body)?;
    let (field, number, goal) = match (wanted.to_revision, wanted.revert_revision) {
        (Some(number), None) => ("to_revision", number, Goal::To(number)),
        (None, Some(number)) => ("revert_revision", number, Goal::Without(number)),
        (None, None) | (Some(_), Some(_)) => {
            let mut violations = Violations::new();
            let detail = "exactly one of `to_revision` and `revert_revision`";
            violations.add(&Pointer::Root, Code::ExactlyOne, detail);
            return Err(Problem::invalid(violations));
        }
    };
    // Numbers below the newest one are missing where a restore has begun anew.
    if heddle_store::revisions::find(tx, mesh.id, number)
        .await?
        .is_none()
    {
        let mut violations = Violations::new();
        let detail = match number > mesh.revision {
            true => format!("the newest revision is {}", mesh.revision),
            false => format!("this mesh has no revision {number}"),
        };
        violations.add(&Pointer::Root.field(field), Code::OutOfRange, detail);
        return Err(Problem::invalid(violations));
    }
    Ok(goal)
}

/// `If-Match` names the revision that the mesh is believed to be at.
fn require_revision(headers: &HeaderMap, mesh: &MeshRow) -> Result<(), Problem> {
    let current = revisions::etag(mesh.revision);
    match precondition(headers, None)? {
        Precondition::None if changes_of(mesh).requires_if_match() => Err(Problem::new(
            Code::PreconditionRequired,
            "this mesh wants `If-Match` with every change of what exists",
        )
        .with("current_etag", json!(current))),
        Precondition::None => Ok(()),
        Precondition::Match(etag) if etag == "*" || etag == current => Ok(()),
        Precondition::Match(_) => Err(Problem::new(
            Code::StaleEtag,
            format!("the mesh is at revision {} by now", mesh.revision),
        )
        .with("current_etag", json!(current))),
        Precondition::Absent => Err(Problem::new(
            Code::BadParameter,
            "a mesh that is rolled back exists: `If-None-Match` cannot hold",
        )),
    }
}

fn summary(plan: &Plan) -> Summary {
    let count = |before: bool, after: bool| {
        let objects = plan.steps.iter().map(|step| &step.placed.object);
        let sides = objects.map(|object| (object.before.is_some(), object.after.is_some()));
        sides.filter(|sides| *sides == (before, after)).count() as u64
    };
    Summary {
        added: count(false, true),
        changed: count(true, true),
        removed: count(true, false),
    }
}

/// Where an object is in its mesh, as the beginning of a pointer.
fn pointer(kind: Kind, parents: &[Name], name: &Name) -> String {
    let path = view::path(kind, parents, name);
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{slash}{path}")
}

/// Why it cannot be done: the rules as `errors`, with pointers that begin with the object's path, and the values as
/// `conflicts`.
fn refuse(obstacles: &[Obstacle]) -> Problem {
    let mut violations = Violations::new();
    let mut conflicts = Vec::new();
    for obstacle in obstacles {
        let path = view::path(obstacle.kind, &obstacle.parents, &obstacle.name);
        let object = pointer(obstacle.kind, &obstacle.parents, &obstacle.name);
        violations.push(Violation {
            pointer: format!("{object}{}", obstacle.pointer),
            code: obstacle.code,
            detail: obstacle.detail.clone(),
            hint: None,
        });
        let mut conflict = json!({
            "kind": obstacle.kind,
            "uid": view::uid(obstacle.kind, obstacle.id),
            "name": obstacle.name,
            "path": path,
            "pointer": obstacle.pointer,
            "code": obstacle.code,
        });
        for (field, value) in [
            ("current", &obstacle.current),
            ("restored", &obstacle.wanted),
        ] {
            if let Some(value) = value {
                conflict[field] = value.clone();
            }
        }
        conflicts.push(conflict);
    }
    Problem::cannot_go_back(violations).with("conflicts", Value::Array(conflicts))
}

/// Objects that a program looks after: refused, noted, or taken over, as with every other write.
fn own(plan: &mut Plan, intent: &Intent, mesh: &MeshRow) -> Result<Vec<Violation>, Problem> {
    let changes = changes_of(mesh);
    let (mut findings, mut refused) = (Vec::new(), Violations::new());
    for step in &mut plan.steps {
        let object = &step.placed.object;
        let pointer = pointer(object.kind, &step.placed.parents, &object.name);
        match intent.writer.judge(step.owner.as_ref(), &changes) {
            Ok(verdict) => {
                step.owner = verdict.owner;
                findings.extend(
                    verdict
                        .finding
                        .map(|finding| Violation { pointer, ..finding }),
                );
            }
            Err(detail) => refused.push(Violation {
                pointer,
                code: Code::ManagedElsewhere,
                detail,
                hint: None,
            }),
        }
    }
    let refused = refused.into_sorted();
    if refused.is_empty() {
        Ok(findings)
    } else {
        Err(Problem::broken(Code::ManagedElsewhere, refused))
    }
}

/// What came back keeps the guardrails that the mesh has then.
async fn guard(
    tx: &mut Tx<ConfigWrite>,
    mesh: &MeshRow,
    plan: &Plan,
    accept_plain_callers: bool,
) -> Result<(), Problem> {
    let objects = plan.steps.iter().map(|step| &step.placed.object);
    let back = objects.filter(|object| object.kind == Kind::Mesh);
    let back = back.filter_map(|object| object.after.as_ref()).next();
    let spec = wire::decode_object::<Mesh>(back.unwrap_or(&mesh.spec.sent));
    let spec = spec.map_err(Problem::invalid)?;
    guardrails::check_mesh(tx, mesh.id, &spec).await?;
    check_mtls(tx, mesh, plan, spec, accept_plain_callers).await
}

/// What came back fits the modes of mutual TLS that the mesh has then, and no port jumps from one to another.
async fn check_mtls(
    tx: &mut Tx<ConfigWrite>,
    mesh: &MeshRow,
    plan: &Plan,
    after: Mesh,
    accept_plain_callers: bool,
) -> Result<(), Problem> {
    let kinds = [Kind::Mesh, Kind::Service, Kind::AccessRule];
    if !kinds.into_iter().any(|kind| plan.touches(kind)) {
        return Ok(());
    }
    let before = wire::read_object(&mesh.spec.sent).unwrap_or_default();
    let mut surroundings = mtls::Surroundings::new(before, after, accept_plain_callers);
    let objects = plan.steps.iter().map(|step| &step.placed.object);
    for object in objects.filter(|object| object.kind == Kind::Service) {
        surroundings.was(object.id, object.before.as_ref());
    }
    let found = surroundings.judge(tx, mesh.id).await?;
    mtls::refuse_at(found, |one| {
        let service = pointer(Kind::Service, &[], &one.service);
        Some(format!("{service}{}", one.objection.pointer))
    })
}

pub(crate) async fn create(
    Allow(grant): Allow<ConfigWrite>,
    (Maybe(access), Maybe(whole), State(app)): (Maybe<AccessWrite>, Maybe<MeshWrite>, State<App>),
    Segments((_, name)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::owning(&mut query, &headers)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let mesh = meshes::require(&mut tx, &name).await?;
    let goal = goal(&mut tx, &body, &mesh).await?;
    require_revision(&headers, &mesh)?;
    let mut plan = rollbacks::plan(&mut tx, &mesh, goal).await?;
    if plan.touches(Kind::AccessRule) {
        tx.also(&access?, mesh.id)?;
    }
    if plan.touches(Kind::Mesh) {
        tx.also(&whole?, mesh.id)?;
    }
    if !plan.obstacles.is_empty() {
        return Err(refuse(&plan.obstacles));
    }
    let findings = own(&mut plan, &intent, &mesh)?;
    let made = rollbacks::apply(&mut tx, &plan).await?;
    guard(&mut tx, &mesh, &plan, intent.accept_plain_callers).await?;
    let revision = made.unwrap_or(mesh.revision);
    let items = plan
        .steps
        .iter()
        .map(|step| revisions::render_difference(&step.placed));
    let mut answer = json!({
        "base_revision": mesh.revision,
        "revision": revision,
        "changed": made.is_some(),
        "summary": revisions::summary(summary(&plan)),
        "items": items.collect::<Vec<_>>(),
    });
    if !findings.is_empty() {
        answer["findings"] = json!(findings);
    }
    let status = match made {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    let location = made.map(|number| {
        let mesh = uri.path().trim_end_matches("/rollbacks");
        format!("{mesh}/revisions/{number}")
    });
    let etag = revisions::etag(revision);
    let answer = view::answer(status, answer, &etag, location.as_deref());
    intent.finish(tx, answer).await
}
