//! Connections to the providers that members of an organisation sign in by.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::{MemberRead, MemberWrite};
use heddle_model::code::Code;
use heddle_model::name::Name;
use heddle_model::violation::{Pointer, Violations};
use heddle_model::wire;
use heddle_oidc::{Client, Issuer};
use heddle_store::sso_connections::{self, ChangedConnection, ConnectionRow, NewConnection};
use heddle_store::{Error, Grant};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::members::Empty;
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, PatchBytes, Query, Segments, decode, decode_with};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/sso-connections";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/sso-connections/{sso_connection}";
/// Where one is tested.
pub(crate) const TESTS: &str = "/v1/orgs/{org}/sso-connections/{sso_connection}/tests";

/// A connection to a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSsoConnection {
    /// Unique among the organisation's connections; part of the address that the provider sends people back to.
    pub(crate) name: Name,
    /// What people call it: it stands on the button that they sign in with.
    #[schema(max_length = 200, example = "Acme Workforce")]
    pub(crate) display_name: Option<String>,
    /// The provider, letter by letter as it calls itself: `issuer` in its configuration.
    #[schema(min_length = 1, max_length = 2048, example = "https://id.example.com")]
    pub(crate) issuer: String,
    /// What the provider calls Heddle.
    #[schema(min_length = 1, max_length = 255, example = "heddle")]
    pub(crate) client_id: String,
    /// What Heddle shows the provider; never read again. Absent: the provider asks for nothing but PKCE.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, format = "password", example = "s3cr3t")]
    pub(crate) client_secret: Option<SecretString>,
}

/// What is changed of a connection. What it leads to stays: another issuer or client is another connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchSsoConnection {
    /// What people call it; null removes it.
    #[schema(max_length = 200, example = "Acme Workforce")]
    pub(crate) display_name: Option<String>,
    /// Another secret; null removes it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, format = "password", example = "s3cr3t")]
    pub(crate) client_secret: Option<SecretString>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"name": "workforce", "display_name": "Acme Workforce", "issuer": "https://id.example.com", "client_id": "heddle", "client_secret": "s3cr3t"})
}

/// Where a provider sends people back to. Another one for each connection: what comes back there is from this provider, or is refused.
pub(crate) fn redirect_uri(app: &App, org: &str, name: &Name) -> String {
    format!("{}/console/sso/{org}/{name}", app.console_url)
}

fn render(app: &App, org: &str, row: &ConnectionRow) -> Value {
    json!({
        "name": row.name,
        "display_name": row.display_name,
        "issuer": row.issuer,
        "client_id": row.client_id,
        "has_client_secret": row.has_secret,
        "redirect_uri": redirect_uri(app, org, &row.name),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "sso_connection",
            "created_at": view::time(row.created_at),
            "created_by": row.created_by,
            "updated_at": view::time(row.updated_at),
        },
    })
}

/// What is wrong with a text, or with a provider's address.
fn judge(app: &App, sent: &Map<String, Value>, violations: &mut Violations) {
    let (root, text) = (Pointer::Root, |field| {
        sent.get(field).and_then(Value::as_str)
    });
    for field in ["display_name", "client_id", "client_secret"] {
        if text(field).is_some_and(|text| text.chars().any(char::is_control)) {
            let at = root.field(field);
            violations.add(&at, Code::BadFormat, "no control characters");
        }
    }
    let at = root.field("issuer");
    match text("issuer").map(str::parse::<Issuer>) {
        None => {}
        Some(Err(error)) => violations.add(&at, Code::BadFormat, error.to_string()),
        Some(Ok(issuer)) => {
            if let Err(failed) = app.providers.check(&issuer) {
                violations.add(&at, Code::BadFormat, failed.to_string());
            }
        }
    }
}

/// A connection that there is already.
fn taken(error: Error) -> Problem {
    match error {
        Error::AlreadyExists { constraint } if constraint == "sso_connections_client_key" => {
            Problem::new(
                Code::AlreadyExists,
                "another connection has this issuer and client",
            )
        }
        error => error.into(),
    }
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
    let org = heddle_store::org_name(&mut tx).await?;
    let rows = sso_connections::page(&mut tx, page.after.as_deref(), page.limit + 1).await?;
    let name = |row: &ConnectionRow| row.name.to_string();
    let render = |row: &ConnectionRow| render(&app, org.as_str(), row);
    Ok(view::list(rows, &page, &uri.to_string(), name, render))
}

