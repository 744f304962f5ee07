//! Rotations: the authorities of a mesh give way to new ones, step by step.

use std::time::Duration;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::{MeshRead, MeshWrite};
use heddle_model::code::Code;
use heddle_model::duration::HumanDuration;
use heddle_model::id::RotationId;
use heddle_model::violation::{Pointer, Violations};
use heddle_store::authorities::{self, AuthorityRow};
use heddle_store::authority_requests::{self, Adopted};
use heddle_store::meshes::{self, MeshRow};
use heddle_store::rotations::{
    self, Counts, Mode, NewRotation, ProxyProgress, Refused, RotationRow, What,
};
use heddle_store::{Error, Tx};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/rotations";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/meshes/{mesh}/rotations/{rotation}";
/// The path of what can be done with one.
pub(crate) const ACTIONS: &str = "/v1/orgs/{org}/meshes/{mesh}/rotations/{rotation}/actions";

/// The most proxies that are named, those first that are waited for.
const NAMED: usize = 500;
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What is replaced.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whose {
    /// What signs leaves, under the same root.
    Intermediate,
    /// The root and what it signed.
    Root,
}

/// How careful it is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// Waits for everybody whose leaf is still good, connected or not.
    Planned,
    /// Waits only for those that are connected.
    Emergency,
    /// Waits for nobody: the old root is dropped at once, and calls fail until both ends have the new one.
    BreakTrust,
}

/// Who takes the next step.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// The servers, when nobody has to be waited for.
    Automatic,
    /// Whoever asks for it.
    Manual,
}

/// What to replace, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRotation {
    /// What is replaced.
    pub(crate) what: Whose,
    /// How careful it is. `planned` when absent; `break_trust` is for a root.
    pub(crate) mode: Option<How>,
    /// Who takes the next step. `automatic` when absent.
    pub(crate) pace: Option<Pace>,
    /// An authority request of the mesh, whose certificate comes with it: the mesh is under a root of your own, then.
    #[schema(max_length = 64)]
    pub(crate) request: Option<String>,
    /// With `request`: the certificate for it, what signed that, and so on to the root, in PEM. With `what: intermediate` it is the
    /// root that the mesh has.
    #[schema(max_length = 65536)]
    pub(crate) certificates: Option<String>,
    /// Over which time leaves are replaced, one after the other: up to 24 hours. When absent, an eighth of a leaf's life, at most
    /// 10 minutes, or half a minute in an emergency.
    pub(crate) replace_over: Option<HumanDuration>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Take the next step.
    Advance,
    /// Turn it round: what was there before signs again, and what is new goes. Until the old root is dropped.
    Reverse,
}

/// What to do with a rotation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActOnRotation {
    /// What to do.
    pub(crate) action: Action,
    /// Only if it is still there (`generation`).
    #[schema(minimum = 1)]
    pub(crate) generation: Option<u64>,
    /// With `advance`: also when proxies are waited for. They lose whom they trust, or are not trusted, until they come back.
    pub(crate) force: Option<bool>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"what": "root", "mode": "planned"})
}

/// An example of the body.
pub(crate) fn action_sample() -> Value {
    json!({"action": "advance", "generation": 2})
}

/// The rotation that is wanted, and the authority request with its certificates that it is to be done with.
type Wanted = (NewRotation, Option<(String, String)>);

fn wanted(body: &[u8], leaf_lifetime: Duration) -> Result<Wanted, Problem> {
    let wanted: CreateRotation = decode(body)?;
    let (what, mode) = match (wanted.what, wanted.mode.unwrap_or(How::Planned)) {
        (Whose::Root, How::BreakTrust) => (What::Root, Mode::BreakTrust),
        (Whose::Root, How::Emergency) => (What::Root, Mode::Emergency),
        (Whose::Root, How::Planned) => (What::Root, Mode::Planned),
        (Whose::Intermediate, How::Emergency) => (What::Intermediate, Mode::Emergency),
        (Whose::Intermediate, How::Planned | How::BreakTrust) => {
            (What::Intermediate, Mode::Planned)
        }
    };
    let mut violations = Violations::new();
    if matches!(
        (wanted.what, wanted.mode),
        (Whose::Intermediate, Some(How::BreakTrust))
    ) {
        let detail = "whoever trusts the root trusts what it signed: only a new root breaks that";
        violations.add(&Pointer::Root.field("mode"), Code::Mismatch, detail);
    }
    let usual = match mode {
        Mode::Planned => Duration::from_secs(600),
        Mode::Emergency => Duration::from_secs(30),
        Mode::BreakTrust => Duration::ZERO,
    };
    let over = wanted.replace_over.map(|text| text.get());
    if over.is_some_and(|over| over > LONGEST) {
        let pointer = Pointer::Root.field("replace_over");
        violations.add(&pointer, Code::OutOfRange, "at most 24h");
    }
    let missing = match (&wanted.request, &wanted.certificates) {
        (Some(_), None) => Some("certificates"),
        (None, Some(_)) => Some("request"),
        _ => None,
    };
    if let Some(missing) = missing {
        let detail = "`request` and `certificates` belong together";
        violations.add(&Pointer::Root.field(missing), Code::MissingField, detail);
    }
    if violations.is_empty() {
        let new = NewRotation {
            what,
            mode,
            manual: matches!(wanted.pace, Some(Pace::Manual)),
            replace_over: over.unwrap_or(usual.min(leaf_lifetime / 8)),
        };
        Ok((new, wanted.request.zip(wanted.certificates)))
    } else {
        Err(Problem::invalid(violations))
    }
}

