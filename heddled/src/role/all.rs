//! API, xDS and certificate authority in one process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use heddle_api::{App, Limits, Live, XdsFacts};
use heddle_ca::{CertificateAuthority, Parts, SystemRandom, TrustBundle, TrustDomain};
use heddle_egress::Caller;
use heddle_model::clock::{Ids as _, SharedClock, SystemClock, SystemIds};
use heddle_oidc::Providers;
use heddle_store::{Options, Store};
use heddle_xds_server::ReportsTo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adapter::{
    Authorities, Identities, KeyCertifier, Maker, MeshSource, Replica, Rotations, authority_watch,
    database_watch, ephemeral_proxies, journal_watch, observations, usage,
};
use crate::config::{Config, ServerFiles, split_address};
use crate::mail::{self, Links, Postman};
use crate::signing::Signing;
use crate::up::server::http_url;
use crate::webhooks::Sender;
use crate::xds_certificate::XdsCertificate;
use crate::{console, ephemeral, telemetry};

const DRAIN: Duration = Duration::from_secs(8);

/// Connects to the database as the role that the server runs under.
pub(crate) async fn connect(config: &Config, max_connections: u32) -> anyhow::Result<Store> {
    let options = Options {
        url: config.database_url.clone(),
        max_connections,
        acquire_timeout: config.database_wait,
        quotas: config.quotas.clone(),
    };
    Store::connect(options, Arc::new(SystemClock), Arc::new(SystemIds))
        .await
        .context("connect to the database")
}

