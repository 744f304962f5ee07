//! `kill -9` of the server, of PostgreSQL, and of a PostgreSQL process that serves it, under load: the supervisor starts
//! them again, and every write that was acknowledged is there once and whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use heddle_tests::{
    Api, Ledger, Random, Reply, Up, Write, Writer, at_rest, broken, evidence, kill_at_once, until,
};
use serde_json::json;

const SEED: u64 = 0xdead_0009;
const WRITERS: usize = 6;
const MESHES: usize = 3;
/// How long one attempt may take, and all attempts together.
const ATTEMPT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(90);

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server,
    Postmaster,
    Backend,
}

struct Shared {
    api: Api,
    ledger: Ledger,
    stop: AtomicBool,
    retries: AtomicUsize,
    replayed: AtomicUsize,
    unavailable: AtomicUsize,
    /// The longest time that a write took with all its attempts, in milliseconds.
    longest_ms: AtomicU64,
}

impl Shared {
    /// Sends a write until it is answered.
    async fn send(&self, write: &Write) -> Reply {
        let started = Instant::now();
        let reply = loop {
            match tokio::time::timeout(ATTEMPT, write.send(&self.api)).await {
                Ok(Ok(reply)) if reply.status == 503 => {
                    assert!(reply.retry_after.is_some(), "{}", reply.text);
                    self.unavailable.fetch_add(1, Ordering::Relaxed);
                }
                // The key of an attempt that nobody waits for any more.
                Ok(Ok(reply)) if reply.json["code"] == "HED-2017" => {}
                Ok(Ok(reply)) => break reply,
                Ok(Err(_)) | Err(_) => {}
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            assert!(
                started.elapsed() < PATIENCE,
                "{} {}",
                write.method,
                write.path
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        if reply.header("idempotency-replayed").is_some() {
            self.replayed.fetch_add(1, Ordering::Relaxed);
        }
        let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.longest_ms.fetch_max(took, Ordering::Relaxed);
        reply
    }
}

async fn writer(shared: Arc<Shared>, number: usize, random: Random) {
    let mesh = format!("m{}", number % MESHES);
    let mut writer = Writer::new(&mesh, &format!("w{number}"), random);
    while !shared.stop.load(Ordering::Relaxed) {
        let write = writer.next_write();
        let reply = shared.send(&write).await;
        shared.ledger.answered(&write, &reply);
    }
}

/// Kills one of them; false when it was not there to be killed.
async fn kill(up: &Up, victim: Victim) -> bool {
    match victim {
        Victim::Server => up.pid("server").is_some_and(kill_at_once),
        Victim::Postmaster => up.pid("postgres").is_some_and(kill_at_once),
        Victim::Backend => {
            let Some(mut database) = up.try_inspect().await else {
                return false;
            };
            let pid: Result<Option<i32>, _> = sqlx::query_scalar(
                "select pid from pg_stat_activity where application_name = 'heddle' \
                 order by (state = 'active') desc, query_start desc limit 1",
            )
            .fetch_optional(&mut database)
            .await;
            matches!(pid, Ok(Some(pid)) if kill_at_once(pid))
        }
    }
}

async fn killed_processes_lose_nothing(kills: usize) {
    let up = Up::start(&["--database-connections", "8"]).await;
    let api = up.org("acme").await;
    for mesh in 0..MESHES {
        let _ = api
            .put(&format!("/meshes/m{mesh}"), json!({}))
            .await
            .expect(201);
    }
    let shared = Arc::new(Shared {
        api: api.clone(),
        ledger: Ledger::default(),
        stop: AtomicBool::new(false),
        retries: AtomicUsize::new(0),
        replayed: AtomicUsize::new(0),
        unavailable: AtomicUsize::new(0),
        longest_ms: AtomicU64::new(0),
    });
    let mut random = Random::new(SEED);
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(writer(Arc::clone(&shared), number, random.fork())))
        .collect();
    let mut killed = [0_usize; 3];
    // Each of the three at least once, then whoever it hits.
    let victims = [Victim::Server, Victim::Postmaster, Victim::Backend];
    for round in 0..kills {
        let victim = victims[if round < 3 { round } else { random.index(3) }];
        let written = shared.ledger.count();
        let progress = "writes are acknowledged again";
        until(progress, PATIENCE, async || {
            assert!(!writers.iter().any(tokio::task::JoinHandle::is_finished));
            shared.ledger.count() > written + 20
        })
        .await;
        // The moment is the point.
        tokio::time::sleep(random.duration(Duration::from_millis(300))).await;
        until("somebody is killed", PATIENCE, async || {
            kill(&up, victim).await
        })
        .await;
        killed[victim as usize] += 1;
    }
    let written = shared.ledger.count();
    until("writes are acknowledged again", PATIENCE, async || {
        shared.ledger.count() > written + 20
    })
    .await;
    shared.stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }

    let mut database = up.try_inspect().await.unwrap();
    at_rest(&mut database).await;
    let verdict = shared.ledger.verdict(&mut database).await;
    verdict.assert_clean();
    assert_eq!(broken(&mut database).await, Vec::<String>::new());
    assert!(
        !up.log("server").contains("panicked"),
        "{}",
        up.directory().display()
    );
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    evidence(
        if kills >= 100 { "kills" } else { "kills-short" },
        SEED,
        json!({
            "kills": kills,
            "kills_of_server": killed[0],
            "kills_of_postgres": killed[1],
            "kills_of_backends": killed[2],
            "acknowledged": verdict.acknowledged,
            "repeated_attempts": count(&shared.retries),
            "answers_503": count(&shared.unavailable),
            "answers_replayed": count(&shared.replayed),
            "longest_write_ms": shared.longest_ms.load(Ordering::Relaxed),
            "lost": verdict.lost.len(),
            "duplicated": verdict.duplicated.len(),
            "half_written": verdict.half_written.len(),
        }),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_kills_under_load_lose_nothing() {
    killed_processes_lose_nothing(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a quarter of an hour; `make test-long`"]
async fn a_hundred_kills_under_load_lose_nothing() {
    killed_processes_lose_nothing(100).await;
}
