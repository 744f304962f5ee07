//! `heddled up`: a supervisor with PostgreSQL, the server and the demo as its children.
//!
//! It runs on one thread, because the kernel ties the children's lives to the thread that started them: so
//! they end when this process ends, however it ends. What runs is known only here and in the kernel; there
//! are no pid files to go stale (PostgreSQL's own is dealt with in [`postgres`]).

pub(crate) mod child;
pub(crate) mod data_dir;
pub(crate) mod files;
pub(crate) mod http_client;
pub(crate) mod logs;
pub(crate) mod output;
pub(crate) mod parent;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod ready;
pub(crate) mod running;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod wait;

use std::process::ExitCode;

use anyhow::bail;
use heddle_model::clock::{Clock as _, SystemClock};
use nix::sys::signal::Signal;

use self::data_dir::{Choices, DataDir};
use self::http_client::Client;
use self::output::say;
use self::parent::Parent;
use self::postgres::Postgres;
use self::ready::{Pids, Ready, ReadyFile};
use self::running::{Running, Signals};
use self::server::Server;
use crate::cli::UpArgs;
use crate::config::{
    Config, DEFAULT_API_LISTEN, DEFAULT_XDS_LISTEN, Settings, reachable, split_address,
};
use crate::demo::{self, Demo};
use crate::telemetry;

/// Runs until it is asked to end. The exit code is 0 if everything was drained.
///
/// # Errors
/// Something cannot be started; what had been started by then has been stopped.
pub(crate) async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    tokio::task::LocalSet::new()
        .run_until(Box::pin(supervise(args)))
        .await
}

