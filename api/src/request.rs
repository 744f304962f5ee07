//! What surrounds every request: its id, its own task, its line in the log.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::problem::Problem;
use crate::state::App;

/// Carries the id of a request, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("heddle-request-id");

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// The id of the request under way; empty outside of one.
pub(crate) fn current_id() -> Arc<str> {
    CURRENT
        .try_with(Arc::clone)
        .unwrap_or_else(|_| Arc::from(""))
}

/// A client's own id is kept if it is short and plain; it ends up in logs.
fn acceptable(id: &HeaderValue) -> Option<&str> {
    let id = id.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then_some(id)
}

/// The method as a label: a client may send any word as a method, and every new label would live for ever.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// What lies below needs the database, whatever it does.
const NEEDS_DATABASE: &str = "/v1/orgs/";

/// Returns when the database does not say anything, of which a request would only learn by waiting as long.
async fn silence(app: &App, route: &str) {
    match route.starts_with(NEEDS_DATABASE) {
        true => app.store.silent().await,
        false => std::future::pending().await,
    }
}

/// Runs the rest in a task of its own. A client that hangs up drops the connection's future; the request goes on
/// regardless, so that a database transaction is never abandoned between BEGIN and COMMIT.
pub(crate) async fn surround(State(app): State<App>, request: Request, next: Next) -> Response {
    let id: Arc<str> = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(acceptable)
        .map_or_else(|| Arc::from(app.ids.next().simple().to_string()), Arc::from);
    let method = label(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| String::from("(none)"), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", request.id = %id, http.method = %method, http.route = %route);
    let started = Instant::now();
    let work = CURRENT.scope(Arc::clone(&id), async move { next.run(request).await });
    let task = app.requests.spawn(work.instrument(span.clone()));
    let done = tokio::select! {
        done = task => Some(done),
        () = silence(&app, &route) => None,
    };
    let mut response = match done {
        Some(Ok(response)) => response,
        // The panic itself has been logged by the panic hook.
        Some(Err(error)) => {
            metrics::counter!("heddle_panics_total").increment(1);
            CURRENT.sync_scope(Arc::clone(&id), || {
                Problem::internal(&error).into_response()
            })
        }
        // It goes on, as for a client that has hung up.
        None => CURRENT.sync_scope(Arc::clone(&id), || Problem::silence().into_response()),
    };
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    span.in_scope(|| {
        tracing::debug!(
            http.status = status,
            duration_ms = elapsed.as_secs_f64() * 1e3,
            "answered"
        );
    });
    metrics::histogram!("heddle_api_request_seconds", "method" => method, "route" => route, "status" => status.to_string())
        .record(elapsed.as_secs_f64());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    // What an operation does not say may be kept, nobody keeps.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
