//! What faults are done to: two replicas that answer the API and two that proxies go to, of one PostgreSQL and one Redis; real
//! Envoys under traffic, simulated ones, writers and readers of two organisations.

mod disk;
mod load;
mod replica;
mod tenants;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use heddle_tests::{Postgres, Random, Redis, scratch};
use nix::sys::signal::Signal;
use sqlx::PgConnection;
use tempfile::TempDir;

use crate::Cli;
use crate::alarm::Alarm;
use crate::beat::Stroke;
use crate::crowd::Mark;
use crate::relay::{Mode, Relay, Upstream};
use crate::scale::Scale;
use disk::Disk;
pub(crate) use load::Load;
pub(crate) use replica::{Replica, Uses};
pub(crate) use tenants::{Tenants, ledgers};

/// How long a crowd may take until all have a stream.
const PATIENCE: Duration = Duration::from_secs(120);

/// How far a change has come that was sent after a moment: since then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convergence {
    /// Until 99 of a hundred simulated proxies had it.
    pub(crate) p99: Duration,
    /// Until all of them had it, and the real Envoys.
    pub(crate) all: Duration,
}

/// Connections of a server to the database, as the harness has it.
const POOL: usize = 20;

/// All of it. Fields drop in this order: who asks before who is asked.
pub(crate) struct World {
    pub(crate) scale: Scale,
    pub(crate) random: Random,
    pub(crate) load: Load,
    pub(crate) tenants: Tenants,
    pub(crate) alarm: Option<Alarm>,
    /// What stands before those that answer the API.
    pub(crate) api_front: Relay,
    /// What stands before those that proxies go to, for real Envoys.
    pub(crate) xds_front: Relay,
    /// Two that answer the API, then two that proxies go to.
    pub(crate) replicas: Vec<Replica>,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    /// What the database lies on, where it is one of its own.
    pub(crate) disk: Option<Disk>,
    pub(crate) directory: TempDir,
}

/// Those that answer the API.
pub(crate) const API: [usize; 2] = [0, 1];
/// Those that proxies go to.
pub(crate) const XDS: [usize; 2] = [2, 3];

impl World {
    /// Starts everything, and waits until all are content.
    ///
    /// # Errors
    /// Something does not come up.
    pub(crate) async fn start(cli: &Cli) -> anyhow::Result<Self> {
        let mut random = Random::new(cli.seed);
        let directory = scratch("heddle-chaos-");
        let disk = Disk::mount(directory.path())?;
        let postgres = match &disk {
            // It is made there and not copied: its directory is there already.
            Some(_) => Postgres::start_in(&directory.path().join("cluster")).await,
            None => Postgres::start(directory.path()).await,
        };
        let redis = Redis::start().await;
        let xds_front = Relay::start(Upstream::Ports(Vec::new())).await?;
        let replicas = replica::start(directory.path(), &postgres, &redis, &xds_front).await?;
        let ports = XDS.map(|which| replicas[which].server.xds_port());
        xds_front.lead(Upstream::Ports(ports.to_vec()));
        let ports = API.map(|which| replicas[which].server.api_port());
        let api_front = Relay::start(Upstream::Ports(ports.to_vec())).await?;
        let alarm = alarm(&cli.prometheus, directory.path(), &replicas).await?;
        let proxies = cli.proxies.unwrap_or(cli.scale.proxies());
        let tenants = Tenants::make(&replicas, &mut random).await?;
        let load = Load::start(
            cli.scale,
            proxies,
            &tenants,
            &replicas,
            &format!("http://127.0.0.1:{}", api_front.port()),
            directory.path(),
            &mut random,
        )
        .await?;
        let world = Self {
            scale: cli.scale,
            random,
            load,
            tenants,
            alarm,
            api_front,
            xds_front,
            replicas,
            redis,
            postgres,
            disk,
            directory,
        };
        world.all_open(PATIENCE).await?;
        let _ = world.converge(Instant::now(), PATIENCE).await?;
        Ok(world)
    }