/// Runs until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// A part cannot start.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = telemetry::install_metrics()?;
    let store = connect(&config, config.database_connections).await?;
    store.ping().await.context("check the database")?;
    let clock: SharedClock = Arc::new(SystemClock);
    let files = config.server_files()?;
    let shutdown = CancellationToken::new();

    let id = SystemIds.next();
    let ephemeral = ephemeral::open(&config, id)?;
    let fanout = Arc::clone(&ephemeral.fanout);
    let source = Arc::new(MeshSource::new(store.clone(), id, fanout));
    source.refresh().await.context("read the feed of changes")?;
    let authorities = Authorities::new(store.clone(), Arc::clone(&source) as _);
    let authorities = Arc::new(authorities);
    let signing = Signing::open(&config, Arc::clone(&authorities), &clock)?;
    let authority = authority(authorities, &signing, &clock);
    let xds_listener = TcpListener::bind(config.xds_listen)
        .await
        .with_context(|| format!("listen on {} for xDS", config.xds_listen))?;
    let api_listener = TcpListener::bind(config.api_listen)
        .await
        .with_context(|| format!("listen on {} for the API", config.api_listen))?;

    // Only now: a second server that cannot have the ports has changed nothing.
    let servers = ephemeral.servers.clone();
    let replica = Arc::new(Replica::new(
        store.clone(),
        id,
        Arc::clone(&source),
        servers,
    ));
    replica.begin().await.context("take part")?;
    let alive = tokio::spawn({
        let (replica, shutdown) = (Arc::clone(&replica), shutdown.clone());
        async move { replica.live(shutdown).await }
    });
    let forgetful = tokio::spawn(ephemeral_proxies::forget(
        store.clone(),
        Arc::clone(&source),
        config.ephemeral_after,
        shutdown.clone(),
    ));
    let journal = tokio::spawn(journal_watch::watch(
        store.clone(),
        Arc::clone(&source),
        shutdown.clone(),
    ));
    let ends = tokio::spawn(authority_watch::watch(
        store.clone(),
        Arc::clone(&source),
        shutdown.clone(),
    ));
    let database = tokio::spawn(database_watch::watch(store.clone(), shutdown.clone()));
    let reports = tokio::spawn(observations::forget(
        store.clone(),
        Arc::clone(&source),
        shutdown.clone(),
    ));
    let link = (ephemeral.link).map(|link| tokio::spawn(link.run(shutdown.clone())));
    let feed = tokio::spawn(Arc::clone(&source).follow(shutdown.clone()));
    let rotations = tokio::spawn({
        let rotations = Rotations::new(store.clone(), Arc::clone(&source));
        let shutdown = shutdown.clone();
        async move { rotations.follow(shutdown).await }
    });
    let mailing = mailing(&config, &store, &shutdown)?;
    let egress = config.egress.caller()?;
    let sealer = Arc::clone(&signing.sealer);
    let sender = Sender::new(store.clone(), sealer, egress.clone(), Arc::clone(&clock));
    let telling = tokio::spawn(sender.follow(shutdown.clone()));
    let forgotten = tokio::spawn(mail::forget(store.clone(), shutdown.clone()));
    let metering = tokio::spawn(usage::write(store.clone(), shutdown.clone()));
    let watched = tokio::spawn(signing.clone().watch(shutdown.clone()));
    let reports_to = reports_to(&config, &files)?;
    let (certificate, tls) = XdsCertificate::read(&files, Arc::clone(&clock))?;
    let certificate = tokio::spawn(certificate.follow(shutdown.clone()));
    let xds = tokio::spawn(heddle_xds_server::serve(
        xds_listener,
        tls,
        Arc::clone(&source) as Arc<dyn heddle_xds_server::SnapshotSource>,
        Arc::new(Identities::new(Arc::clone(&authority), store.clone())),
        heddle_xds_server::Options {
            endpoint_grace: config.endpoint_grace,
            endpoint_drain: config.endpoint_drain,
            leaf_lifetime: config.leaf_lifetime,
            reports: Some(Arc::clone(&reports_to)),
            ..heddle_xds_server::Options::default()
        },
        Arc::clone(&clock),
        shutdown.clone(),
    ));
    let limits = Limits::new(ephemeral.buckets, config.rates);
    let certifier = KeyCertifier::new(authority, Arc::clone(&source), store.clone());
    let app = app(
        &config,
        reports_to,
        (&signing, certifier),
        (store.clone(), egress),
        clock,
        limits,
        shutdown.clone(),
    )?;
    let requests = app.requests.clone();
    let router = Router::new()
        .route(
            "/metrics",
            get(move || async move {
                (
                    [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
                    telemetry::render(&metrics),
                )
            }),
        )
        .merge(console::router())
        .merge(heddle_api::router(app));
    let stop = shutdown.clone();
    let api = tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<heddle_api::Ends>();
        axum::serve(api_listener, service)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    });
    tracing::info!(api = %config.api_listen, xds = %config.xds_listen, version = env!("CARGO_PKG_VERSION"), "serving");

    wait_for_the_end().await?;
    tracing::info!("draining");
    shutdown.cancel();
    requests.close();
    let drained = tokio::time::timeout(DRAIN, async {
        requests.wait().await;
        let xds = xds.await.context("the xDS server panicked")?;
        xds.context("serve xDS")?;
        // Idle keep-alive connections of clients end with the process.
        api.abort();
        feed.await.context("the feed panicked")?;
        if let Some(link) = link {
            link.await.context("the link to Redis panicked")?;
        }
        alive.await.context("the lease panicked")?;
        forgetful
            .await
            .context("forgetting ephemeral proxies panicked")?;
        rotations.await.context("the rotations panicked")?;
        journal.await.context("the watch of the journal panicked")?;
        ends.await
            .context("the watch of the authorities panicked")?;
        reports.await.context("forgetting reports panicked")?;
        database
            .await
            .context("the watch of the database panicked")?;
        if let Some(mailing) = mailing {
            mailing.await.context("sending mail panicked")?;
        }
        forgotten.await.context("forgetting mail panicked")?;
        telling.await.context("sending to webhooks panicked")?;
        metering.await.context("writing usage panicked")?;
        watched.await.context("the watch of what signs panicked")?;
        certificate
            .await
            .context("the reader of the certificate panicked")??;
        replica.end().await;
        usage::write_rest(&store).await;
        Ok::<(), anyhow::Error>(())
    });
    match drained.await {
        Ok(result) => result?,
        Err(_) => tracing::warn!(after_s = DRAIN.as_secs(), "drained as far as time allowed"),
    }
    store.close().await;
    Ok(())
}

