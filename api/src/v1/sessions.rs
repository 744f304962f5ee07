//! Sessions: signing in, staying in, and out again.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::code::Code;
use heddle_model::id::{MemberId, SessionId};
use heddle_store::sessions::{self, Challenge, Refused, SessionRow, SignedIn, Step};
use heddle_store::{Principal, Visitor, members};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::{self, Allow, Enrolling, Peer};
use crate::extract::{Headers, JsonBytes, Page, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// Where people sign in.
pub(crate) const SIGN_IN: &str = "/v1/sessions";
/// Where those who have one show their second factor.
pub(crate) const SECOND_FACTORS: &str = "/v1/sessions/second-factors";
/// Where the next token of a session comes from.
pub(crate) const REFRESHES: &str = "/v1/sessions/refreshes";
/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/sessions";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/sessions/{session}";
/// Where members change their own password.
pub(crate) const PASSWORD_CHANGES: &str = "/v1/orgs/{org}/password-changes";

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSession {
    /// The name of the organisation.
    #[schema(max_length = 63, example = "acme")]
    pub(crate) org: String,
    /// The member's e-mail address.
    #[schema(max_length = 254, example = "ada@example.com")]
    pub(crate) email: String,
    /// The member's password.
    #[schema(value_type = String, max_length = 128, format = "password", example = "correct horse battery staple")]
    pub(crate) password: SecretString,
}

/// The second step of signing in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerChallenge {
    /// The name of the organisation.
    #[schema(max_length = 63, example = "acme")]
    pub(crate) org: String,
    /// The challenge that the first step was answered with.
    #[schema(value_type = String, max_length = 200, example = "heddle_mfa_")]
    pub(crate) challenge: SecretString,
    /// The code that the authenticator shows now, or a recovery code.
    #[schema(value_type = String, max_length = 64, example = "287082")]
    pub(crate) code: SecretString,
}

/// The refresh secret of a session. It works once: the answer holds the next one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshSession {
    /// The secret, from the answer before.
    #[schema(value_type = String, max_length = 200, example = "heddle_ref_")]
    pub(crate) refresh_token: SecretString,
}

/// A member's own new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    /// The password as it is.
    #[schema(value_type = String, max_length = 128, format = "password", example = "correct horse battery staple")]
    pub(crate) current_password: SecretString,
    /// The password as it shall be: 12 to 128 characters.
    #[schema(value_type = String, min_length = 12, max_length = 128, format = "password", example = "staple battery horse correct")]
    pub(crate) new_password: SecretString,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"org": "acme", "email": "ada@example.com", "password": "correct horse battery staple"})
}

/// An example of the body.
pub(crate) fn challenge_sample() -> Value {
    json!({"org": "acme", "challenge": "heddle_mfa_", "code": "287082"})
}

/// An example of the body.
pub(crate) fn refresh_sample() -> Value {
    json!({"refresh_token": "heddle_ref_"})
}

/// An example of the body.
pub(crate) fn password_sample() -> Value {
    json!({"current_password": "correct horse battery staple", "new_password": "staple battery horse correct"})
}

/// What a member gets who is let in.
pub(crate) fn signed_in(signed: &SignedIn, now: DateTime<Utc>) -> Response {
    let body = json!({
        "access_token": signed.access_token.expose_secret(),
        "token_type": "Bearer",
        "expires_in": (signed.access_until - now).num_seconds().max(0),
        "expires_at": view::time(signed.access_until),
        "refresh_token": signed.refresh_token.expose_secret(),
        "session": {"uid": signed.session.to_string()},
        "member": {"uid": signed.member.to_string(), "email": signed.email},
        "org": {"uid": signed.org.to_string(), "name": signed.org_name},
    });
    let location = format!("/v1/orgs/{}/sessions/{}", signed.org_name, signed.session);
    view::secret_answer(StatusCode::CREATED, body, Some(&location))
}

/// Why somebody is not let in.
pub(crate) fn refused(refused: Refused, detail: &str) -> Problem {
    match refused {
        Refused::Credentials => Problem::new(Code::Unauthenticated, detail),
        Refused::Challenge => Problem::new(
            Code::ChallengeUnusable,
            "the challenge cannot be answered; sign in from the start",
        ),
        Refused::Wait(wait) => {
            let seconds = wait.num_seconds().max(0) + 1;
            let detail = format!("too many attempts; wait {seconds} seconds");
            Problem::new(Code::TooManyAttempts, detail)
                .header(header::RETRY_AFTER, HeaderValue::from(seconds))
        }
    }
}

fn client(headers: &http::HeaderMap) -> Option<&str> {
    headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok())
}

