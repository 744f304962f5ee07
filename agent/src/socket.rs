//! The socket on which applications and the Envoy of this host get what they are given.

use std::convert::Infallible;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
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

/// A file that is removed when this is dropped, unless another one has its name by then.
struct Removed {
    path: PathBuf,
    /// Which file of which device.
    own: (u64, u64),
}

impl Removed {
    fn there(path: &Path) -> std::io::Result<(u64, u64)> {
        let there = std::fs::symlink_metadata(path)?;
        Ok((there.dev(), there.ino()))
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        if Self::there(&self.path).is_ok_and(|there| there == self.own) {
            // Whoever comes next removes it otherwise.
            let _ = std::fs::remove_file(&self.path);
        }
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
        let (listener, own) = Self::make(path, mode).map_err(failed)?;
        Ok(Self {
            listener,
            file: Removed {
                path: path.to_owned(),
                own,
            },
        })
    }

    /// Made in a folder of its own beside its place, where nobody else comes, and moved there once only those may use it who should.
    fn make(path: &Path, mode: u32) -> std::io::Result<(UnixListener, (u64, u64))> {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let beside = tempfile::Builder::new()
            .prefix(".s")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(folder.unwrap_or(Path::new(".")))?;
        let made = beside.path().join("s");
        let listener = UnixListener::bind(&made)?;
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(mode))?;
        let own = Removed::there(&made)?;
        std::fs::rename(&made, path)?;
        Ok((listener, own))
    }

    /// Serves on it until it is told to end.
    pub(crate) async fn serve(
        self,
        given: Given,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        tracing::info!(socket = %self.file.path.display(), "serving the Workload API and SDS");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_for_those_who_should_and_takes_away_nothing_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let socket = Socket::bind(&path, 0o660).await.unwrap();
        let there = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(there.permissions().mode() & 0o777, 0o660);
        let left = || std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left(), 1, "it was made in a folder that is gone");
        drop(socket);
        assert_eq!(left(), 0);

        let socket = Socket::bind(&path, 0o660).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = Socket::bind(&path, 0o660).await.unwrap();
        drop(socket);
        assert!(path.exists(), "somebody else serves there now");
        drop(other);
        assert_eq!(left(), 0);
    }
}
