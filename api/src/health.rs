//! Whether this process lives, and whether it should get traffic.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::state::App;

async fn live() -> &'static str {
    "ok\n"
}

/// Ready when the database answers and has the schema that this binary needs.
async fn ready(State(app): State<App>) -> Response {
    match app.store.ping().await {
        Ok(()) => (StatusCode::OK, Json(json!({"ready": true}))).into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Json(json!({"ready": false, "reason": "database"})),
            )
                .into_response()
        }
    }
}

/// `/livez` and `/readyz`.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
}
