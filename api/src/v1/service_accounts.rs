//! Service accounts: programs that call the API, each in one organisation.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::{ServiceAccountRead, ServiceAccountWrite};
use heddle_model::name::Name;
use heddle_store::{PrincipalRow, Tx, service_accounts};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::principals::{Principal, roles};
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Query, decode};
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

/// The kind.
#[derive(Debug)]
pub(crate) struct ServiceAccount;

impl Principal for ServiceAccount {
    type Read = ServiceAccountRead;
    type Write = ServiceAccountWrite;

    async fn page(
        tx: &mut Tx<ServiceAccountRead>,
        after: Option<&str>,
        limit: u32,
    ) -> heddle_store::Result<Vec<PrincipalRow>> {
        service_accounts::page(tx, after, limit).await
    }

    async fn find<P: Permission>(
        tx: &mut Tx<P>,
        name_or_id: &str,
    ) -> heddle_store::Result<Option<PrincipalRow>> {
        service_accounts::find(tx, name_or_id).await
    }

    async fn rename(
        tx: &mut Tx<ServiceAccountWrite>,
        row: &PrincipalRow,
        display_name: Option<&str>,
    ) -> heddle_store::Result<PrincipalRow> {
        service_accounts::rename(tx, row, display_name).await
    }

    async fn remove(
        tx: &mut Tx<ServiceAccountWrite>,
        row: &PrincipalRow,
    ) -> heddle_store::Result<()> {
        service_accounts::remove(tx, row).await
    }

    fn render(row: &PrincipalRow) -> Value {
        render(row)
    }
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

pub(crate) async fn create(
    Allow(grant): Allow<ServiceAccountWrite>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (mut query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let wanted: CreateServiceAccount = decode(&body)?;
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