pub(crate) async fn get(
    Allow(grant): Allow<MemberRead>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let org = heddle_store::org_name(&mut tx).await?;
    let row = sso_connections::find(&mut tx, &name).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    Ok(Json(render(&app, org.as_str(), &row)))
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
    let wanted: CreateSsoConnection = decode_with(&sent, |sent, broken| judge(&app, sent, broken))?;
    let id = sso_connections::draw_id(&app.store);
    let secret = match &wanted.client_secret {
        Some(secret) => Some(sso_connections::seal(app.sealer.as_ref(), &grant, id, secret).await?),
        None => None,
    };
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let new = NewConnection {
        id,
        name: &wanted.name,
        display_name: wanted.display_name.as_deref(),
        issuer: &wanted.issuer,
        client_id: &wanted.client_id,
        secret,
    };
    let row = sso_connections::create(&mut tx, new).await.map_err(taken)?;
    let org = heddle_store::org_name(&mut tx).await?;
    let location = HeaderValue::from_str(&format!("{}/{}", uri.path(), row.name));
    let mut answer = (StatusCode::CREATED, Json(render(&app, org.as_str(), &row))).into_response();
    if let Ok(location) = location {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    intent.finish(tx, answer).await
}

/// The connection that a path names. In a transaction of its own: what comes next may take a while.
async fn found(
    app: &App,
    grant: &Grant<MemberWrite>,
    name: &str,
) -> Result<ConnectionRow, Problem> {
    let mut tx = app.store.begin(grant).await?;
    let row = sso_connections::find(&mut tx, name).await?;
    tx.roll_back().await?;
    row.ok_or_else(Problem::not_found)
}

pub(crate) async fn patch(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    mut query: Query,
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let wanted: PatchSsoConnection = decode_with(&sent, |sent, broken| judge(&app, sent, broken))?;
    let row = found(&app, &grant, &name).await?;
    let sealed = match &wanted.client_secret {
        Some(secret) => {
            Some(sso_connections::seal(app.sealer.as_ref(), &grant, row.id, secret).await?)
        }
        None => None,
    };
    let changed = ChangedConnection {
        display_name: sent
            .contains_key("display_name")
            .then_some(wanted.display_name),
        secret: sent.contains_key("client_secret").then_some(sealed),
    };
    let mut tx = app.store.begin(&grant).await?;
    let row = sso_connections::change(&mut tx, &row, changed).await?;
    let org = heddle_store::org_name(&mut tx).await?;
    let answer = Json(render(&app, org.as_str(), &row)).into_response();
    intent.finish(tx, answer).await
}

pub(crate) async fn delete(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = sso_connections::find(&mut tx, &name).await?;
    sso_connections::delete(&mut tx, &row.ok_or_else(Problem::not_found)?).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}

/// What a provider knows us by.
pub(crate) fn client(
    app: &App,
    org: &str,
    row: &ConnectionRow,
    secret: Option<SecretString>,
) -> Result<Client, Problem> {
    let issuer: Result<Issuer, _> = row.issuer.parse();
    Ok(Client {
        issuer: issuer.map_err(|error| Problem::internal(&error))?,
        id: row.client_id.clone(),
        secret,
        redirect_uri: redirect_uri(app, org, &row.name),
    })
}

pub(crate) async fn test(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let Empty {} = decode(&body)?;
    let row = found(&app, &grant, &name).await?;
    let mut tx = app.store.begin(&grant).await?;
    let org = heddle_store::org_name(&mut tx).await?;
    tx.roll_back().await?;
    let secret = sso_connections::secret(&app.store, app.sealer.as_ref(), &grant, &row).await?;
    let client = client(&app, org.as_str(), &row, secret)?;
    let checks = app.providers.test(&client).await;
    let passed = checks.iter().all(|checked| checked.passed);
    let checks = checks.iter().map(
        |one| json!({"check": one.check.as_str(), "passed": one.passed, "detail": one.detail}),
    );
    Ok(Json(
        json!({"passed": passed, "checks": checks.collect::<Vec<_>>()}),
    ))
}
