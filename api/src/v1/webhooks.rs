//! Webhooks: where an organisation wants to be told what happens in it.

pub(crate) mod deliveries;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use heddle_egress::Target;
use heddle_model::authz::permission::{WebhookRead, WebhookWrite};
use heddle_model::code::Code;
use heddle_model::duration::HumanDuration;
use heddle_model::name::Name;
use heddle_model::violation::{Pointer, Violations};
use heddle_model::wire;
use heddle_store::webhooks::{self, Disabled, Topic, Wanted, WebhookRow};
use heddle_store::{Tx, webhooks::DrawnSecret};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::role_bindings::violation;
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, PatchBytes, Query, Segments, decode, decode_with};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/webhooks";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/webhooks/{webhook}";
/// The path of new secrets of one.
pub(crate) const ROTATIONS: &str = "/v1/orgs/{org}/webhooks/{webhook}/rotations";

const DAY: Duration = Duration::from_secs(24 * 3600);
const LONGEST_OVERLAP: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a webhook can be told.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookTopic {
    /// Every revision of every mesh; takes `config:read`.
    Revision,
    /// Every row of the audit log; takes `audit:read`.
    Audit,
}

impl From<WebhookTopic> for Topic {
    fn from(topic: WebhookTopic) -> Self {
        match topic {
            WebhookTopic::Revision => Self::Revision,
            WebhookTopic::Audit => Self::Audit,
        }
    }
}

/// A webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// Unique among the organisation's webhooks.
    pub(crate) name: Name,
    /// Where messages are sent: over TLS, to an address of the public internet, without following redirects.
    #[schema(
        min_length = 1,
        max_length = 2048,
        example = "https://hooks.example.com/heddle"
    )]
    pub(crate) url: String,
    /// What it is told.
    #[schema(min_items = 1, max_items = 2)]
    pub(crate) topics: Vec<WebhookTopic>,
    /// Whether it is told anything; true when absent.
    pub(crate) enabled: Option<bool>,
}

/// What is changed of a webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchWebhook {
    /// Where messages are sent.
    #[schema(
        min_length = 1,
        max_length = 2048,
        example = "https://hooks.example.com/heddle"
    )]
    pub(crate) url: Option<String>,
    /// What it is told.
    #[schema(min_items = 1, max_items = 2)]
    pub(crate) topics: Option<Vec<WebhookTopic>>,
    /// Whether it is told anything. What waits for one that is switched off is sent no more.
    pub(crate) enabled: Option<bool>,
}

/// A new secret for a webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateWebhook {
    /// For how long messages are signed with the old secret as well: at most 7 days (168h); 24h when absent, `0s` for not at all.
    pub(crate) overlap: Option<HumanDuration>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"name": "deployments", "url": "https://hooks.example.com/heddle", "topics": ["revision"]})
}

/// An example of the body.
pub(crate) fn rotation_sample() -> Value {
    json!({"overlap": "1h"})
}

fn render(row: &WebhookRow) -> Value {
    let topics: Vec<_> = row.topics.iter().map(|topic| topic.as_str()).collect();
    json!({
        "name": row.name,
        "url": row.url,
        "topics": topics,
        "enabled": row.disabled.is_none(),
        "disabled_because": row.disabled.map(Disabled::as_str),
        "failing_since": row.failing_since.map(view::time),
        "paused_until": row.paused_until.map(view::time),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "webhook",
            "created_at": view::time(row.created_at),
            "created_by": row.created_by,
            "updated_at": view::time(row.updated_at),
            "previous_secret_until": row.previous_until.map(view::time),
        },
    })
}

/// What is wrong with an address, and with what shall be sent there.
fn judge(app: &App, sent: &Map<String, Value>, violations: &mut Violations) {
    let root = Pointer::Root;
    if let Some(url) = sent.get("url").and_then(Value::as_str) {
        let at = root.field("url");
        match url.parse::<Target>() {
            Err(error) => violations.add(&at, Code::BadFormat, error.to_string()),
            Ok(target) => {
                if let Err(failed) = app.egress.check(&target) {
                    violations.add(&at, Code::BadFormat, failed.to_string());
                }
            }
        }
    }
    let topics = sent.get("topics").and_then(Value::as_array);
    let (at, mut seen) = (root.field("topics"), BTreeSet::new());
    for (i, topic) in topics.into_iter().flatten().enumerate() {
        if topic.as_str().is_some_and(|topic| !seen.insert(topic)) {
            violations.add(&at.index(i), Code::Duplicate, "named twice");
        }
    }
}

