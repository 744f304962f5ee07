//! Members: people, each in one organisation.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::Role;
use heddle_model::authz::permission::{MemberRead, MemberWrite};
use heddle_model::email::Email;
use heddle_model::wire;
use heddle_store::{Bound, PrincipalRow, members};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, PatchBytes, Query, Segments};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/members";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/members/{member}";
/// The path of new passwords of one.
pub(crate) const PASSWORD_RESETS: &str = "/v1/orgs/{org}/members/{member}/password-resets";

/// A new member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateMember {
    /// What the member signs in with; unique in the organisation, whatever the case.
    pub(crate) email: Email,
    /// What people call the member.
    #[schema(max_length = 200)]
    pub(crate) display_name: Option<String>,
    /// A role in the whole organisation; takes `role_bindings:write` as well. Without it the member may do nothing yet.
    pub(crate) role: Option<Role>,
}

/// What is changed of a member or a service account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchPrincipal {
    /// What people call it; null removes it.
    #[schema(max_length = 200)]
    pub(crate) display_name: Option<String>,
}

/// Nothing needs to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"email": "ada@example.com", "display_name": "Ada", "role": "developer"})
}

/// Roles as answers show them.
pub(crate) fn roles(bound: &[Bound]) -> Vec<Value> {
    let role = |b: &Bound| match b.mesh {
        None => json!({"role": b.role}),
        Some(mesh) => json!({"role": b.role, "mesh": mesh.to_string()}),
    };
    bound.iter().map(role).collect()
}

fn render(row: &PrincipalRow) -> Value {
    json!({
        "email": row.name,
        "display_name": row.display_name,
        "roles": roles(&row.bound),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "member",
            "created_at": view::time(row.created_at),
        },
    })
}

/// An answer that holds a secret: nobody keeps a copy on the way.
pub(crate) fn secret_answer(status: StatusCode, body: Value, location: Option<&str>) -> Response {
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-store"),
    );
    if let Some(location) = location.and_then(|l| l.parse().ok()) {
        headers.insert(http::header::LOCATION, location);
    }
    response
}

pub(crate) async fn list(
    Allow(grant): Allow<MemberRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let rows = members::page(&mut tx, page.after.as_deref(), page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.name.clone(),
        render,
    ))
}

pub(crate) async fn create(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (mut query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let wanted: CreateMember = wire::decode_object(&sent).map_err(Problem::invalid)?;
    let (password, hash) = first_password(&app).await?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let new = members::NewMember {
        email: wanted.email,
        display_name: wanted.display_name,
        password_hash: Some(hash),
        role: wanted.role,
    };
    let row = members::create(&mut tx, &new).await?;
    let mut answer = render(&row);
    if !intent.dry_run {
        answer["initial_password"] = json!(password.expose_secret());
    }
    let location = format!("{}/{}", uri.path(), row.id);
    intent
        .finish(
            tx,
            secret_answer(StatusCode::CREATED, answer, Some(&location)),
        )
        .await
}

async fn first_password(app: &App) -> Result<(SecretString, String), Problem> {
    let password = heddle_store::draw_password()?;
    let hash = app.store.hash_password(password.clone()).await?;
    Ok((password, hash))
}

pub(crate) async fn get(
    Allow(grant): Allow<MemberRead>,
    State(app): State<App>,
    Segments((_, member)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = members::find(&mut tx, &member).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
}

pub(crate) async fn patch(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, member)): Segments<(String, String)>,
    mut query: Query,
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let wanted: PatchPrincipal = wire::decode_object(&sent).map_err(Problem::invalid)?;
    let mut tx = app.store.begin(&grant).await?;
    let row = members::find(&mut tx, &member).await?;
    let mut row = row.ok_or_else(Problem::not_found)?;
    if sent.contains_key("display_name") {
        row = members::rename(&mut tx, &row, wanted.display_name.as_deref()).await?;
    }
    intent.finish(tx, Json(render(&row)).into_response()).await
}

pub(crate) async fn delete(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, member)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = members::find(&mut tx, &member).await?;
    members::remove(&mut tx, &row.ok_or_else(Problem::not_found)?).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}

pub(crate) async fn reset_password(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, member)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let Empty {} = wire::decode_object(&sent).map_err(Problem::invalid)?;
    let (password, hash) = first_password(&app).await?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let row = members::find(&mut tx, &member).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    members::set_password(&mut tx, &row, &hash).await?;
    let mut answer = render(&row);
    if !intent.dry_run {
        answer["initial_password"] = json!(password.expose_secret());
    }
    intent
        .finish(tx, secret_answer(StatusCode::CREATED, answer, None))
        .await
}
