//! A schema that is migrated while servers of the release before work on it: statements as they issue them, in tables with rows.

mod rows;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use heddle_evidence::evidence;
use heddle_store::{migrate, migrate_to};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::cluster;
use rows::{Size, between};
use worker::Worker;

/// From here on migrations meet a system that runs. Those before it build indexes in the transaction that holds their table, and
/// nobody but their makers ever ran them.
const BEFORE: i64 = 20_261_128_050_140;
/// Connections that work at once, and how often each begins something.
const WORKERS: u64 = 8;
const EVERY: Duration = Duration::from_millis(40);
/// How long a server waits for a statement; so it says that something held it for too long.
const TOO_LONG: &str = "set statement_timeout = '15s'; set lock_timeout = '5s'";

/// Servers at work.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    /// When each thing was due, and how long after that it was done.
    took: Arc<Mutex<Vec<(Instant, Duration)>>>,
    failed: Arc<Mutex<Vec<String>>>,
    /// What each has come to: when its next thing is due.
    next: Vec<watch::Receiver<Instant>>,
    workers: JoinSet<()>,
}

impl Load {
    async fn begin(database: &str, size: Size) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            done: Arc::default(),
            took: Arc::default(),
            failed: Arc::default(),
            next: Vec::new(),
            workers: JoinSet::new(),
        };
        for n in 0..WORKERS {
            let url = cluster().url("heddle_server", database);
            let mut connection = PgConnection::connect(&url).await.unwrap();
            connection.execute(TOO_LONG).await.unwrap();
            let mut worker = Worker {
                connection,
                size,
                turn: n * 1_000_003,
            };
            let (stop, done) = (Arc::clone(&load.stop), Arc::clone(&load.done));
            let (took, failed) = (Arc::clone(&load.took), Arc::clone(&load.failed));
            // Whoever calls does not wait until the one before was answered.
            let mut due = Instant::now() + EVERY * u32::try_from(n).unwrap() / 8;
            let (come_to, next) = watch::channel(due);
            load.next.push(next);
            load.workers.spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    tokio::time::sleep_until(due).await;
                    if let Err(error) = worker.work().await {
                        failed.lock().await.push(error.to_string());
                    }
                    took.lock().await.push((due, due.elapsed()));
                    done.fetch_add(1, Ordering::Release);
                    due += EVERY;
                    let _ = come_to.send(due);
                }
            });
        }
        load
    }

    /// Waits until so much more was done.
    async fn goes_on(&self, more: u64) {
        let now = self.done.load(Ordering::Acquire);
        while self.done.load(Ordering::Acquire) < now + more {
            tokio::time::sleep(EVERY).await;
        }
    }

    /// The 99th percentile, and the longest, of what was due between these.
    async fn seen(&self, from: Instant, to: Instant) -> (Duration, Duration) {
        for next in &self.next {
            let mut next = next.clone();
            next.wait_for(|due| *due >= to).await.unwrap();
        }
        let took = self.took.lock().await;
        let within = took.iter().filter(|(due, _)| (from..to).contains(due));
        let mut all: Vec<Duration> = within.map(|(_, took)| *took).collect();
        all.sort_unstable();
        let p99 = all[all.len() * 99 / 100];
        (p99, all[all.len() - 1])
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Release);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        let failed = self.failed.lock().await;
        assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
    }
}

