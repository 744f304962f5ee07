//! Whether this process lives, and whether it should get traffic.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use heddle_store::Error;
use serde_json::json;

use crate::state::App;

async fn live() -> &'static str {
    "ok\n"
}

/// Ready when the database answers and has a schema that this binary can go on with.
async fn ready(State(app): State<App>) -> Response {
    let answer = tokio::select! {
        answer = app.store.ping() => answer,
        () = app.store.silent() => Err(heddle_store::Error::Unavailable("it is silent".into())),
    };
    match answer {
        // Everything but the first certificate of a proxy, and the next, works without; so this one still gets traffic.
        Ok(()) if !app.can_sign.load(Ordering::Relaxed) => {
            Json(json!({"ready": true, "degraded": ["certificate_authority"]})).into_response()
        }
        Ok(()) => (StatusCode::OK, Json(json!({"ready": true}))).into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let reason = match error {
                Error::SchemaOlder { .. } | Error::SchemaNewer { .. } => "schema",
                _ => "database",
            };
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Json(json!({"ready": false, "reason": reason})),
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
