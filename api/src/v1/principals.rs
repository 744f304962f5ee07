//! What members and service accounts have alike: how they are listed, read, called otherwise and removed.

use std::future::Future;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::{Permission, access};
use heddle_model::wire;
use heddle_store::{Bound, PrincipalRow, Tx};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::Allow;
use crate::extract::{Page, PatchBytes, Query, Segments};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;

/// Whoever can have roles.
pub(crate) trait Principal: 'static {
    /// What reads them.
    type Read: Permission;
    /// What changes them.
    type Write: Permission<Access = access::Write>;

    /// In the order of their names, after one, so many at most.
    fn page(
        tx: &mut Tx<Self::Read>,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = heddle_store::Result<Vec<PrincipalRow>>> + Send;

    /// By name or identifier.
    fn find<P: Permission>(
        tx: &mut Tx<P>,
        name_or_id: &str,
    ) -> impl Future<Output = heddle_store::Result<Option<PrincipalRow>>> + Send;

    fn rename(
        tx: &mut Tx<Self::Write>,
        row: &PrincipalRow,
        display_name: Option<&str>,
    ) -> impl Future<Output = heddle_store::Result<PrincipalRow>> + Send;

    fn remove(
        tx: &mut Tx<Self::Write>,
        row: &PrincipalRow,
    ) -> impl Future<Output = heddle_store::Result<()>> + Send;

    fn render(row: &PrincipalRow) -> Value;
}

/// What is changed of a member or a service account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchPrincipal {
    /// What people call it; null removes it.
    #[schema(max_length = 200)]
    pub(crate) display_name: Option<String>,
}

/// Roles as answers show them.
pub(crate) fn roles(bound: &[Bound]) -> Vec<Value> {
    let role = |b: &Bound| match b.mesh {
        None => json!({"role": b.role}),
        Some(mesh) => json!({"role": b.role, "mesh": mesh.to_string()}),
    };
    bound.iter().map(role).collect()
}

/// The one that a path names.
async fn found<K: Principal, P: Permission>(
    tx: &mut Tx<P>,
    name_or_id: &str,
) -> Result<PrincipalRow, Problem> {
    let row = K::find(tx, name_or_id).await?;
    row.ok_or_else(Problem::not_found)
}

pub(crate) async fn list<K: Principal>(
    Allow(grant): Allow<K::Read>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let rows = K::page(&mut tx, page.after.as_deref(), page.limit + 1).await?;
    let name = |row: &PrincipalRow| row.name.clone();
    Ok(crate::view::list(
        rows,
        &page,
        &uri.to_string(),
        name,
        K::render,
    ))
}

pub(crate) async fn get<K: Principal>(
    Allow(grant): Allow<K::Read>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = found::<K, _>(&mut tx, &name).await?;
    Ok(Json(K::render(&row)))
}

pub(crate) async fn patch<K: Principal>(
    Allow(grant): Allow<K::Write>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    mut query: Query,
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let wanted: PatchPrincipal = wire::decode_object(&sent).map_err(Problem::invalid)?;
    let mut tx = app.store.begin(&grant).await?;
    let mut row = found::<K, _>(&mut tx, &name).await?;
    if sent.contains_key("display_name") {
        row = K::rename(&mut tx, &row, wanted.display_name.as_deref()).await?;
    }
    intent
        .finish(tx, Json(K::render(&row)).into_response())
        .await
}

pub(crate) async fn delete<K: Principal>(
    Allow(grant): Allow<K::Write>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = found::<K, _>(&mut tx, &name).await?;
    K::remove(&mut tx, &row).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
