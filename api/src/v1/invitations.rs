//! Invitations: whoever may make members has somebody become one, and whoever got the link does.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::Role;
use heddle_model::authz::permission::{MemberRead, MemberWrite};
use heddle_model::code::Code;
use heddle_model::email::Email;
use heddle_model::id::InvitationId;
use heddle_store::invitations::{self, InvitationRow, NewAccount, Refused};
use heddle_store::{Error, Visitor};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::links;
use super::members::{self, Empty};
use crate::auth::{Allow, Peer};
use crate::extract::{Headers, JsonBytes, Page, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/invitations";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/invitations/{invitation}";
/// Where one is sent again.
pub(crate) const SENDINGS: &str = "/v1/orgs/{org}/invitations/{invitation}/sendings";
/// Where whoever got a link sees what it is.
pub(crate) const LOOKUPS: &str = "/v1/invitations/lookups";
/// Where they accept.
pub(crate) const ACCEPTANCES: &str = "/v1/invitations/acceptances";

/// Who shall become a member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateInvitation {
    /// Where the invitation is sent, and what the member will sign in with.
    pub(crate) email: Email,
    /// The role in the whole organisation that comes with it; takes `role_bindings:write` as well.
    pub(crate) role: Role,
}

/// The secret of a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookUpInvitation {
    /// The name of the organisation, from the link.
    #[schema(max_length = 63, example = "acme")]
    pub(crate) org: String,
    /// The secret, from the link: what stands after the `#`.
    #[schema(value_type = String, max_length = 200, example = "heddle_inv_")]
    pub(crate) secret: SecretString,
}

/// Who becomes a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptInvitation {
    /// The name of the organisation, from the link.
    #[schema(max_length = 63, example = "acme")]
    pub(crate) org: String,
    /// The secret, from the link: what stands after the `#`.
    #[schema(value_type = String, max_length = 200, example = "heddle_inv_")]
    pub(crate) secret: SecretString,
    /// The address that the invitation was sent to.
    pub(crate) email: Email,
    /// What people call the member.
    #[schema(max_length = 200)]
    pub(crate) display_name: Option<String>,
    /// What the member will sign in with: 12 to 128 characters.
    #[schema(value_type = String, min_length = 12, max_length = 128, format = "password", example = "correct horse battery staple")]
    pub(crate) password: SecretString,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"email": "cleo@example.com", "role": "developer"})
}

/// An example of the body.
pub(crate) fn look_sample() -> Value {
    json!({"org": "acme", "secret": "heddle_inv_"})
}

/// An example of the body.
pub(crate) fn accept_sample() -> Value {
    json!({"org": "acme", "secret": "heddle_inv_", "email": "cleo@example.com", "display_name": "Cleo", "password": "correct horse battery staple"})
}

fn render(row: &InvitationRow) -> Value {
    json!({
        "email": row.email,
        "role": row.role,
        "state": row.state.as_str(),
        "delivery": row.delivery.map(invitations::Delivery::as_str),
        "expires_at": view::time(row.expires_at),
        "member": row.member.map(|member| member.to_string()),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "invitation",
            "created_at": view::time(row.created_at),
            "created_by": row.created_by,
        },
    })
}

fn id(text: &str) -> Result<InvitationId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

pub(crate) async fn list(
    Allow(grant): Allow<MemberRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let before = page.parse_after(|text| text.parse::<InvitationId>().ok())?;
    let mut tx = app.store.begin(&grant).await?;
    let rows = invitations::page(&mut tx, before, page.limit + 1).await?;
    let key = |row: &InvitationRow| row.id.to_string();
    Ok(view::list(rows, &page, &uri.to_string(), key, render))
}

pub(crate) async fn get(
    Allow(grant): Allow<MemberRead>,
    State(app): State<App>,
    Segments((_, invitation)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = invitations::find(&mut tx, &invitation).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
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
    let wanted: CreateInvitation = decode(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let made = invitations::create(&mut tx, &wanted.email, wanted.role).await;
    let row = made.map_err(taken)?.map_err(links::wait)?;
    let location = HeaderValue::from_str(&format!("{}/{}", uri.path(), row.id));
    let mut answer = (StatusCode::CREATED, Json(render(&row))).into_response();
    if let Ok(location) = location {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    intent.finish(tx, answer).await
}

/// What stands in the way of an invitation, or of a member.
pub(crate) fn taken(error: Error) -> Problem {
    match error {
        Error::AlreadyExists { constraint } if constraint == "principals_name_key" => Problem::new(
            Code::AlreadyExists,
            "there is a member with this e-mail address",
        ),
        Error::AlreadyExists { .. } => Problem::new(
            Code::AlreadyInvited,
            "there is an invitation to this address; send it again, or withdraw it",
        ),
        error => error.into(),
    }
}

pub(crate) async fn send_again(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, invitation)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let Empty {} = decode(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let sent = invitations::send_again(&mut tx, id(&invitation)?).await;
    let row = sent.map_err(taken)?.map_err(links::wait)?;
    let answer = (StatusCode::CREATED, Json(render(&row))).into_response();
    intent.finish(tx, answer).await
}

pub(crate) async fn withdraw(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, invitation)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    invitations::withdraw(&mut tx, id(&invitation)?).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}

pub(crate) fn refused(why: Refused) -> Problem {
    match why {
        Refused::Link(_) => links::unusable(),
        Refused::Address => Problem::new(
            Code::InvitedElsewhere,
            "the invitation was sent to another address",
        ),
        Refused::Sso => Problem::new(
            Code::SsoRequired,
            "this organisation asks its members to sign in by its provider: accept the invitation with that",
        ),
        Refused::Wait(wait) => links::wait(wait),
    }
}

pub(crate) async fn look(
    State(app): State<App>,
    Peer(ip): Peer,
    Headers(headers): Headers,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: LookUpInvitation = decode(&body)?;
    let from = Visitor {
        client: links::client(&headers),
        ip,
    };
    let link = (wanted.org.as_str(), &wanted.secret);
    let row = invitations::look(&app.store, link, &from).await?;
    let row = row.map_err(refused)?;
    let body = json!({
        "org": wanted.org,
        "email": row.email,
        "role": row.role,
        "expires_at": view::time(row.expires_at),
    });
    Ok(view::secret_answer(StatusCode::OK, body, None))
}

pub(crate) async fn accept(
    State(app): State<App>,
    Peer(ip): Peer,
    Headers(headers): Headers,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: AcceptInvitation = decode(&body)?;
    let from = Visitor {
        client: links::client(&headers),
        ip,
    };
    let link = (wanted.org.as_str(), &wanted.secret);
    let new = NewAccount {
        email: &wanted.email,
        display_name: wanted.display_name.as_deref(),
        password: wanted.password,
    };
    let made = invitations::accept(&app.store, link, new, &from).await;
    let row = made.map_err(taken)?.map_err(refused)?;
    let location = format!("/v1/orgs/{}/members/{}", wanted.org, row.id);
    let body = members::render(&row);
    Ok(view::secret_answer(
        StatusCode::CREATED,
        body,
        Some(&location),
    ))
}
