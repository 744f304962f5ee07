//! A small application behind an Envoy: says who it is and what it received.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// The next address to try.
static NEXT: AtomicU16 = AtomicU16::new(1);

/// A running application; it speaks HTTP/1.1 and HTTP/2. Dropping it stops it.
pub struct Application {
    /// Where it listens: an address of its own, so that all workloads of a service can have the same port.
    pub address: IpAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    service: String,
    version: String,
    requests: AtomicU64,
    status: AtomicU16,
    delay_ms: AtomicU64,
    health: AtomicU16,
    checks: AtomicU64,
}

impl Application {
    /// The port of every application.
    pub const PORT: u16 = 8080;

    /// Starts one on an address of its own.
    pub async fn start(service: &str, version: &str) -> Self {
        let (listener, address) = loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            // The process id keeps test processes on one machine apart.
            let network = u8::try_from(std::process::id() % 200).unwrap_or(0) + 16;
            let address = IpAddr::V4(Ipv4Addr::new(127, network, n[0], n[1]));
            if let Ok(listener) = TcpListener::bind((address, Self::PORT)).await {
                break (listener, address);
            }
        };
        let shared = Arc::new(Shared {
            service: service.to_owned(),
            version: version.to_owned(),
            requests: AtomicU64::new(0),
            status: AtomicU16::new(200),
            delay_ms: AtomicU64::new(0),
            health: AtomicU16::new(200),
            checks: AtomicU64::new(0),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("serving does not fail");
        });
        Self {
            address,
            shared,
            task: task.abort_handle(),
        }
    }

    /// How many requests it has answered.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// From now on it answers with this status.
    pub fn answer_with(&self, status: u16) {
        self.shared.status.store(status, Ordering::Relaxed);
    }

    /// How many requests for `/healthz` it has answered; they are no others' business.
    #[must_use]
    pub fn checks(&self) -> u64 {
        self.shared.checks.load(Ordering::Relaxed)
    }

    /// From now on it answers `/healthz` with this status.
    pub fn health(&self, status: u16) {
        self.shared.health.store(status, Ordering::Relaxed);
    }

    /// From now on it thinks this long, in milliseconds, before it answers.
    pub fn think(&self, delay_ms: u64) {
        self.shared.delay_ms.store(delay_ms, Ordering::Relaxed);
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if request.uri().path() == "/healthz" {
        shared.checks.fetch_add(1, Ordering::Relaxed);
        let health = StatusCode::from_u16(shared.health.load(Ordering::Relaxed));
        return health.unwrap_or(StatusCode::IM_A_TEAPOT).into_response();
    }
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let delay = shared.delay_ms.load(Ordering::Relaxed);
    if delay > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
    }
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(ToOwned::to_owned)
    };
    let body = json!({
        "service": shared.service,
        "version": shared.version,
        "path": request.uri().path(),
        "http": format!("{:?}", request.version()),
        "xfcc": header("x-forwarded-client-cert"),
        "user": header("x-user"),
        "authorization": header("authorization"),
    });
    let status = StatusCode::from_u16(shared.status.load(Ordering::Relaxed))
        .unwrap_or(StatusCode::IM_A_TEAPOT);
    (status, axum::Json(body)).into_response()
}
