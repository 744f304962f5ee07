//! What members are known by at providers: linking the caller's own account, and unlinking.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::id::{IdentityId, MemberId};
use heddle_oidc::Asking;
use heddle_store::identities::{self, IdentityRow};
use heddle_store::{Error, Principal, members, sso_sign_ins};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::sso_sign_ins::{CompleteSsoSignIn, linked, not_vouched, of, refused, sent, vouched};
use crate::auth::{Allow, Enrolling};
use crate::extract::{JsonBytes, Page, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/identities";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/identities/{identity}";
/// Where the caller is sent to a provider.
pub(crate) const REQUESTS: &str = "/v1/orgs/{org}/identities/requests";

/// By which provider the caller wants to sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateIdentityRequest {
    /// The name of the connection.
    #[schema(max_length = 63, example = "workforce")]
    pub(crate) connection: String,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"connection": "workforce"})
}

fn render(row: &IdentityRow) -> Value {
    json!({
        "member": {"uid": row.member.to_string(), "email": row.member_email},
        "connection": {"uid": row.connection.to_string(), "name": row.connection_name},
        "subject": row.subject,
        "provider_email": row.email,
        "last_used_at": view::time(row.last_used_at),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "identity",
            "created_at": view::time(row.created_at),
        },
    })
}

fn id(text: &str) -> Result<IdentityId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

pub(crate) async fn list(
    Allow(grant): Allow<AccountRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    let member = query.take("member");
    query.finish()?;
    let before = page.parse_after(|text| text.parse::<IdentityId>().ok())?;
    let mut tx = app.store.begin(&grant).await?;
    let whose = match member {
        None => None,
        Some(member) => {
            let nobody = Principal::Member(MemberId::from_uuid(uuid::Uuid::nil()));
            let found = members::find(&mut tx, &member).await?;
            Some(found.map_or(nobody, |row| row.id))
        }
    };
    let rows = identities::page(&mut tx, whose, before, page.limit + 1).await?;
    let key = |row: &IdentityRow| row.id.to_string();
    Ok(view::list(rows, &page, &uri.to_string(), key, render))
}

pub(crate) async fn get(
    Allow(grant): Allow<AccountRead>,
    State(app): State<App>,
    Segments((_, identity)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = identities::find(&mut tx, id(&identity)?).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
}

pub(crate) async fn request(
    caller: Enrolling<AccountManage>,
    State(app): State<App>,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CreateIdentityRequest = decode(&body)?;
    let mut tx = app.store.begin(&caller.grant).await?;
    let one = sso_sign_ins::send_to_link(&mut tx, &wanted.connection).await?;
    tx.commit().await?;
    sent(&app, &one, Asking::default()).await
}

pub(crate) async fn create(
    caller: Enrolling<AccountManage>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CompleteSsoSignIn = decode(&body)?;
    let (store, sealer, grant) = (&app.store, app.sealer.as_ref(), &caller.grant);
    let taken = sso_sign_ins::take_to_link(store, sealer, grant, &wanted.secret).await?;
    let taken = taken.map_err(refused)?;
    let identity = vouched(&app, &taken, wanted).await;
    let identity = identity.map_err(|why| not_vouched(&why))?;
    let mut tx = store.begin(grant).await?;
    let row = identities::link(&mut tx, &taken, &of(&identity)).await;
    let row = row.map_err(|error| match error {
        Error::AlreadyExists { .. } => linked(),
        error => error.into(),
    })?;
    tx.commit().await?;
    let mut answer = (StatusCode::CREATED, Json(render(&row))).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{}", uri.path(), row.id)) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

pub(crate) async fn delete(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    Segments((_, identity)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    identities::remove(&mut tx, id(&identity)?).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