async fn supervise(args: UpArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.clone().with_file()?;
    telemetry::init_log(
        settings.log_level.as_deref().unwrap_or("info"),
        settings.log_format.unwrap_or_default(),
    )?;
    let mut signals = Signals::take()?;
    let parent = match args.stop_with_parent {
        true => Some(Parent::follow()?),
        false => None,
    };
    let data = DataDir::take(&args.data_dir)?;
    // After the lock: the file may belong to the one who holds it.
    let ready_file = ReadyFile::clear(args.ready_file.clone())?;
    tokio::task::spawn_local(logs::keep_small(data.logs()));

    let mut running = Running::default();
    let outcome = tokio::select! {
        outcome = serve(&args, settings, &data, &ready_file, &mut running) => outcome,
        signal = asked_to_end(&mut signals, parent.as_ref()) => {
            say(&format!("\nStopping ({signal}); once more to stop at once."));
            Ok(())
        }
    };
    drop(ready_file);
    tokio::select! {
        () = running.drain() => {}
        signal = signals.next() => {
            say(&format!("Stopping at once ({signal})."));
            return Ok(ExitCode::from(130));
        }
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn asked_to_end(signals: &mut Signals, parent: Option<&Parent>) -> Signal {
    let by_parent = async {
        match parent {
            Some(parent) => parent.asked_to_end().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = signals.next() => signal,
        signal = by_parent => signal,
    }
}

/// Starts everything in order, tells people and programs, and keeps the ready file true. Ends with an error
/// or not at all.
async fn serve(
    args: &UpArgs,
    settings: Settings,
    data: &DataDir,
    ready_file: &ReadyFile,
    running: &mut Running,
) -> anyhow::Result<()> {
    let envoy = match args.demo {
        true => Some(demo::fleet::find_envoy(args.envoy.as_deref())?),
        false => None,
    };
    let mut choices = data.choices()?;
    let settings = if args.only_postgres {
        settings
    } else {
        choose_addresses(settings, data, &mut choices).await?
    };
    let settings = database(args, settings, data, running).await?;

    let mut ready = Ready::default();
    let mut message = "PostgreSQL serves.".to_owned();
    if !args.only_postgres {
        let mut settings = key_material(settings, data)?;
        if settings.smtp_url.is_none() {
            settings.mail_dir.get_or_insert_with(|| data.mail());
        }
        let config = Config::settle(settings)?;
        if config.sealing.is_in_variables() {
            bail!("`heddled up` hands no variables on: keep sealing keys in files or a token");
        }
        let server = Server::new(config, data);
        let http = Client::new();
        server.migrate().await?;
        say(&format!("Starting the server on {}", server.api_url()));
        let child = running.server.insert(server.start()?);
        server.ready(child, &http).await?;
        ready.api = Some(server.api_url());
        ready.console = Some(server.console_url());
        ready.xds = Some(server.xds_url());
        message = format!(
            "Heddle serves.\n\n  Console  {}\n  API      {}\n  xDS      {}\n  Mail     {}\n  Logs     {}\n",
            server.console_url(),
            server.api_url(),
            server.xds_url(),
            server.mail(),
            data.logs().display()
        );
        if let Some(envoy) = envoy {
            say("Starting the demo");
            let demo = Demo {
                server: &server,
                http: &http,
                data,
                envoy,
                args,
            };
            message = demo.start(&mut choices, running, &mut ready).await?;
        }
    }
    loop {
        ready.pids = Pids {
            supervisor: std::process::id(),
            server: running.server.as_ref().and_then(process::Child::pid),
            postgres: running.postgres.as_ref().and_then(|(_, child)| child.pid()),
        };
        ready_file.write(&ready)?;
        if !message.is_empty() {
            say(&std::mem::take(&mut message));
        }
        running.pids_changed().await;
    }
}

async fn choose_addresses(
    mut settings: Settings,
    data: &DataDir,
    choices: &mut Choices,
) -> anyhow::Result<Settings> {
    let api = ports::choose(
        "api_listen",
        settings.api_listen,
        choices.api_listen,
        DEFAULT_API_LISTEN,
    )
    .await?;
    let xds = ports::choose(
        "xds_listen",
        settings.xds_listen,
        choices.xds_listen,
        DEFAULT_XDS_LISTEN,
    )
    .await?;
    for (what, default, chosen) in [
        ("the API", DEFAULT_API_LISTEN, &api),
        ("xDS", DEFAULT_XDS_LISTEN, &xds),
    ] {
        if chosen.moved {
            say(&format!(
                "{default} is busy: {what} listens on {} instead",
                chosen.address
            ));
        }
    }
    choices.api_listen = Some(api.address);
    choices.xds_listen = Some(xds.address);
    data.remember(choices)?;
    settings.api_listen = Some(api.address);
    settings.xds_listen = Some(xds.address);
    Ok(settings)
}

/// Starts the embedded PostgreSQL, unless the settings name one.
async fn database(
    args: &UpArgs,
    mut settings: Settings,
    data: &DataDir,
    running: &mut Running,
) -> anyhow::Result<Settings> {
    if settings
        .database_url
        .as_ref()
        .is_some_and(|url| !url.is_empty())
    {
        say("Using the PostgreSQL that DATABASE_URL names");
        return Ok(settings);
    }
    if settings
        .migrate_database_url
        .as_ref()
        .is_some_and(|url| !url.is_empty())
    {
        bail!("migrate_database_url is set, but database_url is not");
    }
    let postgres = Postgres::find(data, args.pg_bin.as_deref())?;
    say(&format!("Starting PostgreSQL in {}", data.path().display()));
    postgres.prepare().await?;
    settings.database_url = Some(postgres.server_url());
    settings.migrate_database_url = Some(postgres.owner_url());
    let child = postgres.start();
    let (postgres, child) = &*running.postgres.insert((postgres, child));
    postgres.ready(child).await?;
    Ok(settings)
}

/// Makes the key and certificates that the settings do not name.
fn key_material(mut settings: Settings, data: &DataDir) -> anyhow::Result<Settings> {
    let elsewhere = settings.sealing_key.is_some() || settings.ca_socket.is_some();
    if settings.sealing_key_file.is_none() && !elsewhere {
        files::sealing_key(&data.sealing_key())?;
        settings.sealing_key_file = Some(data.sealing_key());
    }
    let named = [
        &settings.xds_tls_cert,
        &settings.xds_tls_key,
        &settings.xds_ca,
    ];
    match named.iter().filter(|file| file.is_some()).count() {
        3 => return Ok(settings),
        0 => {}
        _ => bail!("of xds_tls_cert, xds_tls_key and xds_ca, set all three or none"),
    }
    let listen = reachable(settings.xds_listen.unwrap_or(DEFAULT_XDS_LISTEN)).to_string();
    let (host, _) = split_address(settings.xds_address.as_deref().unwrap_or(&listen))?;
    let made = tls::ensure(&data.tls(), host, SystemClock.now())?;
    settings.xds_tls_cert = Some(made.certificate);
    settings.xds_tls_key = Some(made.key);
    settings.xds_ca = Some(made.ca);
    Ok(settings)
}