fn refuse(refused: Refused) -> Problem {
    match refused {
        Refused::UnderWay(other) => Problem::new(
            Code::RotationUnderWay,
            format!("{other} has not ended: finish it or turn it round first"),
        ),
        Refused::TooLate(ends) => Problem::new(
            Code::RotationWaits,
            format!(
                "what is new ends at {}, too soon to sign anything: turn the rotation round, and have another one signed",
                view::time(ends)
            ),
        ),
        Refused::NothingThere => Problem::new(
            Code::NoAuthorities,
            "no proxy of this mesh was ever connected, so it has no authorities to replace",
        ),
        Refused::Waits(counts) => Problem::new(
            Code::RotationWaits,
            match (counts.certificates, counts.certificates_until) {
                (0, _) | (_, None) => format!("it waits for {} proxies", counts.waiting_for),
                (certificates, Some(until)) => format!(
                    "it waits for {} proxies, and for {certificates} certificates that were asked for by the API, until {} at most",
                    counts.waiting_for.saturating_sub(certificates),
                    view::time(until)
                ),
            },
        )
        .with("progress", progress(counts)),
        Refused::Ended(state) => {
            Problem::new(Code::RotationEnded, format!("it is {}", state.as_str()))
        }
        Refused::Reversing => Problem::new(Code::RotationEnded, "it was turned round already"),
        Refused::Moved(generation) => Problem::new(
            Code::StaleEtag,
            format!("the rotation is at generation {generation} by now"),
        ),
    }
}

fn progress(counts: Counts) -> Value {
    json!({
        "ready": counts.ready,
        "pending": counts.pending,
        "refused": counts.refused,
        "offline": counts.offline,
        "left_behind": counts.left_behind,
        "certificates": counts.certificates,
        "certificates_until": counts.certificates_until.map(view::time),
        "waiting_for": counts.waiting_for,
    })
}

fn proxy(one: &ProxyProgress) -> Value {
    json!({
        "uid": one.proxy,
        "name": one.node_id,
        "service": one.service,
        "state": one.waits.as_str(),
        "until": one.until.map(view::time),
    })
}

fn render(row: &RotationRow) -> Value {
    json!({
        "what": row.what.as_str(),
        "mode": row.mode.as_str(),
        "pace": if row.manual { "manual" } else { "automatic" },
        "state": row.state.as_str(),
        "reversing": row.reversing,
        "generation": row.generation,
        "revision": row.revision,
        "replace_over_seconds": row.replace_over.as_secs(),
        "replaced_from": row.replaced_from.map(view::time),
        "meta": {
            "uid": row.id,
            "kind": "rotation",
            "root": row.root,
            "issuing": row.issuing,
            "created_at": view::time(row.created_at),
            "created_by": row.created_by,
            "moved_at": view::time(row.moved_at),
            "ended_at": row.ended_at.map(view::time),
        },
    })
}

fn violation(field: &'static str, code: Code, detail: impl Into<String>) -> Problem {
    let mut violations = Violations::new();
    violations.add(&Pointer::Root.field(field), code, detail.into());
    Problem::invalid(violations)
}

/// The root under which leaves are signed now.
fn root_of(known: &[AuthorityRow]) -> Option<&AuthorityRow> {
    authorities::root_of(known, authorities::issuing(known)?)
}

/// A mesh without proxies has no authorities yet; it gets some, so that they can give way.
async fn something_gives_way(
    app: &App,
    tx: &mut Tx<MeshWrite>,
    mesh: &MeshRow,
) -> Result<(), Problem> {
    let at = tx.mesh_ref(mesh);
    if authorities::of(tx, &at).await?.is_empty() {
        let made = app.authorities.root(&at, &mesh.trust_domain).await;
        authorities::begin(tx, &at, &made.map_err(Error::Signer)?).await?;
    }
    Ok(())
}

