//! Why an agent cannot do what it is asked to, in sentences for whoever started it.

use std::path::PathBuf;

use tonic::{Code, Status};

/// Why it ends, or tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("read {what} {}: {source}", path.display())]
    Read {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file was read and is not what it should be.
    #[error("{} holds no {what}", path.display())]
    Content {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The address of the server makes no sense.
    #[error("`{0}` is not the address of a server: HOST:PORT")]
    Address(String),
    /// The join token cannot be sent.
    #[error("the join token is no plain text")]
    Token,
    /// Somebody serves on the socket.
    #[error("another process serves on {}", .0.display())]
    SocketTaken(PathBuf),
    /// There is something else in the socket's place.
    #[error("{} exists and is no socket", .0.display())]
    NoSocket(PathBuf),
    /// The socket cannot be made.
    #[error("make the socket {}: {source}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The socket cannot be served on any more.
    #[error("serve on the socket: {0}")]
    Serve(tonic::transport::Error),
    /// The folder cannot be written.
    #[error("write into {}: {source}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key could not be made or used.
    #[error("make a key")]
    Key,
    /// The server could not be asked.
    #[error("the server at {server} cannot be reached: {why}")]
    Away {
        /// It.
        server: String,
        /// Why.
        why: String,
    },
    /// The server answered, and not with a certificate.
    #[error("the server refuses: {message}")]
    Refused {
        /// Its words, which begin with a stable code.
        message: String,
        /// Whether it says that this proxy is not trusted any more.
        revoked: bool,
    },
    /// The server's answer is none.
    #[error("the server's answer makes no sense: {0}")]
    Senseless(&'static str),
}

impl Error {
    /// What a status means.
    pub(crate) fn status(server: &str, status: &Status) -> Self {
        match status.code() {
            Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::Unimplemented => Self::Refused {
                message: status.message().to_owned(),
                revoked: status.message().starts_with("HED-3006"),
            },
            _ => Self::Away {
                server: server.to_owned(),
                why: bottom(status),
            },
        }
    }
}

/// The cause at the bottom says most.
fn bottom(status: &Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => cause.to_string(),
    }
}
