//! A small collector of OpenTelemetry logs: keeps what it is sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use envoy_types::pb::opentelemetry::proto::common::v1::{KeyValue, any_value};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, UnaryService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// One record: the attributes of its resource and its own, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Of what wrote it.
    pub resource: BTreeMap<String, String>,
    /// Of the record.
    pub attributes: BTreeMap<String, String>,
}

/// A running collector. Dropping it stops it.
pub struct Collector {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    records: Records,
    task: AbortHandle,
}

impl Collector {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let records = Records::default();
        let service = records.clone();
        let incoming = TcpListenerStream::new(listener);
        let task = tokio::spawn(async move {
            Server::builder()
                .serve_with_incoming(service, incoming)
                .await
                .expect("serving does not fail");
        });
        Self {
            port,
            records,
            task: task.abort_handle(),
        }
    }

    /// What has arrived so far.
    #[must_use]
    pub fn records(&self) -> Vec<LogRecord> {
        self.records.lock().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// As much of opentelemetry/proto/collector/logs/v1/logs_service.proto as is looked at.
#[derive(Clone, PartialEq, prost::Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    log_records: Vec<Log>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Log {
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ExportResponse {}

fn texts(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |pair: KeyValue| match pair.value?.value? {
        any_value::Value::StringValue(text) => Some((pair.key, text)),
        _ => None,
    };
    pairs.into_iter().filter_map(text).collect()
}

/// The only method that there is.
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<LogRecord>>>);

impl Records {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<LogRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnaryService<ExportRequest> for Records {
    type Response = ExportResponse;
    type Future = Ready<Result<Response<ExportResponse>, Status>>;

    fn call(&mut self, request: Request<ExportRequest>) -> Self::Future {
        let mut records = self.lock();
        for logs in request.into_inner().resource_logs {
            let resource = texts(logs.resource.unwrap_or_default().attributes);
            for log in logs.scope_logs.into_iter().flat_map(|s| s.log_records) {
                records.push(LogRecord {
                    resource: resource.clone(),
                    attributes: texts(log.attributes),
                });
            }
        }
        ready(Ok(Response::new(ExportResponse {})))
    }
}

impl Service<http::Request<Body>> for Records {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let records = self.clone();
        if request.uri().path() != EXPORT {
            let status = Status::unimplemented("there is no such method");
            return Box::pin(ready(Ok(status.into_http())));
        }
        Box::pin(async move {
            let codec = ProstCodec::<ExportResponse, ExportRequest>::default();
            Ok(Grpc::new(codec).unary(records, request).await)
        })
    }
}