/// A database with rows, as the release before left it, and its superuser.
async fn filled(size: Size) -> (String, PgConnection) {
    let name = cluster().database(None).await;
    let url = cluster().url("postgres", &name);
    let _ = migrate_to(&url, BEFORE).await.unwrap();
    let mut superuser = PgConnection::connect(&url).await.unwrap();
    superuser.execute(size.rows().as_str()).await.unwrap();
    // Or else a vacuum of all of it is what is met.
    superuser.execute("vacuum analyze").await.unwrap();
    (name, superuser)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_work_on_while_somebody_holds_what_a_migration_needs() {
    let (name, mut superuser) = filled(Size::FEW).await;
    let url = cluster().url("postgres", &name);
    let load = Load::begin(&name, Size::FEW).await;
    // Somebody looks into tables that are changed, and forgets about it.
    let mut reader = PgConnection::connect(&url).await.unwrap();
    for table in ["certificates", "sessions", "role_bindings", "proxies"] {
        let look = format!("select count(*) from heddle.{table}");
        reader.execute("begin").await.unwrap();
        reader.execute(look.as_str()).await.unwrap();
    }
    let migrating = tokio::spawn({
        let url = url.clone();
        async move { migrate(&url).await }
    });
    let waits = "select xact_start::text from pg_stat_activity \
                 where datname = current_database() and application_name = 'heddle migrate' and wait_event_type = 'Lock'";
    let mut tries = std::collections::BTreeSet::new();
    while tries.len() < 3 {
        assert!(!migrating.is_finished(), "nothing was in its way");
        let wait: Option<String> = sqlx::query_scalar(waits)
            .fetch_optional(&mut superuser)
            .await
            .unwrap();
        tries.extend(wait);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Among them are those that want what the migration waits for.
    load.goes_on(8 * WORKERS).await;
    reader.close().await.unwrap();
    let done = migrating.await.unwrap().unwrap();
    assert_eq!(done.schema, heddle_store::newest_schema());
    load.goes_on(8 * WORKERS).await;
    load.end().await;
}

/// For how long each migration is watched from its beginning, and nothing in between.
const WATCHED: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(2);

/// Every migration since, in order.
fn migrations() -> Vec<(i64, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let mut all: Vec<(i64, String)> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let (version, rest) = name.strip_suffix(".sql")?.split_once('_')?;
            Some((version.parse().ok()?, rest.to_owned()))
        })
        .filter(|(version, _)| *version > BEFORE)
        .collect();
    all.sort_unstable();
    all
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes, and measures; `make test-long`"]
async fn every_migration_runs_under_load_and_nobody_notices() {
    let (name, mut superuser) = filled(Size::MANY).await;
    let url = cluster().url("postgres", &name);
    let load = Load::begin(&name, Size::MANY).await;
    tokio::time::sleep(WATCHED).await;
    let began = Instant::now();
    tokio::time::sleep(4 * WATCHED).await;
    let (quiet, quiet_longest) = load.seen(began, began + 4 * WATCHED).await;
    let mut rows = Vec::new();
    let mut missed = Vec::new();
    for (version, title) in migrations() {
        tokio::time::sleep(QUIET).await;
        let began = Instant::now();
        let _ = migrate_to(&url, version).await.unwrap();
        let took = began.elapsed();
        tokio::time::sleep_until(began + WATCHED).await;
        let (p99, longest) = load.seen(began, began + WATCHED.max(took)).await;
        let times = p99.as_secs_f64() / quiet.as_secs_f64();
        if times > 2.0 || longest > Duration::from_secs(2) {
            missed.push(format!("{title}: {times:.2}, {longest:?}"));
        }
        rows.push(json!({
            "migration": format!("{version}_{title}"),
            "took_ms": ms(took),
            "p99_ms": ms(p99),
            "p99_times_quiet": (times * 100.0).round() / 100.0,
            "longest_ms": ms(longest),
        }));
        if let Some(rows) = between(version) {
            superuser.execute(rows).await.unwrap();
        }
    }
    let statements = load.done.load(Ordering::Acquire);
    load.end().await;
    let worst = rows
        .iter()
        .filter_map(|row| row["p99_times_quiet"].as_f64())
        .fold(0.0, f64::max);
    let figures: Value = json!({
        "bar": "p99 at most 2 times that without a migration, nothing waits for more than 2 s, no error",
        "rows": {"resources": 300_200, "changes": 300_200, "certificates": 200_000, "proxies": 20_000, "sessions": 10_000},
        "statements_per_second": WORKERS * 1000 / u64::try_from(EVERY.as_millis()).unwrap(),
        "transactions": statements,
        "errors": 0,
        "quiet_p99_ms": ms(quiet),
        "quiet_longest_ms": ms(quiet_longest),
        "worst_p99_times_quiet": worst,
        "migrations": rows,
    });
    evidence("migrations", 0, figures);
    assert!(missed.is_empty(), "{missed:#?}");
}
