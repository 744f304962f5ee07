//! `heddled demo-app`: one small service. It says who it is, and what the service that it calls said.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::DemoAppArgs;
use crate::up::http_client::Client;

/// Serves until SIGTERM, then finishes what is under way.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn run(args: DemoAppArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listen on {}", args.listen))?;
    let mut terminate = signal(SignalKind::terminate()).context("take over SIGTERM")?;
    tracing::info!("{} {} listens on {}", args.name, args.version, args.listen);
    let shop = Shop {
        name: args.name,
        version: args.version,
        listen: args.listen,
    };
    let upstream = args.calls.zip(args.via);
    axum::serve(listener, router(shop, upstream))
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await
        .context("serve")
}

/// One answer, whatever the path.
fn router(shop: Shop, upstream: Option<(String, SocketAddr)>) -> Router {
    let parts = Arc::new((shop, upstream, Client::new()));
    Router::new().fallback(move || {
        let parts = Arc::clone(&parts);
        async move { answer(&parts.0, parts.1.as_ref(), &parts.2).await }
    })
}

/// Who this is.
struct Shop {
    name: String,
    version: String,
    listen: SocketAddr,
}

async fn answer(shop: &Shop, upstream: Option<&(String, SocketAddr)>, http: &Client) -> Response {
    let Some((callee, via)) = upstream else {
        return Json(merge(shop, None)).into_response();
    };
    let request = Request::get(format!("http://{via}/"))
        .header(http::header::HOST, callee)
        .body(Full::<Bytes>::default());
    let outcome = match request.context("build the request") {
        Ok(request) => http.send(request).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(answer) if answer.status == StatusCode::OK => match answer.json() {
            Ok(body) => Json(merge(shop, Some(body))).into_response(),
            Err(error) => failure(
                shop,
                callee,
                StatusCode::BAD_GATEWAY,
                json!(format!("{error:#}")),
            ),
        },
        Ok(answer) => {
            let body = answer.json().unwrap_or_else(|_| {
                Value::String(String::from_utf8_lossy(&answer.body).into_owned())
            });
            failure(shop, callee, answer.status, body)
        }
        Err(error) => failure(
            shop,
            callee,
            StatusCode::BAD_GATEWAY,
            json!(format!("{error:#}")),
        ),
    }
}

/// Our own names, and beside them one object for each service further down: nothing nests, so that
/// `payments.version` is in the same place whoever answers.
fn merge(shop: &Shop, upstream: Option<Value>) -> Value {
    let mut all = Map::new();
    all.insert("service".to_owned(), json!(shop.name));
    all.insert("version".to_owned(), json!(shop.version));
    all.insert("instance".to_owned(), json!(shop.listen.to_string()));
    if let Some(Value::Object(upstream)) = upstream {
        let name = upstream
            .get("service")
            .and_then(Value::as_str)
            .unwrap_or("upstream")
            .to_owned();
        let (further, own): (Map<_, _>, Map<_, _>) = upstream
            .into_iter()
            .partition(|(_, value)| value.is_object());
        all.insert(name, Value::Object(own));
        all.extend(further);
    }
    Value::Object(all)
}

/// The status as it came, and which hop it came from. One from further down passes as it is.
fn failure(shop: &Shop, callee: &str, status: StatusCode, body: Value) -> Response {
    let further_down = body.get("failed_hop").is_some();
    let body = if further_down {
        body
    } else {
        json!({
            "failed_hop": {"from": shop.name, "to": callee},
            "status": status.as_u16(),
            "body": body,
        })
    };
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(name: &str) -> Shop {
        Shop {
            name: name.to_owned(),
            version: "v1".to_owned(),
            listen: "127.0.0.1:1".parse().unwrap(),
        }
    }

    #[test]
    fn every_service_on_the_way_stands_at_the_top() {
        let payments = merge(&shop("payments"), None);
        let checkout = merge(&shop("checkout"), Some(payments));
        let frontend = merge(&shop("frontend"), Some(checkout));
        assert_eq!(frontend["service"], "frontend");
        assert_eq!(frontend["checkout"]["service"], "checkout");
        assert_eq!(frontend["payments"]["version"], "v1");
        assert!(frontend["checkout"].get("payments").is_none());
    }

    /// Starts a service on a free port; returns where.
    async fn start(name: &str, upstream: Option<(&str, SocketAddr)>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let shop = Shop {
            listen,
            ..shop(name)
        };
        let upstream = upstream.map(|(callee, via)| (callee.to_owned(), via));
        tokio::spawn(async move { axum::serve(listener, router(shop, upstream)).await });
        listen
    }

    #[tokio::test]
    async fn a_chain_answers_as_one_and_a_refusal_names_its_hop() {
        let http = Client::new();
        let payments = start("payments", None).await;
        let checkout = start("checkout", Some(("payments", payments))).await;
        let frontend = start("frontend", Some(("checkout", checkout))).await;
        let good = http
            .get(&format!("http://{frontend}/any/path"))
            .await
            .unwrap();
        assert_eq!(good.status, StatusCode::OK);
        assert_eq!(
            good.json().unwrap()["payments"]["instance"],
            payments.to_string()
        );

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = listener.local_addr().unwrap();
        let router =
            Router::new().fallback(async || (StatusCode::FORBIDDEN, "RBAC: access denied"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let checkout = start("checkout", Some(("payments", refusing))).await;
        let frontend = start("frontend", Some(("checkout", checkout))).await;
        let refused = http.get(&format!("http://{frontend}/")).await.unwrap();
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let body = refused.json().unwrap();
        assert_eq!(
            body["failed_hop"],
            json!({"from": "checkout", "to": "payments"})
        );
        assert_eq!(body["body"], "RBAC: access denied");
    }

    #[tokio::test]
    async fn an_upstream_that_is_not_there_is_a_bad_gateway() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        let frontend = start("frontend", Some(("checkout", nobody))).await;
        let answer = Client::new()
            .get(&format!("http://{frontend}/"))
            .await
            .unwrap();
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(answer.json().unwrap()["failed_hop"]["to"], "checkout");
    }
}