    /// Waits until every simulated proxy has a stream; how long that took.
    ///
    /// # Errors
    /// Not all have one in time.
    pub(crate) async fn all_open(&self, patience: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let crowds = [&self.load.crowd, &self.load.rivals];
        while crowds.iter().any(|crowd| crowd.open() < crowd.size()) {
            let open: Vec<usize> = crowds.iter().map(|crowd| crowd.open()).collect();
            ensure!(began.elapsed() < patience, "only {open:?} have a stream");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(began.elapsed())
    }

    /// Waits until streams have ended since then, and every simulated proxy has one again.
    ///
    /// # Errors
    /// That is not so in time.
    pub(crate) async fn all_gone_and_back(
        &self,
        since: &Mark,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.load.crowd.ended(since) == 0 {
            ensure!(began.elapsed() < patience, "no stream ended");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.all_open(patience).await?;
        Ok(())
    }

    /// Waits until the database is a process of its own again.
    ///
    /// # Errors
    /// It is not in time.
    pub(crate) async fn database_is_another(
        &self,
        than: i32,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.postgres.current_pid().is_none_or(|pid| pid == than) {
            ensure!(
                began.elapsed() < patience,
                "PostgreSQL is not started again"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// What the database has logged.
    pub(crate) fn database_log(&self) -> String {
        let logs = std::fs::read_dir(self.postgres.data().join("logs"));
        let files = logs
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let texts = files.filter_map(|file| std::fs::read(file).ok());
        texts
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .collect()
    }

    /// Puts right whatever a fault that broke off may have left: what was stopped goes on, what is gone is started.
    pub(crate) async fn mend(&mut self) {
        self.api_front.set(Mode::Pass);
        self.xds_front.set(Mode::Pass);
        self.load.beat.pause(false);
        self.load.writers.resume();
        self.postgres.signal(Signal::SIGCONT);
        for replica in &mut self.replicas {
            replica.database.set(Mode::Pass);
            replica.redis.set(Mode::Pass);
            if !replica.server.runs() {
                replica.server.forget();
                replica.server.start_again().await;
            }
        }
    }

    /// How many streams a server has.
    pub(crate) async fn streams(&self, which: usize) -> f64 {
        let metrics = self.replicas[which].server.metrics().await;
        let streams = metrics
            .iter()
            .filter(|(name, _)| name.starts_with("heddle_xds_streams"));
        streams.map(|(_, value)| value).sum()
    }

    /// Of the servers that proxies are at, the one with more of them.
    pub(crate) async fn busiest(&self) -> usize {
        let [one, other] = XDS;
        match self.streams(one).await < self.streams(other).await {
            true => other,
            false => one,
        }
    }

    /// Waits until everybody has a change that was made after this moment.
    ///
    /// # Errors
    /// Not all have it in time.
    pub(crate) async fn converge(
        &self,
        since: Instant,
        patience: Duration,
    ) -> anyhow::Result<Convergence> {
        let crowd = &self.load.crowd;
        let deadline = Instant::now() + patience;
        let stroke = loop {
            if let Some(stroke) = self.load.beat.after(since) {
                break stroke;
            }
            ensure!(Instant::now() < deadline, "no change was acknowledged");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let mut p99 = None;
        while crowd.told(stroke.revision) < crowd.size() {
            if crowd.told(stroke.revision) * 100 >= crowd.size() * 99 {
                p99.get_or_insert_with(|| since.elapsed());
            }
            let told = crowd.told(stroke.revision);
            ensure!(
                Instant::now() < deadline,
                "only {told} proxies know of a change"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let p99 = p99.unwrap_or_else(|| since.elapsed());
        self.envoys_know(&stroke, deadline).await?;
        Ok(Convergence {
            p99,
            all: since.elapsed(),
        })
    }

    async fn envoys_know(&self, stroke: &Stroke, deadline: Instant) -> anyhow::Result<()> {
        for envoy in &self.load.envoys {
            while envoy.stroke().await.is_none_or(|at| at < stroke.number) {
                let name = envoy.name();
                ensure!(
                    Instant::now() < deadline,
                    "{name} does not know of a change"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Time goes by, as much as the scale has of it.
    pub(crate) async fn hold(&self, full: Duration) {
        tokio::time::sleep(self.scale.lasting(full)).await;
    }

    /// A connection to the database past everything, waited for.
    ///
    /// # Errors
    /// The database does not let one in.
    pub(crate) async fn inspect(&self) -> anyhow::Result<PgConnection> {
        let began = Instant::now();
        loop {
            match self.postgres.try_inspect().await {
                Ok(connection) => return Ok(connection),
                Err(error) => ensure!(began.elapsed() < PATIENCE, "the database: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The process of the database that others come from.
    ///
    /// # Errors
    /// It does not run.
    pub(crate) fn postmaster(&self) -> anyhow::Result<i32> {
        self.postgres.current_pid().context("PostgreSQL runs")
    }

    /// Has every server open all the connections to the database that it may have: what is more afterwards is too much.
    pub(crate) async fn fill_pools(&self) {
        let acme = &self.tenants.acme.api;
        let callers = self.replicas.iter().flat_map(|replica| {
            let api = replica.server.caller(&acme.org, &acme.token);
            std::iter::repeat_n(api, 2 * POOL)
        });
        let calls = callers.map(|api| async move { api.get("/meshes").await.status });
        let _answers = futures::future::join_all(calls).await;
    }

    /// Waits until a write goes well that was sent after this moment.
    ///
    /// # Errors
    /// None does in time.
    pub(crate) async fn writes_again(&self, patience: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            let calls = self.load.writers.shared.attempts.since(began);
            if calls.iter().any(|call| call.good && call.sent > began) {
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < patience, "no write goes well");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn alarm(
    prometheus: &Path,
    directory: &Path,
    replicas: &[Replica],
) -> anyhow::Result<Option<Alarm>> {
    if !prometheus.exists() {
        return Ok(None);
    }
    let ports: Vec<u16> = replicas.iter().map(|r| r.server.api_port()).collect();
    Ok(Some(Alarm::start(prometheus, directory, &ports).await?))
}
