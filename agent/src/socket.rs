//! The socket on which applications and the Envoy of this host get what they are given.

use std::convert::Infallible;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::SecretDiscoveryServiceServer;
use futures::future::BoxFuture;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::Service;

use crate::authority::Connection;
use crate::error::Error;
use crate::given::Given;
use crate::sds::Secrets;
use crate::workload_api::WorkloadApi;

/// The calls that an Envoy makes; all others are those of the Workload API, or unknown to it.
const SDS: &str = "/envoy.service.secret.v3.SecretDiscoveryService/";

/// A socket in the file system, which is taken away with this.
pub(crate) struct Socket {
    listener: UnixListener,
    file: Removed,
}

/// A file that is removed when this is dropped.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // Whoever comes next removes it otherwise.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Makes the socket, for those that the mode says from the first moment on.
    pub(crate) async fn bind(path: &Path, mode: u32) -> Result<Self, Error> {
        let failed = |source| Error::Socket {
            path: path.to_owned(),
            source,
        };
        if let Ok(there) = std::fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(Error::NoSocket(path.to_owned()));
            }
            if UnixStream::connect(path).await.is_ok() {
                return Err(Error::SocketTaken(path.to_owned()));
            }
        }
        // Made beside its place and moved there once nobody else may use it.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = Removed(PathBuf::from(beside));
        let listener = UnixListener::bind(&beside.0).map_err(failed)?;
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&beside.0, mode)
            .and_then(|()| std::fs::rename(&beside.0, path))
            .map_err(failed)?;
        Ok(Self {
            listener,
            file: Removed(path.to_owned()),
        })
    }

    /// Serves on it until it is told to end.
    pub(crate) async fn serve(
        self,
        given: Given,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        tracing::info!(socket = %self.file.0.display(), "serving the Workload API and SDS");
        let answering = Answering {
            workload_api: WorkloadApi::new(given.clone(), shutdown.clone()),
            secrets: SecretDiscoveryServiceServer::new(Secrets::new(given, shutdown.clone())),
        };
        let connections = UnixListenerStream::new(self.listener);
        let connections = connections.map(|connection| connection.map(Connection::new));
        tonic::transport::Server::builder()
            .serve_with_incoming_shutdown(answering, connections, shutdown.cancelled_owned())
            .await
            .map_err(Error::Serve)
    }
}

/// Both services on one socket.
#[derive(Clone)]
struct Answering {
    workload_api: WorkloadApi,
    secrets: SecretDiscoveryServiceServer<Secrets>,
}

impl Service<http::Request<Body>> for Answering {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path().starts_with(SDS) {
            return Box::pin(self.secrets.call(request));
        }
        let workload_api = self.workload_api.clone();
        Box::pin(async move { Ok(workload_api.answer(request).await) })
    }
}