/// Where people reach the console, for whoever has to be told before any request.
fn console_url(config: &Config) -> String {
    let named = config.public_url.clone();
    named.unwrap_or_else(|| http_url(config.api_listen))
}

/// Sends mail, if there is something that hands it on.
fn mailing(
    config: &Config,
    store: &Store,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(mailer) = mail::mailer(&config.mail)? else {
        tracing::info!("neither smtp_url nor mail_dir is set: mail waits");
        return Ok(None);
    };
    let postman = Postman::new(store.clone(), mailer, Links::new(console_url(config)));
    let shutdown = shutdown.clone();
    Ok(Some(tokio::spawn(
        async move { postman.follow(shutdown).await },
    )))
}

pub(super) async fn wait_for_the_end() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Where proxies reach the xDS server, and by what they know it.
fn reports_to(config: &Config, files: &ServerFiles<'_>) -> anyhow::Result<Arc<ReportsTo>> {
    let (host, port) = split_address(&config.xds_address)?;
    let ca_pem = std::fs::read_to_string(files.xds_ca)
        .with_context(|| format!("read {}", files.xds_ca.display()))?;
    Ok(Arc::new(ReportsTo {
        host: host.to_owned(),
        port,
        ca_pem,
    }))
}

fn app(
    config: &Config,
    reports_to: Arc<ReportsTo>,
    (signing, certifier): (&Signing, KeyCertifier),
    (store, egress): (Store, Caller),
    clock: SharedClock,
    limits: Limits,
    shutdown: CancellationToken,
) -> anyhow::Result<App> {
    let suffix = config.trust_domain_suffix.clone();
    // Whether a suffix can be one shows at the first name that is drawn from it.
    TrustDomain::generate("mesh", &SystemRandom, &suffix).context("trust_domain_suffix")?;
    let maker = Maker::new(Arc::clone(&signing.signer), Arc::clone(&clock));
    let maker = Arc::new(maker);
    let providers = Providers::new(egress.clone(), Arc::clone(&clock));
    Ok(App {
        console_url: console_url(config),
        providers: Arc::new(providers),
        egress,
        authorities: Arc::clone(&maker) as _,
        outside: maker,
        certifier: Arc::new(certifier),
        clock,
        ids: Arc::new(SystemIds),
        sealer: Arc::clone(&signing.sealer),
        can_sign: Arc::clone(&signing.ready),
        public_url: config.public_url.clone(),
        xds: Arc::new(XdsFacts {
            host: reports_to.host.clone(),
            port: reports_to.port,
            ca_pem: reports_to.ca_pem.clone(),
            leaf_lifetime: config.leaf_lifetime,
            reports: reports_to,
        }),
        draw_trust_domain: Arc::new(move |mesh| {
            TrustDomain::generate(mesh.as_str(), &SystemRandom, &suffix)
                .map(|domain| domain.to_string())
                .expect("the suffix was tried at the start, and every mesh name is a DNS label")
        }),
        trust_bundle: Arc::new(|roots, sequence| {
            let bundle = TrustBundle::of(roots.iter().copied(), sequence)?;
            Ok(serde_json::to_vec(&bundle)?)
        }),
        requests: TaskTracker::new(),
        live: Live::new(store.clone(), shutdown),
        limits,
        store,
    })
}

fn authority(
    authorities: Arc<Authorities>,
    signing: &Signing,
    clock: &SharedClock,
) -> Arc<CertificateAuthority> {
    let clock = Arc::clone(clock);
    Arc::new(CertificateAuthority::new(Parts {
        journal: Arc::clone(&authorities) as _,
        store: authorities,
        signer: Arc::clone(&signing.signer),
        clock: Arc::new(move || clock.now()),
    }))
}
