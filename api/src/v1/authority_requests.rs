//! Authority requests: what the owner of a root is asked to sign, so that a mesh is under a root of its own.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::{MeshRead, MeshWrite};
use heddle_model::code::Code;
use heddle_model::id::AuthorityId;
use heddle_store::authority_requests::{self, AuthorityRequestRow, MOST};
use heddle_store::{Error, meshes};
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
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/authority-requests";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/meshes/{mesh}/authority-requests/{request}";

/// A new authority request. There is nothing to say: the mesh decides what is in it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAuthorityRequest {}

fn render(row: &AuthorityRequestRow) -> Value {
    json!({
        "csr": row.request_pem,
        "meta": {
            "uid": row.id,
            "kind": "authority_request",
            "created_at": view::time(row.created_at),
            "created_by": row.created_by,
        },
    })
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
    let CreateAuthorityRequest {} = decode(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let at = tx.mesh_ref(&mesh);
    let made = app.outside.request(&at, &mesh.trust_domain).await;
    let made = made.map_err(Error::Signer)?;
    let row = authority_requests::create(&mut tx, mesh.id, made).await?;
    let row = row.ok_or_else(|| {
        let detail = format!("{MOST} requests of this mesh wait already");
        Problem::new(Code::LimitReached, detail)
    })?;
    let location = format!("{}/{}", uri.path(), row.id);
    let mut answer = render(&row);
    if intent.dry_run {
        // Its key is thrown away: nobody shall have it signed.
        answer["csr"] = Value::Null;
    }
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
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
    let after = page.parse_after(|text| text.parse::<AuthorityId>().ok())?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let mut rows = authority_requests::list(&mut tx, mesh.id).await?;
    rows.retain(|row| after.is_none_or(|after| row.id.uuid() < after.uuid()));
    let key = |row: &AuthorityRequestRow| row.id.to_string();
    Ok(view::list(rows, &page, &uri.to_string(), key, render))
}

pub(crate) async fn get(
    Allow(grant): Allow<MeshRead>,
    State(app): State<App>,
    Segments((_, mesh, request)): Segments<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let id: AuthorityId = request.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let row = authority_requests::find(&mut tx, mesh.id, id).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
}

pub(crate) async fn delete(
    Allow(grant): Allow<MeshWrite>,
    State(app): State<App>,
    Segments((_, mesh, request)): Segments<(String, String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let id: AuthorityId = request.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    authority_requests::delete(&mut tx, mesh.id, id).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
