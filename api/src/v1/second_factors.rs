//! The caller's own second factor: setting one up, its recovery codes, and its end. And that of a member who has lost it.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::{AccountManage, AccountRead, MemberWrite};
use heddle_model::code::Code;
use heddle_store::second_factors::{self, Shown};
use heddle_store::sessions::Refused;
use heddle_store::{Grant, Tx, members};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::members::Empty;
use super::sessions::refused;
use crate::auth::{Allow, Enrolling};
use crate::extract::{Headers, JsonBytes, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the caller's own.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/second-factor";
/// Where one is set up.
pub(crate) const ENROLMENTS: &str = "/v1/orgs/{org}/second-factor/enrolments";
/// Where it is confirmed.
pub(crate) const CONFIRMATIONS: &str = "/v1/orgs/{org}/second-factor/confirmations";
/// Where other recovery codes come from.
pub(crate) const RECOVERY_CODES: &str = "/v1/orgs/{org}/second-factor/recovery-codes";
/// Where it ends.
pub(crate) const REMOVALS: &str = "/v1/orgs/{org}/second-factor/removals";
/// Where that of another member ends.
pub(crate) const RESETS: &str = "/v1/orgs/{org}/members/{member}/second-factor-resets";

/// A code of the second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowSecondFactor {
    /// The code that the authenticator shows now; where there is a second factor already, a recovery code will do.
    #[schema(value_type = String, max_length = 64, example = "287082")]
    pub(crate) code: SecretString,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"code": "287082"})
}

pub(crate) async fn get(
    caller: Enrolling<AccountRead>,
    State(app): State<App>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&caller.grant).await?;
    let status = second_factors::status(&mut tx).await?;
    Ok(Json(json!({
        "enrolled": status.confirmed_at.is_some(),
        "confirmed_at": status.confirmed_at.map(view::time),
        "recovery_codes_left": status.recovery_codes_left,
        "required": status.required,
    })))
}

pub(crate) async fn enrol(
    caller: Enrolling<AccountManage>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (mut query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let Empty {} = decode(&body)?;
    let drawn = second_factors::draw(&app.store, app.sealer.as_ref(), &caller.grant).await?;
    let mut tx = app.store.begin(&caller.grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let enrolment = second_factors::enrol(&mut tx, &drawn).await?;
    let mut answer = json!({"expires_at": view::time(enrolment.expires_at)});
    if !intent.dry_run {
        answer["secret"] = json!(enrolment.secret.expose_secret());
        answer["otpauth_uri"] = json!(enrolment.uri.expose_secret());
    }
    let answer = view::secret_answer(StatusCode::CREATED, answer, None);
    intent.finish(tx, answer).await
}

/// A request that shows a code, as far as it was understood.
struct Showing {
    intent: Intent,
    tx: Tx<AccountManage>,
    shown: Shown,
}

/// Understands one and looks at the code. Of codes nothing is kept that could be guessed against: a key stands for the address alone.
async fn showing(
    app: &App,
    grant: &Grant<AccountManage>,
    (uri, mut query, headers): (&Uri, Query, &HeaderMap),
    body: &[u8],
) -> Result<Result<Showing, Response>, Problem> {
    let intent = Intent::take(&mut query)?.once(headers, uri, b"")?;
    query.finish()?;
    let wanted: ShowSecondFactor = decode(body)?;
    // Before the code is looked at, which was used after the first time.
    let mut tx = app.store.begin(grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(Err(answer));
    }
    tx.roll_back().await?;
    let sealer = app.sealer.as_ref();
    let shown = second_factors::check(&app.store, sealer, grant, &wanted.code).await?;
    let shown = shown.map_err(wrong)?;
    let mut tx = app.store.begin(grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(Err(answer));
    }
    Ok(Ok(Showing { intent, tx, shown }))
}

fn wrong(why: Refused) -> Problem {
    match why {
        Refused::Credentials => super::role_bindings::violation(
            "/code",
            Code::WrongCode,
            "this is not a code of the second factor now, or it was used before",
        ),
        other @ (Refused::Challenge | Refused::Wait(_)) => refused(other, ""),
    }
}

/// Recovery codes, which are shown once; and not at all when it was only tried.
fn codes(intent: &Intent, codes: &[SecretString]) -> Response {
    let mut answer = json!({});
    if !intent.dry_run {
        let codes: Vec<&str> = codes.iter().map(ExposeSecret::expose_secret).collect();
        answer["recovery_codes"] = json!(codes);
    }
    view::secret_answer(StatusCode::CREATED, answer, None)
}

pub(crate) async fn confirm(
    caller: Enrolling<AccountManage>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let request = (&uri, query, &headers);
    let showing = match showing(&app, &caller.grant, request, &body).await? {
        Ok(showing) => showing,
        Err(answer) => return Ok(answer),
    };
    let Showing {
        intent,
        mut tx,
        shown,
    } = showing;
    let drawn = second_factors::confirm(&mut tx, &shown).await?;
    let answer = codes(&intent, &drawn.map_err(wrong)?);
    intent.finish(tx, answer).await
}

pub(crate) async fn renew_recovery_codes(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let showing = match showing(&app, &grant, (&uri, query, &headers), &body).await? {
        Ok(showing) => showing,
        Err(answer) => return Ok(answer),
    };
    let Showing {
        intent,
        mut tx,
        shown,
    } = showing;
    let drawn = second_factors::renew_recovery_codes(&mut tx, &shown).await?;
    let answer = codes(&intent, &drawn.map_err(wrong)?);
    intent.finish(tx, answer).await
}

pub(crate) async fn remove(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let showing = match showing(&app, &grant, (&uri, query, &headers), &body).await? {
        Ok(showing) => showing,
        Err(answer) => return Ok(answer),
    };
    let Showing {
        intent,
        mut tx,
        shown,
    } = showing;
    second_factors::remove(&mut tx, &shown)
        .await?
        .map_err(wrong)?;
    intent.finish(tx, nothing()).await
}

fn nothing() -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    answer
}

pub(crate) async fn reset(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, member)): Segments<(String, String)>,
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
    let row = members::find(&mut tx, &member).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    second_factors::reset(&mut tx, &row).await?;
    intent.finish(tx, nothing()).await
}
