//! Service accounts: programs that call the API, each in one organisation.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::{ServiceAccountRead, ServiceAccountWrite};
use heddle_model::name::Name;
use heddle_model::wire;
use heddle_store::{PrincipalRow, service_accounts};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::members::{PatchPrincipal, roles};
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, PatchBytes, Query, Segments};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/service-accounts";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/service-accounts/{service_account}";

/// A new service account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateServiceAccount {
    /// Unique among the organisation's service accounts.
    pub(crate) name: Name,
    /// What people call it.
    #[schema(max_length = 200)]
    pub(crate) display_name: Option<String>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"name": "deployer", "display_name": "Deploys from the main branch"})
}

fn render(row: &PrincipalRow) -> Value {
    json!({
        "name": row.name,
        "display_name": row.display_name,
        "roles": roles(&row.bound),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "service_account",
            "created_at": view::time(row.created_at),
        },
    })
}

pub(crate) async fn list(
    Allow(grant): Allow<ServiceAccountRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let rows = service_accounts::page(&mut tx, page.after.as_deref(), page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.name.clone(),
        render,
    ))
}

pub(crate) async fn create(
    Allow(grant): Allow<ServiceAccountWrite>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (mut query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let wanted: CreateServiceAccount = wire::decode_object(&sent).map_err(Problem::invalid)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let display_name = wanted.display_name.as_deref();
    let row = service_accounts::create(&mut tx, &wanted.name, display_name).await?;
    let location = format!("{}/{}", uri.path(), row.name);
    let headers = [(http::header::LOCATION, location)];
    let answer = (StatusCode::CREATED, headers, Json(render(&row))).into_response();
    intent.finish(tx, answer).await
}

pub(crate) async fn get(
    Allow(grant): Allow<ServiceAccountRead>,
    State(app): State<App>,
    Segments((_, account)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = service_accounts::find(&mut tx, &account).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
}

pub(crate) async fn patch(
    Allow(grant): Allow<ServiceAccountWrite>,
    State(app): State<App>,
    Segments((_, account)): Segments<(String, String)>,
    mut query: Query,
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let wanted: PatchPrincipal = wire::decode_object(&sent).map_err(Problem::invalid)?;
    let mut tx = app.store.begin(&grant).await?;
    let row = service_accounts::find(&mut tx, &account).await?;
    let mut row = row.ok_or_else(Problem::not_found)?;
    if sent.contains_key("display_name") {
        row = service_accounts::rename(&mut tx, &row, wanted.display_name.as_deref()).await?;
    }
    intent.finish(tx, Json(render(&row)).into_response()).await
}

pub(crate) async fn delete(
    Allow(grant): Allow<ServiceAccountWrite>,
    State(app): State<App>,
    Segments((_, account)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = service_accounts::find(&mut tx, &account).await?;
    service_accounts::remove(&mut tx, &row.ok_or_else(Problem::not_found)?).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
