//! The console: files that were built from `web/` and are part of this binary, under `/console/`.
//!
//! It is a client of the public API like any other; nothing here knows who asks. What it holds is the same for
//! everybody, so the files may be cached; what they show comes from the API.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

/// Where the console is, below the API's own address.
pub(crate) const PATH: &str = "/console/";

/// One file: its path below [`PATH`], the hash of its content and the content.
struct Asset {
    path: &'static str,
    etag: &'static str,
    content: &'static [u8],
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// Nothing from elsewhere, nothing inline, no string becomes a script (Trusted Types), no frame around us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><title>Heddle</title>\
    <h1>This heddled was built without the console</h1>\
    <p><code>make run</code> builds both. The API answers at <code>/v1</code> as always.</p></html>";

/// The console's addresses, and the way there from `/`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let home = || async { Redirect::temporary(PATH) };
    Router::new()
        .route("/", get(home))
        .route("/console", get(home))
        .route(
            "/console/",
            get(|headers: HeaderMap| async move { serve(ASSETS, "", &headers) }),
        )
        .route(
            "/console/{*path}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move {
                serve(ASSETS, &path, &headers)
            }),
        )
}

/// A file; or the first page for an address that the console itself routes; or nothing.
fn serve(assets: &[Asset], path: &str, request: &HeaderMap) -> Response {
    let find = |path: &str| assets.iter().find(|asset| asset.path == path);
    let file_name = path.rsplit('/').next().unwrap_or_default();
    let asset = match find(path) {
        Some(asset) => Some(asset),
        None if path.starts_with("assets/") || file_name.contains('.') => None,
        None => find("index.html"),
    };
    let mut response = match asset {
        Some(asset) => answer(asset, request),
        None if assets.is_empty() => {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            (status, [(header::CONTENT_TYPE, html)], NOT_BUILT).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such file").into_response(),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn answer(asset: &Asset, request: &HeaderMap) -> Response {
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|known| known.split(',').any(|one| one.trim() == asset.etag));
    // Names below assets/ hold the hash of the content: another content is another address.
    let cache = match asset.path.starts_with("assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let headers = [
        (header::ETAG, HeaderValue::from_static(asset.etag)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = HeaderValue::from_static(media_type(asset.path));
    (headers, [(header::CONTENT_TYPE, kind)], asset.content).into_response()
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: &[Asset] = &[
        Asset {
            path: "assets/app-1.js",
            etag: "\"b\"",
            content: b"let a",
        },
        Asset {
            path: "index.html",
            etag: "\"a\"",
            content: b"<!doctype html>",
        },
    ];

    fn header(response: &Response, name: HeaderName) -> &str {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn sec_w03_no_page_can_be_framed_and_none_runs_what_is_not_its_own() {
        for assets in [BUILT, &[]] {
            for path in ["", "meshes/shop", "assets/app-1.js", "nothing.js"] {
                let response = serve(assets, path, &HeaderMap::new());
                let policy = header(&response, header::CONTENT_SECURITY_POLICY);
                assert!(policy.contains("frame-ancestors 'none'"), "{path}");
                assert!(policy.contains("default-src 'none'"), "{path}");
                assert!(!policy.contains("unsafe"), "{path}");
                assert_eq!(header(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
            }
        }
    }

    #[test]
    fn sec_w09_addresses_of_the_console_get_its_first_page_and_missing_files_do_not() {
        for (path, status, kind) in [
            ("", 200, "text/html; charset=utf-8"),
            ("meshes/shop/services", 200, "text/html; charset=utf-8"),
            ("assets/app-1.js", 200, "text/javascript; charset=utf-8"),
            ("assets/app-2.js", 404, "text/plain; charset=utf-8"),
            ("assets/", 404, "text/plain; charset=utf-8"),
            ("index.js.map", 404, "text/plain; charset=utf-8"),
        ] {
            let response = serve(BUILT, path, &HeaderMap::new());
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert_eq!(header(&response, header::CONTENT_TYPE), kind, "{path}");
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let mut request = HeaderMap::new();
        request.insert(
            header::IF_NONE_MATCH,
            HeaderValue::from_static("\"x\", \"a\""),
        );
        let response = serve(BUILT, "", &request);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header(&response, header::CACHE_CONTROL), "no-cache");
        let response = serve(BUILT, "assets/app-1.js", &request);
        assert_eq!(response.status(), StatusCode::OK);
        assert!(header(&response, header::CACHE_CONTROL).contains("immutable"));
    }

    #[test]
    fn without_a_built_console_the_page_says_so() {
        let response = serve(&[], "meshes", &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
