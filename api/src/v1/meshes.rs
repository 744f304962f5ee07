//! Meshes.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::{MeshRead, MeshWrite};
use heddle_model::code::Code;
use heddle_model::kind::Mesh;
use heddle_model::name::Name;
use heddle_model::violation::Violation;
use heddle_model::wire::{self, Decoded};
use heddle_store::Tx;
use heddle_store::meshes::{self, MeshRow};
use heddle_store::resources::{self, Precondition};
use serde_json::{Value, json};

use crate::auth::Allow;
use crate::declared::changes_of;
use crate::extract::{Headers, JsonBytes, PatchBytes, Query, Segments, precondition};
use crate::intent::Intent;
use crate::listing::Listing;
use crate::named::{decode_named, name_in_path, same_name};
use crate::problem::Problem;
use crate::state::App;
use crate::{guardrails, mtls, view};

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/meshes/{mesh}";

fn render(row: &MeshRow, finding: Option<&Violation>) -> Value {
    let mut status = json!({"revision": row.revision, "trust_domain": row.trust_domain});
    if let Some(finding) = finding {
        status["findings"] = json!([finding]);
    }
    view::object(&row.spec, Some(status))
}

pub(crate) async fn list(
    Allow(grant): Allow<MeshRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let listing = Listing::take::<Mesh>(&mut query, uri.path())?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let rows = meshes::search(&mut tx, &listing.wanted).await?;
    Ok(listing.answer(
        rows,
        &uri.to_string(),
        |row| &row.spec,
        |_, row| render(&row, None),
    ))
}

pub(crate) async fn create(
    Allow(grant): Allow<MeshWrite>,
    State(app): State<App>,
    (OriginalUri(uri), mut query, Headers(headers)): (OriginalUri, Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::owning(&mut query, &headers)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let (name, decoded) = decode_named::<Mesh>(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let location = format!("{}/{name}", uri.path());
    let answer = insert(&app, &mut tx, &intent, &name, &decoded, &location).await?;
    intent.finish(tx, answer).await
}

async fn insert(
    app: &App,
    tx: &mut Tx<MeshWrite>,
    intent: &Intent,
    name: &Name,
    decoded: &Decoded<Mesh>,
    location: &str,
) -> Result<Response, Problem> {
    let domain = (app.draw_trust_domain)(name);
    let mut row = meshes::insert(tx, name, &domain, &decoded.sent).await?;
    let owner = intent.writer.manager.as_ref();
    resources::own(tx, row.id, &mut row.spec, owner, true).await?;
    Ok(view::answer(
        StatusCode::CREATED,
        render(&row, None),
        &row.spec.etag(),
        Some(location),
    ))
}

/// Replaces what is there, if whose it is allows that.
async fn replace(
    tx: &mut Tx<MeshWrite>,
    intent: &Intent,
    before: &MeshRow,
    decoded: &Decoded<Mesh>,
    precondition: &Precondition,
) -> Result<Response, Problem> {
    let changes = changes_of(before);
    let verdict = intent
        .writer
        .may(Some(&before.spec), &changes, precondition)?;
    let mut row = meshes::replace(tx, before, &decoded.sent, precondition).await?;
    guardrails::check_mesh(tx, row.id, &decoded.value).await?;
    mtls::check_mesh(tx, before, &decoded.value, intent.accept_plain_callers).await?;
    let changed = row.revision != before.revision;
    let owner = verdict.owner.as_ref();
    resources::own(tx, row.id, &mut row.spec, owner, changed).await?;
    let finding = verdict.finding.as_ref().filter(|_| changed);
    Ok(view::answer(
        StatusCode::OK,
        render(&row, finding),
        &row.spec.etag(),
        None,
    ))
}

pub(crate) async fn get(
    Allow(grant): Allow<MeshRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = meshes::require(&mut tx, &mesh).await?;
    // Never 304: the ETag stands for what the owner wrote, and the body also shows the mesh's revision.
    Ok(view::answer(
        StatusCode::OK,
        render(&row, None),
        &row.spec.etag(),
        None,
    ))
}

pub(crate) async fn put(
    Allow(grant): Allow<MeshWrite>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::owning(&mut query, &headers)?;
    query.finish()?;
    let mut sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let body_name = sent.shift_remove("name");
    let decoded = wire::decode_sent::<Mesh>(sent).map_err(Problem::invalid)?;
    let precondition = precondition(&headers, decoded.etag.clone())?;
    let mut tx = app.store.begin(&grant).await?;
    if meshes::find(&mut tx, &mesh).await?.is_some() {
        // Again, and now under its lock.
        let row = meshes::require(&mut tx, &mesh).await?;
        same_name(body_name, &row.name)?;
        let answer = replace(&mut tx, &intent, &row, &decoded, &precondition).await?;
        return intent.finish(tx, answer).await;
    }
    let name = name_in_path(&mesh)?;
    same_name(body_name, &name)?;
    if let Precondition::Match(_) = precondition {
        return Err(Problem::new(
            Code::StaleEtag,
            "there is no such mesh, so it has no state to match",
        ));
    }
    let answer = insert(&app, &mut tx, &intent, &name, &decoded, uri.path()).await?;
    intent.finish(tx, answer).await
}

pub(crate) async fn patch(
    Allow(grant): Allow<MeshWrite>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    (mut query, Headers(headers)): (Query, Headers),
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::owning(&mut query, &headers)?;
    query.finish()?;
    let mut patch = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let body_name = patch.shift_remove("name");
    let precondition = precondition(&headers, wire::set_aside(&mut patch))?;
    let mut tx = app.store.begin(&grant).await?;
    let row = meshes::require(&mut tx, &mesh).await?;
    same_name(body_name, &row.name)?;
    let merged = wire::merge(row.spec.sent.clone(), patch);
    let decoded = wire::decode_sent::<Mesh>(merged).map_err(Problem::invalid)?;
    let answer = replace(&mut tx, &intent, &row, &decoded, &precondition).await?;
    intent.finish(tx, answer).await
}

pub(crate) async fn delete(
    Allow(grant): Allow<MeshWrite>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    mut query: Query,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    let intent = Intent::owning(&mut query, &headers)?;
    query.finish()?;
    let precondition = precondition(&headers, None)?;
    let mut tx = app.store.begin(&grant).await?;
    let row = meshes::require(&mut tx, &mesh).await?;
    let changes = changes_of(&row);
    let verdict = intent
        .writer
        .may(Some(&row.spec), &changes, &precondition)?;
    let protected =
        wire::decode_object::<Mesh>(&row.spec.sent).map_or(true, |mesh| mesh.is_protected());
    if protected {
        return Err(Problem::new(
            Code::Protected,
            format!(
                "mesh {} is protected; PUT it with `\"deletion_protection\": false` first",
                row.name
            ),
        ));
    }
    meshes::delete(&mut tx, &row, &precondition).await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    verdict.mark(&mut answer);
    intent.finish(tx, answer).await
}
