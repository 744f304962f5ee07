//! Members: people, each in one organisation.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use heddle_model::authz::permission::{MemberRead, MemberWrite};
use heddle_model::authz::{Permission, Role};
use heddle_model::email::Email;
use heddle_store::{PrincipalRow, Tx, members};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::principals::{Principal, roles};
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Query, Segments, decode};
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

/// Nothing needs to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"email": "ada@example.com", "display_name": "Ada", "role": "developer"})
}

/// The kind.
#[derive(Debug)]
pub(crate) struct Member;

impl Principal for Member {
    type Read = MemberRead;
    type Write = MemberWrite;

    async fn page(
        tx: &mut Tx<MemberRead>,
        after: Option<&str>,
        limit: u32,
    ) -> heddle_store::Result<Vec<PrincipalRow>> {
        members::page(tx, after, limit).await
    }

    async fn find<P: Permission>(
        tx: &mut Tx<P>,
        email_or_id: &str,
    ) -> heddle_store::Result<Option<PrincipalRow>> {
        members::find(tx, email_or_id).await
    }

    async fn rename(
        tx: &mut Tx<MemberWrite>,
        row: &PrincipalRow,
        display_name: Option<&str>,
    ) -> heddle_store::Result<PrincipalRow> {
        members::rename(tx, row, display_name).await
    }

    async fn remove(tx: &mut Tx<MemberWrite>, row: &PrincipalRow) -> heddle_store::Result<()> {
        members::remove(tx, row).await
    }

    fn render(row: &PrincipalRow) -> Value {
        render(row)
    }
}

pub(crate) fn render(row: &PrincipalRow) -> Value {
    json!({
        "email": row.name,
        "display_name": row.display_name,
        "roles": roles(&row.bound),
        "has_second_factor": row.has_second_factor,
        "meta": {
            "uid": row.id.to_string(),
            "kind": "member",
            "created_at": view::time(row.created_at),
        },
    })
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
    let wanted: CreateMember = decode(&body)?;
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
            view::secret_answer(StatusCode::CREATED, answer, Some(&location)),
        )
        .await
}

async fn first_password(app: &App) -> Result<(SecretString, String), Problem> {
    let password = heddle_store::draw_password()?;
    let hash = app.store.hash_password(password.clone()).await?;
    Ok((password, hash))
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
    let Empty {} = decode(&body)?;
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
        .finish(tx, view::secret_answer(StatusCode::CREATED, answer, None))
        .await
}
