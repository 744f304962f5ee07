//! What a webhook was told, and what became of it.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::{WebhookRead, WebhookWrite};
use heddle_model::id::MessageId;
use heddle_store::webhooks::{self, DeliveryRow, DeliveryState};
use serde_json::{Value, json};

use super::named;
use crate::auth::Allow;
use crate::extract::{JsonBytes, Page, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::v1::members::Empty;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/webhooks/{webhook}/deliveries";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/webhooks/{webhook}/deliveries/{delivery}";
/// Where one is made again.
pub(crate) const SENDINGS: &str =
    "/v1/orgs/{org}/webhooks/{webhook}/deliveries/{delivery}/sendings";
/// Where one that tells nothing is made.
pub(crate) const PINGS: &str = "/v1/orgs/{org}/webhooks/{webhook}/pings";

fn render(row: &DeliveryRow) -> Value {
    json!({
        "topic": row.topic,
        "mesh": row.mesh.map(|mesh| mesh.to_string()),
        "revision": row.revision,
        "state": row.state.as_str(),
        "tries": row.tries,
        "next_at": row.next_at.map(view::time),
        "last_try": row.tried_at.map(|at| json!({
            "at": view::time(at),
            "status": row.status,
            "duration_ms": row.duration_ms,
            "error": row.error,
            "response": row.response,
        })),
        "meta": {
            "uid": row.id.to_string(),
            "kind": "webhook_delivery",
            "created_at": view::time(row.created_at),
        },
    })
}

fn id(text: &str) -> Result<MessageId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

pub(crate) async fn list(
    Allow(grant): Allow<WebhookRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Segments((_, name)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    let state = query.take("state");
    query.finish()?;
    let before = page.parse_after(|text| text.parse::<MessageId>().ok())?;
    // One that is none was refused as the document says.
    let state = DeliveryState::ALL
        .into_iter()
        .find(|one| Some(one.as_str()) == state.as_deref());
    let mut tx = app.store.begin(&grant).await?;
    let row = webhooks::find(&mut tx, &name).await?;
    let of = row.ok_or_else(Problem::not_found)?.id;
    let rows = webhooks::deliveries(&mut tx, of, state, before, page.limit + 1).await?;
    let key = |row: &DeliveryRow| row.id.to_string();
    Ok(view::list(rows, &page, &uri.to_string(), key, render))
}

pub(crate) async fn get(
    Allow(grant): Allow<WebhookRead>,
    State(app): State<App>,
    Segments((_, name, delivery)): Segments<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = webhooks::find(&mut tx, &name).await?;
    let of = row.ok_or_else(Problem::not_found)?.id;
    let row = webhooks::delivery(&mut tx, of, id(&delivery)?).await?;
    Ok(Json(render(&row)))
}

pub(crate) async fn ping(
    Allow(grant): Allow<WebhookWrite>,
    State(app): State<App>,
    Segments((_, name)): Segments<(String, String)>,
    mut query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let Empty {} = decode(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    let of = named(&mut tx, &name).await?;
    let row = webhooks::ping(&mut tx, of.id).await?;
    accepted(&intent, tx, &row).await
}

pub(crate) async fn send_again(
    Allow(grant): Allow<WebhookWrite>,
    State(app): State<App>,
    Segments((_, name, delivery)): Segments<(String, String, String)>,
    mut query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let Empty {} = decode(&body)?;
    let delivery = id(&delivery)?;
    let mut tx = app.store.begin(&grant).await?;
    let of = named(&mut tx, &name).await?;
    let row = webhooks::resend(&mut tx, of.id, delivery).await?;
    accepted(&intent, tx, &row).await
}

/// It is made soon; what becomes of it is read where it is listed.
async fn accepted(
    intent: &Intent,
    tx: heddle_store::Tx<WebhookWrite>,
    row: &DeliveryRow,
) -> Result<Response, Problem> {
    let answer = (StatusCode::ACCEPTED, Json(render(row))).into_response();
    intent.finish(tx, answer).await
}
