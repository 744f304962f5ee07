//! Devices that ask to be let in: programs without a browser, such as the command line.

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::authz::{Action, UnknownPermission};
use heddle_model::code::Code;
use heddle_model::violation::{Pointer, Violations};
use heddle_store::Grant;
use heddle_store::devices::{self, Answer, Found, NewRequest, RequestRow};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::members::Empty;
use super::sessions::{refused, signed_in};
use crate::auth::Allow;
use crate::ends::Ends;
use crate::extract::{Headers, JsonBytes, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// Where devices ask.
pub(crate) const COLLECTION: &str = "/v1/device-authorizations";
/// Where they get their session.
pub(crate) const TOKENS: &str = "/v1/device-authorizations/tokens";
/// What a member sees.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/device-authorizations/{user_code}";
/// Where a member lets a device in.
pub(crate) const APPROVALS: &str = "/v1/orgs/{org}/device-authorizations/{user_code}/approvals";
/// Where a member does not.
pub(crate) const DENIALS: &str = "/v1/orgs/{org}/device-authorizations/{user_code}/denials";

/// The page of the console where members type the code.
const PAGE: &str = "/console/device";

/// What a device asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDeviceAuthorization {
    /// What the device calls itself: the member reads it before letting it in.
    #[schema(min_length = 1, max_length = 100, example = "heddle on build-7")]
    pub(crate) client: String,
    /// The permissions that its session is narrowed to (`config:write`); absent: all that the member has.
    #[schema(min_items = 1, max_items = 64, example = json!(["meshes:read", "config:read", "config:write"]))]
    pub(crate) scopes: Option<Vec<String>>,
}

/// The code of a device, from the answer to its request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDeviceToken {
    /// The code.
    #[schema(value_type = String, max_length = 200, example = "heddle_dev_")]
    pub(crate) device_code: SecretString,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"client": "heddle on build-7", "scopes": ["meshes:read", "config:read", "config:write"]})
}

/// An example of the body.
pub(crate) fn token_sample() -> Value {
    json!({"device_code": "heddle_dev_"})
}

/// The connection that a request came by.
pub(crate) struct By(Option<Ends>);

impl FromRequestParts<App> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(Ends::of(parts)))
    }
}

/// Where the console is for whoever sent the request.
fn console(app: &App, by: Option<Ends>, headers: &HeaderMap) -> String {
    let url = app.public_url.clone();
    let url = url.or_else(|| by?.origin(headers));
    format!("{}{PAGE}", url.unwrap_or_default())
}

/// Everything that is wrong with what a device says about itself.
fn judge(wanted: &CreateDeviceAuthorization) -> Result<Option<Vec<Action>>, Problem> {
    let mut violations = Violations::new();
    let root = Pointer::Root;
    if wanted.client.chars().any(char::is_control) {
        let detail = "no control characters";
        violations.add(&root.field("client"), Code::BadFormat, detail);
    }
    let mut scopes = None;
    if let Some(names) = &wanted.scopes {
        let at = root.field("scopes");
        let all: &mut Vec<Action> = scopes.insert(Vec::new());
        for (i, name) in names.iter().enumerate() {
            match name.parse::<Action>() {
                Ok(action) if !all.contains(&action) => all.push(action),
                Ok(_) => violations.add(&at.index(i), Code::Duplicate, "named twice"),
                Err(UnknownPermission) => {
                    let detail = "there is no such permission";
                    violations.add(&at.index(i), Code::NotOneOf, detail);
                }
            }
        }
    }
    violations.into_result().map_err(Problem::invalid)?;
    Ok(scopes)
}

fn wait(wait: devices::Wait) -> Problem {
    refused(heddle_store::sessions::Refused::Wait(wait.0), "")
}

pub(crate) async fn create(
    State(app): State<App>,
    Headers(headers): Headers,
    By(by): By,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CreateDeviceAuthorization = decode(&body)?;
    let address = by.map(|by| by.peer.ip().to_canonical().to_string());
    let new = NewRequest {
        scopes: judge(&wanted)?,
        client: &wanted.client,
        address: address.as_deref(),
    };
    let asked = devices::ask(&app.store, &new).await?.map_err(wait)?;
    let (page, code) = (console(&app, by, &headers), asked.user_code.expose_secret());
    let body = json!({
        "device_code": asked.device_code.expose_secret(),
        "user_code": code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?code={code}"),
        "expires_in": (asked.expires_at - app.clock.now()).num_seconds().max(0),
        "expires_at": view::time(asked.expires_at),
        "interval": asked.interval,
    });
    Ok(view::secret_answer(StatusCode::CREATED, body, None))
}

pub(crate) async fn token(
    State(app): State<App>,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CreateDeviceToken = decode(&body)?;
    let sealer = app.sealer.as_ref();
    let answer = devices::answer(&app.store, sealer, &wanted.device_code).await?;
    let refuse = |code: Code, error: &str| {
        let problem = Problem::new(code, code.cause().trim_end_matches('.'));
        problem
            .with("error", json!(error))
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    };
    Err(match answer {
        Answer::SignedIn(signed) => return Ok(signed_in(&signed, app.clock.now())),
        Answer::Pending => refuse(Code::AuthorizationPending, "authorization_pending"),
        Answer::SlowDown(interval) => {
            refuse(Code::SlowDown, "slow_down").with("interval", json!(interval))
        }
        Answer::Denied => refuse(Code::AccessDenied, "access_denied"),
        Answer::Expired => refuse(Code::DeviceCodeExpired, "expired_token"),
        Answer::Unknown => refuse(Code::DeviceCodeUnknown, "invalid_grant"),
    })
}

fn render(row: &RequestRow) -> Value {
    let state = match row.state {
        devices::State::Pending => "pending",
        devices::State::Approved => "approved",
        devices::State::Denied => "denied",
    };
    json!({
        "client": row.client,
        "address": row.address,
        "scopes": row.scopes,
        "state": state,
        "expires_at": view::time(row.expires_at),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "device_authorization",
            "created_at": view::time(row.created_at),
        },
    })
}

pub(crate) async fn get(
    Allow(grant): Allow<AccountRead>,
    State(app): State<App>,
    Segments((_, code)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let found = devices::find(&app.store, &grant, &code).await?;
    let found = found.map_err(wait)?;
    let mut tx = app.store.begin(&grant).await?;
    Ok(Json(render(&devices::show(&mut tx, &found).await?)))
}

pub(crate) async fn approve(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    Segments((_, code)): Segments<(String, String)>,
    (query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    decide((grant, app), &code, (query, &headers, &uri), &body, true).await
}

pub(crate) async fn deny(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    Segments((_, code)): Segments<(String, String)>,
    (query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    decide((grant, app), &code, (query, &headers, &uri), &body, false).await
}

async fn decide(
    (grant, app): (Grant<AccountManage>, App),
    code: &str,
    (mut query, headers, uri): (Query, &HeaderMap, &Uri),
    body: &[u8],
    approve: bool,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(headers, uri, body)?;
    query.finish()?;
    let Empty {} = decode(body)?;
    // Before the code is looked at, which can be decided no second time.
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    tx.roll_back().await?;
    let found: Found = devices::find(&app.store, &grant, code)
        .await?
        .map_err(wait)?;
    let mut tx = app.store.begin(&grant).await?;
    let row = devices::decide(&mut tx, &found, approve).await?;
    let answer = (StatusCode::CREATED, Json(render(&row))).into_response();
    intent.finish(tx, answer).await
}