/// In an order of their own.
fn topics(sent: Vec<WebhookTopic>) -> Vec<Topic> {
    let topics: BTreeSet<Topic> = sent.into_iter().map(Topic::from).collect();
    topics.into_iter().collect()
}

/// The webhook that a path names.
pub(super) async fn named(tx: &mut Tx<WebhookWrite>, name: &str) -> Result<WebhookRow, Problem> {
    let row = webhooks::find(tx, name).await?;
    row.ok_or_else(Problem::not_found)
}

fn with_secret(row: &WebhookRow, secret: &DrawnSecret, intent: &Intent) -> Value {
    let mut answer = render(row);
    if !intent.dry_run {
        answer["secret"] = json!(secret.secret.expose_secret());
    }
    answer
}

pub(crate) async fn list(
    Allow(grant): Allow<WebhookRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let rows = webhooks::page(&mut tx, page.after.as_deref(), page.limit + 1).await?;
    let name = |row: &WebhookRow| row.name.to_string();
    Ok(view::list(rows, &page, &uri.to_string(), name, render))
}

pub(crate) async fn get(
    Allow(grant): Allow<WebhookRead>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = webhooks::find(&mut tx, &name).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
}

pub(crate) async fn create(
    Allow(grant): Allow<WebhookWrite>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (mut query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let sent: CreateWebhook = decode_with(&sent, |sent, broken| judge(&app, sent, broken))?;
    let secret = webhooks::draw(&app.store, app.sealer.as_ref(), grant.org()).await?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let wanted = Wanted {
        url: sent.url,
        topics: topics(sent.topics),
        enabled: sent.enabled.unwrap_or(true),
    };
    let row = webhooks::create(&mut tx, &sent.name, &wanted, &secret).await?;
    let location = format!("{}/{}", uri.path(), row.name);
    let answer = with_secret(&row, &secret, &intent);
    let answer = view::secret_answer(StatusCode::CREATED, answer, Some(&location));
    intent.finish(tx, answer).await
}

pub(crate) async fn patch(
    Allow(grant): Allow<WebhookWrite>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    mut query: Query,
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let sent: PatchWebhook = decode_with(&sent, |sent, broken| judge(&app, sent, broken))?;
    let mut tx = app.store.begin(&grant).await?;
    let row = named(&mut tx, &name).await?;
    let wanted = Wanted {
        url: sent.url.unwrap_or(row.url),
        topics: sent.topics.map_or(row.topics, topics),
        enabled: sent.enabled.unwrap_or(row.disabled.is_none()),
    };
    let row = webhooks::change(&mut tx, row.id, &wanted).await?;
    intent.finish(tx, Json(render(&row)).into_response()).await
}

pub(crate) async fn delete(
    Allow(grant): Allow<WebhookWrite>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = named(&mut tx, &name).await?;
    webhooks::delete(&mut tx, row.id).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}

pub(crate) async fn rotate(
    Allow(grant): Allow<WebhookWrite>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let wanted: RotateWebhook = decode(&body)?;
    let overlap = wanted.overlap.as_ref().map_or(DAY, HumanDuration::get);
    if overlap > LONGEST_OVERLAP {
        let detail = "at most 168h (7 days)";
        return Err(violation("/overlap", Code::OutOfRange, detail));
    }
    let until = app.clock.now() + TimeDelta::from_std(overlap).unwrap_or(TimeDelta::zero());
    let secret = webhooks::draw(&app.store, app.sealer.as_ref(), grant.org()).await?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let row = named(&mut tx, &name).await?;
    let row = webhooks::rotate(&mut tx, row.id, &secret, until).await?;
    let answer = with_secret(&row, &secret, &intent);
    let answer = view::secret_answer(StatusCode::CREATED, answer, None);
    intent.finish(tx, answer).await
}
