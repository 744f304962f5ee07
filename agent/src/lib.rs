//! The agent of a host: gets certificates for a private key that never leaves it, and hands them to the applications and the Envoy there.
//!
//! What lives here: the key, asking for certificates and replacing them in time ([`run`]), and three ways to hand them out: the SPIFFE
//! Workload API and Envoy's SDS on a unix socket, and files. What does not: who may have which certificate, which the server decides by
//! the join token; and which application on the host gets one, which whoever may open the socket or read the files does.
//!
//! `heddle` is what people run it by. It depends on the wire and on no part of the server.
#![warn(missing_docs)]

mod authority;
mod backoff;
mod by_request;
mod control;
mod error;
mod files;
mod given;
mod keeper;
mod key;
mod pem;
mod sds;
mod socket;
mod workload_api;

use std::path::PathBuf;

use heddle_model::clock::SharedClock;
use tokio_util::sync::CancellationToken;

pub use by_request::{Answer, NewKey};
pub use control::{Server, Token};
pub use error::Error;

use control::Control;
use files::Files;
use keeper::Keeper;
use socket::Socket;

/// What an agent does.
#[derive(Debug)]
pub struct Options {
    /// Where it asks.
    pub server: Server,
    /// The name of the proxy that it is, unique within its service.
    pub proxy: String,
    /// The service, where it is known: the join token's, or the server refuses.
    pub service: String,
    /// The socket on which it serves the Workload API and SDS.
    pub socket: Option<PathBuf>,
    /// Who may open the socket, as the mode of a file.
    pub socket_mode: u32,
    /// The folder in which it keeps certificate, key and bundle as files.
    pub files: Option<PathBuf>,
}

/// Runs until it is told to end.
///
/// # Errors
/// What is wrong before the first certificate: the files, the socket, the folder, or that the server refuses. A server that is away is
/// waited for. Later nothing ends it.
pub async fn run(
    options: Options,
    clock: SharedClock,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let mut parts = Parts::new(options, clock)?;
    // Before anybody is asked for anything: a second agent changes nothing.
    let socket = match &parts.socket {
        Some((path, mode)) => Some(Socket::bind(path, *mode).await?),
        None => None,
    };
    let given = parts.keeper.given();
    let serving = async {
        match socket {
            Some(socket) => socket.serve(given, shutdown.clone()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = serving => served,
        kept = parts.keeper.run(shutdown.clone()) => kept,
    }
}

/// Gets one certificate and writes it into the folder.
///
/// # Errors
/// Anything, a server that is away as well.
pub async fn once(options: Options, clock: SharedClock) -> Result<(), Error> {
    Parts::new(options, clock)?.keeper.once().await
}

struct Parts {
    keeper: Keeper,
    socket: Option<(PathBuf, u32)>,
}

impl Parts {
    fn new(options: Options, clock: SharedClock) -> Result<Self, Error> {
        let control = Control::new(options.server, options.proxy, options.service)?;
        let files = options.files.map(Files::open).transpose()?;
        let mode = options.socket_mode;
        Ok(Self {
            keeper: Keeper::new(control, files, clock),
            socket: options.socket.map(|path| (path, mode)),
        })
    }
}
