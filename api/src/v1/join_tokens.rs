//! Join tokens: what an Envoy presents to become a proxy of a service.

use std::time::Duration;

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::{JoinTokenRead, JoinTokenWrite};
use heddle_model::code::Code;
use heddle_model::duration::HumanDuration;
use heddle_model::kind::labels::{self, Labels};
use heddle_model::name::Name;
use heddle_model::net::Cidr;
use heddle_model::violation::{Pointer, Violation, Violations};
use heddle_store::join_tokens::{self, Bounds, JoinTokenRow, NewJoinToken};
use heddle_store::{meshes, resources};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/join-tokens";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/meshes/{mesh}/join-tokens/{token}";

const HOUR: Duration = Duration::from_secs(3600);
const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);

/// What a new join token is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateJoinToken {
    /// Unique among the mesh's tokens that are not revoked.
    pub(crate) name: Name,
    /// The service that its proxies join.
    pub(crate) service: Name,
    /// Whether several proxies may join with it. False when absent.
    pub(crate) reusable: Option<bool>,
    /// After this no new proxy joins with it: 1 minute to 90 days. When absent, 1 hour, or 90 days if reusable.
    pub(crate) expires_in: Option<HumanDuration>,
    /// Whether its proxies are forgotten once they have been away for a while: their names, their certificates, their place in the
    /// list. It is reusable then, so that whoever comes back later joins anew. False when absent.
    pub(crate) ephemeral: Option<bool>,
    /// The connections of its proxies come from any of these networks, at the first time and at each later one. What counts is the
    /// address that the control plane sees. From anywhere when absent.
    #[schema(value_type = Option<Vec<Cidr>>, min_items = 1, max_items = 64)]
    pub(crate) networks: Option<Vec<String>>,
    /// The labels of the proxies that join with it.
    pub(crate) labels: Option<Labels>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"name": "payments-host-1", "service": "payments", "reusable": false, "expires_in": "1h"})
}

fn state(row: &JoinTokenRow, now: DateTime<Utc>) -> &'static str {
    if row.revoked_at.is_some() {
        "revoked"
    } else if !row.reusable && row.last_used_at.is_some() {
        "used"
    } else if row.expires_at.is_some_and(|at| at <= now) {
        "expired"
    } else {
        "active"
    }
}

fn render(row: &JoinTokenRow, now: DateTime<Utc>) -> Value {
    json!({
        "name": row.name,
        "service": row.service,
        "reusable": row.reusable,
        "expires_at": row.expires_at.map(view::time),
        "ephemeral": row.bounds.ephemeral,
        "networks": row.bounds.networks,
        "labels": row.bounds.labels,
        "state": state(row, now),
        "proxies": row.bound,
        "meta": {
            "uid": row.id.to_string(),
            "kind": "join_token",
            "created_at": view::time(row.created_at),
            "last_used_at": row.last_used_at.map(view::time),
            "revoked_at": row.revoked_at.map(view::time),
        },
    })
}

pub(crate) async fn create(
    Allow(grant): Allow<JoinTokenWrite>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let wanted: CreateJoinToken = decode(&body)?;
    let ephemeral = wanted.ephemeral.unwrap_or(false);
    let reusable = wanted.reusable.unwrap_or(ephemeral);
    let lifetime = match &wanted.expires_in {
        None if reusable => LONGEST,
        None => HOUR,
        Some(text) => text.get(),
    };
    check(&wanted, lifetime).map_err(Problem::invalid)?;
    let now = app.clock.now();
    let expires_at = now + TimeDelta::from_std(lifetime).unwrap_or(TimeDelta::zero());
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let exists =
        resources::service_exists(&mut tx, mesh.id, std::slice::from_ref(&wanted.service)).await?;
    if exists != [true] {
        let detail = format!("there is no service {} in this mesh", wanted.service);
        return Err(violation("/service", Code::UnknownReference, &detail));
    }
    let new = NewJoinToken {
        name: wanted.name,
        service: wanted.service,
        reusable,
        expires_at: Some(expires_at),
        bounds: Bounds {
            ephemeral,
            networks: wanted.networks,
            labels: wanted.labels.as_ref().map(pairs).unwrap_or_default(),
        },
    };
    let created = join_tokens::create(&mut tx, mesh.id, &new).await?;
    let mut answer = render(&created.row, now);
    // A token that nobody keeps opens nothing, so a dry run shows none.
    if !intent.dry_run {
        answer["secret"] = json!(created.secret.expose_secret());
    }
    let location = format!("{}/{}", uri.path(), created.row.name);
    let mut response = (StatusCode::CREATED, axum::Json(answer)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-store"),
    );
    if let Ok(location) = location.parse() {
        headers.insert(http::header::LOCATION, location);
    }
    intent.finish(tx, response).await
}

/// Everything that is wrong with a token whatever the mesh holds.
fn check(wanted: &CreateJoinToken, lifetime: Duration) -> Result<(), Violations> {
    let mut violations = Violations::new();
    let root = Pointer::Root;
    if lifetime < Duration::from_secs(60) || lifetime > LONGEST {
        let detail = "between 1m and 2160h (90 days)";
        violations.add(&root.field("expires_in"), Code::OutOfRange, detail);
    }
    if wanted.ephemeral == Some(true) && wanted.reusable == Some(false) {
        let detail = "an ephemeral token is reusable: whoever was forgotten joins anew";
        violations.add(&root.field("reusable"), Code::NotOneOf, detail);
    }
    let networks = root.field("networks");
    for (i, network) in wanted.networks.iter().flatten().enumerate() {
        if let Err(problem) = network.parse::<Cidr>() {
            violations.add(&networks.index(i), Code::BadFormat, problem.to_string());
        }
    }
    labels::validate(
        wanted.labels.as_ref(),
        &root.field("labels"),
        &mut violations,
    );
    violations.into_result()
}

fn pairs(labels: &Labels) -> Map<String, Value> {
    let pairs = labels.iter();
    pairs
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect()
}

fn violation(pointer: &str, code: Code, detail: &str) -> Problem {
    let mut violations = Violations::new();
    violations.push(Violation {
        pointer: pointer.to_owned(),
        code,
        detail: detail.to_owned(),
        hint: None,
    });
    Problem::invalid(violations)
}

pub(crate) async fn list(
    Allow(grant): Allow<JoinTokenRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let rows = join_tokens::page(&mut tx, mesh.id, page.after.as_deref(), page.limit + 1).await?;
    let now = app.clock.now();
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.name.to_string(),
        |row| render(row, now),
    ))
}

pub(crate) async fn get(
    Allow(grant): Allow<JoinTokenRead>,
    State(app): State<App>,
    Segments((_, mesh, token)): Segments<(String, String, String)>,
    query: Query,
) -> Result<axum::Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let row = join_tokens::find(&mut tx, mesh.id, &token)
        .await?
        .ok_or_else(Problem::not_found)?;
    Ok(axum::Json(render(&row, app.clock.now())))
}

pub(crate) async fn delete(
    Allow(grant): Allow<JoinTokenWrite>,
    State(app): State<App>,
    Segments((_, mesh, token)): Segments<(String, String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    join_tokens::revoke(&mut tx, mesh.id, &token).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
