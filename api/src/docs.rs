//! The API explained in the browser. Page, scripts and styles are in the binary: nothing is fetched from elsewhere,
//! neither while it is built nor while it runs.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::Value;
use utoipa_swagger_ui::Config;

use crate::extract::Segments;
use crate::problem::Problem;
use crate::state::App;

/// The document as JSON.
const JSON: &str = "/v1/openapi.json";

/// The page may load from this server and from nowhere else, whatever a later version of its scripts asks for. Styles are
/// set by script, so they have to be allowed inline; pictures are written into them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// `/docs/`, and the document in both notations.
pub(crate) fn routes(document: &Value) -> Router<App> {
    let json = Arc::<str>::from(document.to_string());
    // Few ask for it, and a server that starts has no time for it.
    let yaml = Arc::new(LazyLock::new({
        let json = json.clone();
        move || yaml(&json)
    }));
    Router::new()
        .route(
            JSON,
            get(async move || text("application/json", json.to_string())),
        )
        .route(
            "/v1/openapi.yaml",
            get(async move || text("application/yaml", yaml.as_str().to_owned())),
        )
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || file("index.html")))
        .route(
            "/docs/{file}",
            get(async |Segments(name): Segments<String>| file(&name)),
        )
}

fn yaml(json: &str) -> String {
    let document: Value = serde_json::from_str(json).expect("it was written from a document");
    serde_yaml_ng::to_string(&document).expect("a document is plain data")
}

fn text(kind: &'static str, text: String) -> Response {
    let kind = HeaderValue::from_static(kind);
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// One file of the page.
fn file(name: &str) -> Response {
    // Without this the page would ask a server on the internet for its opinion of the document.
    let config = Config::new([JSON])
        .validator_url("none")
        .display_operation_id(true);
    let found = match utoipa_swagger_ui::serve(name, Arc::new(config)) {
        Ok(found) => found,
        Err(error) => return Problem::internal(&error).into_response(),
    };
    let Some(found) = found else {
        return Problem::not_found().into_response();
    };
    let Ok(kind) = HeaderValue::from_str(&found.content_type) else {
        return Problem::internal(&"a file of the page has no content type").into_response();
    };
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, kind),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    let body = match found.bytes {
        Cow::Borrowed(bytes) => bytes::Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes::Bytes::from(bytes),
    };
    (headers, body).into_response()
}