/// The authorities that somebody else has signed for a request.
async fn adopt(
    app: &App,
    tx: &mut Tx<MeshWrite>,
    mesh: &MeshRow,
    what: What,
    request: &str,
    chain: &str,
) -> Result<Adopted, Problem> {
    let row = match request.parse() {
        Ok(id) => authority_requests::take(tx, mesh.id, id).await?,
        Err(_) => None,
    };
    let row = row.ok_or_else(|| {
        let detail = "no such authority request waits in this mesh";
        violation("request", Code::UnknownReference, detail)
    })?;
    let at = tx.mesh_ref(mesh);
    let known = authorities::of(tx, &at).await?;
    // One that was removed comes back as another row.
    let trusted: Vec<_> = authorities::trusted(&known).cloned().collect();
    let adopted = app
        .outside
        .adopt(&at, &mesh.trust_domain, &row, chain, &trusted)
        .map_err(|cause| Problem::internal(&*cause))?;
    let made = adopted.map_err(|wrong| violation("certificates", Code::BadFormat, wrong))?;
    let same = root_of(&known).is_some_and(|root| root.id == made[0].id);
    let other = trusted.iter().any(|one| one.id == made[0].id);
    match (what, same) {
        (What::Intermediate, false) => {
            let detail = "their root is not that of the mesh: `what` is `root`, then";
            Err(violation("what", Code::Mismatch, detail))
        }
        (What::Root, true) => {
            let detail = "their root is that of the mesh already: `what` is `intermediate`, then";
            Err(violation("what", Code::Mismatch, detail))
        }
        (What::Root, false) if other => {
            let detail = "the mesh trusts this root beside the one that signs now: let it go first";
            Err(violation("certificates", Code::Mismatch, detail))
        }
        _ => Ok(Adopted(made)),
    }
}

pub(crate) async fn create(
    Allow(grant): Allow<MeshWrite>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let (new, signed) = wanted(&body, app.xds.leaf_lifetime)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let row = match &signed {
        None => {
            let at = tx.mesh_ref(&mesh);
            let known = authorities::of(&mut tx, &at).await?;
            if new.what == What::Intermediate
                && root_of(&known).is_some_and(AuthorityRow::is_of_others)
            {
                let detail = "the root of the mesh is somebody else's, who has to sign first";
                return Err(Problem::new(Code::RootOfOthers, detail));
            }
            rotations::start(&mut tx, &mesh, &new, &*app.authorities).await?
        }
        Some((request, chain)) => {
            let adopted = adopt(&app, &mut tx, &mesh, new.what, request, chain).await?;
            something_gives_way(&app, &mut tx, &mesh).await?;
            rotations::start(&mut tx, &mesh, &new, &adopted).await?
        }
    };
    let row = row.map_err(refuse)?;
    let location = format!("{}/{}", uri.path(), row.id);
    let mut response = (StatusCode::CREATED, Json(render(&row))).into_response();
    if let Ok(location) = location.parse() {
        let headers = response.headers_mut();
        headers.insert(http::header::LOCATION, location);
    }
    intent.finish(tx, response).await
}

pub(crate) async fn list(
    Allow(grant): Allow<MeshRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let after = page.parse_after(|text| text.parse::<RotationId>().ok())?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let rows = rotations::page(&mut tx, mesh.id, after, page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.id.to_string(),
        render,
    ))
}

pub(crate) async fn get(
    Allow(grant): Allow<MeshRead>,
    State(app): State<App>,
    Segments((_, mesh, rotation)): Segments<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let id: RotationId = rotation.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let row = rotations::find(&mut tx, mesh.id, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let (counts, proxies) = rotations::progress(&mut tx, mesh.id, &row, NAMED).await?;
    let mut answer = render(&row);
    answer["progress"] = progress(counts);
    answer["proxies"] = proxies.iter().map(proxy).collect();
    Ok(Json(answer))
}

pub(crate) async fn act(
    Allow(grant): Allow<MeshWrite>,
    State(app): State<App>,
    Segments((_, mesh, rotation)): Segments<(String, String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let wanted: ActOnRotation = decode(&body)?;
    let force = wanted.force.unwrap_or(false);
    if force && wanted.action != Action::Advance {
        let mut violations = Violations::new();
        let detail = "with `advance` only";
        violations.add(&Pointer::Root.field("force"), Code::Mismatch, detail);
        return Err(Problem::invalid(violations));
    }
    let id: RotationId = rotation.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let done = match wanted.action {
        Action::Advance => {
            rotations::advance(&mut tx, mesh.id, id, wanted.generation, force).await?
        }
        Action::Reverse => rotations::reverse(&mut tx, mesh.id, id, wanted.generation).await?,
    };
    let row = done.map_err(refuse)?;
    let response = Json(render(&row)).into_response();
    intent.finish(tx, response).await
}