pub(crate) async fn create(
    State(app): State<App>,
    Peer(ip): Peer,
    Headers(headers): Headers,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CreateSession = decode(&body)?;
    let client = client(&headers);
    let from = Visitor { client, ip };
    let who = (wanted.org.as_str(), wanted.email.as_str());
    let (store, sealer) = (&app.store, app.sealer.as_ref());
    let signed = sessions::sign_in(store, sealer, who, wanted.password, from).await?;
    let wrong = "organisation, e-mail address or password is wrong";
    match signed.map_err(|why| refused(why, wrong))? {
        Step::In(signed) => Ok(signed_in(&signed, app.clock.now())),
        Step::SecondFactor(challenge) => Err(second_factor(&challenge, app.clock.now())),
    }
}

/// What whoever has taken the first step is told who has a second factor.
pub(crate) fn second_factor(challenge: &Challenge, now: DateTime<Utc>) -> Problem {
    let detail = "the first step is taken; send `challenge` with a code of your second factor";
    let seconds = (challenge.expires_at - now).num_seconds().max(0);
    Problem::new(Code::SecondFactorNeeded, detail)
        .with("mfa_required", json!(true))
        .with("challenge", json!(challenge.secret.expose_secret()))
        .with("expires_in", json!(seconds))
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

pub(crate) async fn answer(
    State(app): State<App>,
    Peer(ip): Peer,
    Headers(headers): Headers,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: AnswerChallenge = decode(&body)?;
    let client = client(&headers);
    let from = Visitor { client, ip };
    let challenge = (wanted.org.as_str(), &wanted.challenge);
    let (store, sealer) = (&app.store, app.sealer.as_ref());
    let signed = sessions::answer(store, sealer, challenge, &wanted.code, &from).await?;
    let wrong = "the code is wrong, or was used before";
    let signed = signed.map_err(|why| refused(why, wrong))?;
    Ok(signed_in(&signed, app.clock.now()))
}

pub(crate) async fn refresh(
    State(app): State<App>,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: RefreshSession = decode(&body)?;
    let sealer = app.sealer.as_ref();
    let signed = sessions::refresh(&app.store, sealer, &wanted.refresh_token).await?;
    let wrong = "the refresh secret is unknown, was used before, or its session has ended";
    let signed = signed.map_err(|why| refused(why, wrong))?;
    Ok(signed_in(&signed, app.clock.now()))
}

fn render(row: &SessionRow) -> Value {
    json!({
        "member": {"uid": row.member.to_string(), "email": row.email},
        "method": row.method,
        "second_factor": row.second_factor,
        "client": row.client,
        "scopes": row.scopes,
        "expires_at": view::time(row.expires_at),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "session",
            "created_at": view::time(row.created_at),
            "refreshed_at": view::time(row.refreshed_at),
        },
    })
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
    let before = page.parse_after(|text| text.parse::<SessionId>().ok())?;
    let mut tx = app.store.begin(&grant).await?;
    let whose = match member {
        None => None,
        Some(member) => {
            let nobody = Principal::Member(MemberId::from_uuid(uuid::Uuid::nil()));
            let found = members::find(&mut tx, &member).await?;
            Some(found.map_or(nobody, |row| row.id))
        }
    };
    let rows = sessions::page(&mut tx, whose, before, page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.id.to_string(),
        render,
    ))
}

pub(crate) async fn get(
    Allow(grant): Allow<AccountRead>,
    State(app): State<App>,
    Segments((_, session)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = sessions::find(&mut tx, &session).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
}

pub(crate) async fn delete(
    caller: Enrolling<AccountManage>,
    State(app): State<App>,
    Segments((_, session)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    // Whoever has to set up a second factor first may still leave.
    if caller.lacks_second_factor && session != "current" {
        return Err(auth::second_factor_required());
    }
    if caller.lacks_sso && session != "current" {
        return Err(auth::sso_required());
    }
    let mut tx = app.store.begin(&caller.grant).await?;
    sessions::revoke(&mut tx, &session).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}

pub(crate) async fn change_password(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (mut query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    // Of passwords nothing is kept that could be guessed against: here a key stands for the address alone.
    let intent = Intent::take(&mut query)?.once(&headers, &uri, b"")?;
    query.finish()?;
    let wanted: ChangePassword = decode(&body)?;
    // Before the password is looked at, which is another one after the first time.
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    tx.roll_back().await?;
    let (current, new) = (wanted.current_password, wanted.new_password);
    let changed = sessions::change_password(&app.store, &grant, current, new).await?;
    let mut tx = changed.map_err(|why| match why {
        Refused::Credentials => super::role_bindings::violation(
            "/current_password",
            Code::Mismatch,
            "this is not the password",
        ),
        other @ (Refused::Challenge | Refused::Wait(_)) => refused(other, ""),
    })?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
