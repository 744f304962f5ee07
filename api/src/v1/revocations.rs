//! Revocations: a proxy, or a service with all of its proxies, that is not to be trusted any more.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::{ProxyRead, ProxyWrite};
use heddle_model::code::Code;
use heddle_model::id::RevocationId;
use heddle_model::name::Name;
use heddle_model::violation::Violation;
use heddle_store::meshes::MeshRow;
use heddle_store::revocations::{self, RevocationRow, Revoked};
use heddle_store::{Error, Tx, meshes, proxies, resources};
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
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/revocations";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/meshes/{mesh}/revocations/{revocation}";

/// Who is revoked, and why. Exactly one of `proxy` and `service`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRevocation {
    /// A proxy: its name or its identifier. A name that several services' proxies have names none of them.
    #[schema(min_length = 1, max_length = 256)]
    pub(crate) proxy: Option<String>,
    /// A service, with all of its proxies.
    pub(crate) service: Option<Name>,
    /// Why, for whoever reads it later.
    #[schema(min_length = 1, max_length = 500)]
    pub(crate) reason: String,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"proxy": "payments-1", "reason": "The host was broken into: SEC-77."})
}

fn render(row: &RevocationRow) -> Value {
    let proxy = match &row.revoked {
        Revoked::Proxy { id, node_id } => json!({"name": node_id, "uid": id.to_string()}),
        Revoked::Service => Value::Null,
    };
    let lifted = row.lifted.as_ref();
    json!({
        "proxy": proxy,
        "service": row.service,
        "reason": row.reason,
        "state": if lifted.is_some() { "lifted" } else { "in_force" },
        "meta": {
            "uid": row.id.to_string(),
            "kind": "revocation",
            "created_at": view::time(row.created_at),
            "created_by": row.created_by,
            "lifted_at": lifted.map(|(at, _)| view::time(*at)),
            "lifted_by": lifted.map(|(_, by)| by),
        },
    })
}

fn violation(pointer: &str, code: Code, detail: impl Into<String>) -> Problem {
    Violation {
        pointer: pointer.to_owned(),
        code,
        detail: detail.into(),
        hint: None,
    }
    .into()
}

/// The service and which of its identities a body names.
async fn named(
    tx: &mut Tx<ProxyWrite>,
    mesh: &MeshRow,
    wanted: CreateRevocation,
) -> Result<(Name, Revoked), Problem> {
    match (wanted.proxy, wanted.service) {
        (Some(proxy), None) => {
            let found = proxies::find(tx, mesh.id, &proxy).await?;
            let missing = "there is not exactly one proxy of that name or identifier";
            let row = found.ok_or_else(|| violation("/proxy", Code::UnknownReference, missing))?;
            let revoked = Revoked::Proxy {
                id: row.id,
                node_id: row.node_id,
            };
            Ok((row.service, revoked))
        }
        (None, Some(service)) => {
            let services = std::slice::from_ref(&service);
            if resources::service_exists(tx, mesh.id, services).await? != [true] {
                let detail = format!("there is no service {service} in this mesh");
                return Err(violation("/service", Code::UnknownReference, detail));
            }
            Ok((service, Revoked::Service))
        }
        (None, None) | (Some(_), Some(_)) => Err(violation(
            "",
            Code::ExactlyOne,
            "of `proxy` and `service` exactly one",
        )),
    }
}

pub(crate) async fn create(
    Allow(grant): Allow<ProxyWrite>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let wanted: CreateRevocation = decode(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let reason = wanted.reason.clone();
    let (service, revoked) = named(&mut tx, &mesh, wanted).await?;
    let made = revocations::create(&mut tx, mesh.id, &service, &revoked, &reason).await;
    let row = made.map_err(|error| match error {
        Error::AlreadyExists { .. } => Problem::new(Code::AlreadyExists, "it is revoked already"),
        other => other.into(),
    })?;
    let location = format!("{}/{}", uri.path(), row.id);
    let headers = [(http::header::LOCATION, location)];
    let answer = (StatusCode::CREATED, headers, Json(render(&row))).into_response();
    intent.finish(tx, answer).await
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
    let after = page.parse_after(|text| text.parse::<RevocationId>().ok())?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let rows = revocations::page(&mut tx, mesh.id, after, page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.id.to_string(),
        render,
    ))
}

pub(crate) async fn get(
    Allow(grant): Allow<ProxyRead>,
    State(app): State<App>,
    Segments((_, mesh, revocation)): Segments<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let id = revocation.parse().map_err(|_| Problem::not_found())?;
    let row = revocations::find(&mut tx, mesh.id, id).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
}

pub(crate) async fn delete(
    Allow(grant): Allow<ProxyWrite>,
    State(app): State<App>,
    Segments((_, mesh, revocation)): Segments<(String, String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let id = revocation.parse().map_err(|_| Problem::not_found())?;
    revocations::lift(&mut tx, mesh.id, id).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
