//! Proxies: the Envoys that are or were connected. Runtime objects: read, or forgotten, never written.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::advisory;
use heddle_model::authz::permission::{ProxyRead, ProxyWrite};
use heddle_store::meshes;
use heddle_store::proxies::{self, ProxyRow};
use serde_json::{Value, json};

use crate::auth::Allow;
use crate::extract::{Page, Query, Segments};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/proxies";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/meshes/{mesh}/proxies/{proxy}";

/// What a proxy is doing, judged against the mesh's revision.
fn state(row: &ProxyRow, mesh_revision: u64) -> &'static str {
    let refused = row.nacks.as_array().is_some_and(|nacks| !nacks.is_empty());
    match row.acked_revision {
        _ if !row.connected => "offline",
        _ if refused => "nacked",
        None => "connecting",
        Some(acked) if acked >= mesh_revision && row.pending_types.is_empty() => "ready",
        Some(_) => "stale",
    }
}

fn render(row: &ProxyRow, mesh_revision: u64) -> Value {
    json!({
        "name": row.node_id,
        "service": row.service,
        "version": row.registration.as_ref().and_then(|at| at.version.as_ref()),
        "mode": if row.augments { "augment" } else { "managed" },
        "state": state(row, mesh_revision),
        "revoked": row.revoked,
        "ephemeral": row.ephemeral,
        "labels": row.labels,
        "address": row.registration.as_ref().map(|at| at.address.to_string()),
        "ports": row.registration.as_ref().map(|at| &at.ports),
        "envoy": {"version": row.envoy_version},
        "advisories": row.envoy_version.as_deref().map(advisory::open_in).unwrap_or_default(),
        "revision": {"target": mesh_revision, "acked": row.acked_revision, "pending_types": row.pending_types},
        "nacks": row.nacks,
        "meta": {
            "uid": row.id.to_string(),
            "kind": "proxy",
            "join_token": row.join_token.to_string(),
            "first_joined_at": view::time(row.joined_at),
            "last_seen_at": row.seen_at.map(view::time),
        },
    })
}

pub(crate) async fn list(
    Allow(grant): Allow<ProxyRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let rows = proxies::page(&mut tx, mesh.id, page.after.as_deref(), page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        ProxyRow::key,
        |row| render(row, mesh.revision),
    ))
}

pub(crate) async fn get(
    Allow(grant): Allow<ProxyRead>,
    State(app): State<App>,
    Segments((_, mesh, proxy)): Segments<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let row = proxies::find(&mut tx, mesh.id, &proxy)
        .await?
        .ok_or_else(Problem::not_found)?;
    Ok(Json(render(&row, mesh.revision)))
}

pub(crate) async fn delete(
    Allow(grant): Allow<ProxyWrite>,
    State(app): State<App>,
    Segments((_, mesh, proxy)): Segments<(String, String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let row = proxies::find(&mut tx, mesh.id, &proxy)
        .await?
        .ok_or_else(Problem::not_found)?;
    proxies::forget(&mut tx, mesh.id, &row).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
