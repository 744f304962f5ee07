//! Hands out certificates on this host: everything but what people type is the agent's own crate.

use std::path::Path;
use std::sync::Arc;

use heddle_agent::{Error, Options, Server, Token};
use heddle_model::clock::SystemClock;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;
use zeroize::Zeroizing;

use crate::args::agent::{Agent, From};
use crate::command::bootstrap::absolute;
use crate::failure::{Exit, Failure};
use crate::host::bootstrap::{self, Facts};

/// Runs until it is told to end.
pub(crate) async fn agent(args: Agent) -> Result<(), Failure> {
    let (server, proxy, service) = from(args.from)?;
    let options = Options {
        server,
        proxy,
        service,
        socket: args.socket.as_deref().map(absolute).transpose()?,
        socket_mode: args.socket_mode,
        files: args.files.as_deref().map(absolute).transpose()?,
    };
    log();
    let clock = Arc::new(SystemClock);
    let done = match args.once {
        true => heddle_agent::once(options, clock).await,
        false => heddle_agent::run(options, clock, end()?).await,
    };
    done.map_err(|error| failure(&error))
}

/// To standard error, which a supervisor collects.
fn log() {
    // Fails only when there is one already.
    let _ = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
}

/// Cancelled when the program is told to end.
fn end() -> Result<CancellationToken, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::io("listen for signals", &error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let end = CancellationToken::new();
    let ended = end.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ended.cancel();
    });
    Ok(end)
}

/// Where it asks, as which proxy of which service. What was typed goes before what the file says.
fn from(given: From) -> Result<(Server, String, String), Failure> {
    let facts = match &given.bootstrap {
        Some(path) => read(path)?,
        None => Facts::default(),
    };
    let ca_pem = match &given.xds_ca {
        Some(path) => Some(text(path)?),
        None => facts.ca_pem,
    };
    let address = facts
        .host
        .zip(facts.port)
        .map(|(host, port)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        });
    let token = facts.token.map(|token| match token {
        bootstrap::Token::File(path) => Token::File(path.into()),
        bootstrap::Token::Inline(text) => {
            Token::Inline(Zeroizing::new(text.expose_secret().to_owned()))
        }
    });
    let lacks = |what: &str, flag: &str| {
        Failure::usage(format!("the bootstrap does not say {what}")).hint(format!(
            "say it with {flag}, or write the file anew with `heddle bootstrap`"
        ))
    };
    let server = Server {
        address: given
            .xds_address
            .or(address)
            .ok_or_else(|| lacks("where the server is", "--xds-address"))?,
        ca_pem: ca_pem.ok_or_else(|| {
            lacks(
                "what the server's certificate is checked against",
                "--xds-ca",
            )
        })?,
        name: None,
        token: given
            .join_token
            .map(Token::File)
            .or(token)
            .ok_or_else(|| lacks("where the join token is", "--join-token"))?,
    };
    let proxy = given.proxy.or(facts.node_id);
    let proxy = proxy.ok_or_else(|| lacks("what the proxy is called", "--proxy"))?;
    let service = given.service.or(facts.service).unwrap_or_default();
    Ok((server, proxy, service))
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::io(&format!("read {}", path.display()), &error))
}

fn read(path: &Path) -> Result<Facts, Failure> {
    let document: Result<Value, _> = serde_yaml_ng::from_str(&text(path)?);
    // Not what is wrong with it: it may hold a token.
    let document = document.map_err(|_| {
        Failure::error(format!("{} is neither YAML nor JSON", path.display()))
            .hint("write it anew with `heddle bootstrap`")
    })?;
    Ok(bootstrap::facts(&document))
}

fn failure(error: &Error) -> Failure {
    let (exit, hint) = match error {
        Error::Refused { .. } => (
            Exit::Auth,
            "`heddle explain CODE` says more; the token is for one service, and once used for one proxy",
        ),
        Error::Away { .. } => (
            Exit::Error,
            "`heddle doctor FILE` finds out why, of a bootstrap that names the same server",
        ),
        Error::SocketTaken(_) => (
            Exit::Conflict,
            "an agent runs already; end it, or choose another socket",
        ),
        Error::NoSocket(_) => (Exit::Conflict, "remove it, or choose another path"),
        Error::Socket { .. } => (
            Exit::Error,
            "the folder has to be there, and writable; a path has 107 characters at most",
        ),
        Error::Read { .. } | Error::Content { .. } => (
            Exit::Error,
            "make a token with `heddle join-token create`, and put it there for this user to read",
        ),
        Error::Address(_) => (Exit::Usage, "such as heddle.example.com:18000"),
        _ => return Failure::error(error.to_string()),
    };
    Failure::new(exit, error.to_string()).hint(hint)
}
