//! Clients that hang up in the middle of a write: at any byte of the request, at any moment while it is done, and when the
//! answer is on its way. What was acknowledged stays, what was not is whole or not there, and no connection to the database
//! carries anything on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use heddle_tests::{
    Api, Ledger, Random, Reply, ServerOptions, Stack, Write, Writer, at_rest, broken, evidence,
};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SEED: u64 = 0x0ca9_ce15;
/// Fewer than clients, so that a connection that was left in a bad state is used again at once.
const CONNECTIONS: u32 = 4;
const CLIENTS: usize = 12;
const MESHES: usize = 3;

/// Sends a request and hangs up somewhere.
async fn hang_up(server: SocketAddr, request: &[u8], random: &mut Random) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let kind = random.below(100);
    if kind < 15 {
        let sent = random.index(request.len());
        stream.write_all(&request[..sent]).await?;
    } else {
        stream.write_all(request).await?;
        if kind < 25 {
            stream.read_u8().await?;
        } else {
            // Not a wait for something: the moment is the point.
            tokio::time::sleep(random.duration(Duration::from_millis(25))).await;
        }
    }
    if random.percent(50) {
        // Gone without a word, as when a machine vanishes behind a router that says so.
        stream.set_zero_linger()?;
    }
    Ok(())
}

/// Sends a request and waits for its answer; while an earlier one with its key runs, again.
async fn answered(api: &Api, write: &Write) -> Reply {
    let started = Instant::now();
    loop {
        let reply = write.send(api).await.unwrap();
        if reply.json["code"] != "HED-2017" {
            return reply;
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{}",
            reply.text
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct Shared {
    api: Api,
    server: SocketAddr,
    ledger: Ledger,
    left: AtomicUsize,
    replayed: AtomicUsize,
}

/// Hangs up until enough was hung up on, with a write in between that waits for its answer.
async fn client(shared: Arc<Shared>, number: usize, mut random: Random) {
    let mesh = format!("m{}", number % MESHES);
    let mut impatient = Writer::new(&mesh, &format!("c{number}"), random.fork());
    let mut patient = Writer::new(&mesh, &format!("w{number}"), random.fork());
    let take = |left: usize| left.checked_sub(1);
    while shared
        .left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        let write = impatient.next_write();
        let request = write.bytes(&shared.api);
        // An error means that the server hung up first, which is as good.
        let _ = hang_up(shared.server, &request, impatient.random()).await;
        // With a key it may be sent again, done or not.
        let has_key = write.headers.iter().any(|(n, _)| *n == "idempotency-key");
        if has_key && random.percent(30) {
            let reply = answered(&shared.api, &write).await;
            let replayed = reply.header("idempotency-replayed").is_some();
            shared
                .replayed
                .fetch_add(usize::from(replayed), Ordering::Relaxed);
            shared.ledger.answered(&write, &reply);
        } else {
            shared.ledger.abandoned(&write);
        }
        if random.percent(25) {
            let write = patient.next_write();
            let reply = answered(&shared.api, &write).await;
            shared.ledger.answered(&write, &reply);
        }
    }
}

async fn cancelled_requests_lose_nothing(count: usize) {
    let options = ServerOptions {
        database_connections: CONNECTIONS,
        // A connection that is lost for good shows after this; a machine that holds its breath does not.
        database_wait: String::from("30s"),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let api = stack.mesh("acme", "m0", json!({}), &[]).await;
    for mesh in 1..MESHES {
        let _ = api
            .put(&format!("/meshes/m{mesh}"), json!({}))
            .await
            .expect(201);
    }
    let shared = Arc::new(Shared {
        api: api.clone(),
        server: (Ipv4Addr::LOCALHOST, stack.server.api_port()).into(),
        ledger: Ledger::default(),
        left: AtomicUsize::new(count),
        replayed: AtomicUsize::new(0),
    });
    let mut random = Random::new(SEED);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(Arc::clone(&shared), number, random.fork())))
        .collect();
    for client in clients {
        client.await.unwrap();
    }

    let mut database = stack.postgres.inspect().await;
    at_rest(&mut database).await;
    let verdict = shared.ledger.verdict(&mut database).await;
    verdict.assert_clean();
    assert_eq!(broken(&mut database).await, Vec::<String>::new());
    // As many were done as were not: the moments were not all too early, or all too late.
    assert!(
        verdict.unknown_done > count / 20 && verdict.unknown_not_done > count / 20,
        "{verdict:?}"
    );

    // The pool is whole: as many at once as it has connections, several times over, and nothing stays behind.
    let reads = (0..CONNECTIONS * 4).map(|_| {
        let api = api.clone();
        tokio::spawn(async move { api.get("/meshes/m0/services?limit=5").await.status })
    });
    for read in reads.collect::<Vec<_>>() {
        assert_eq!(read.await.unwrap(), 200);
    }
    at_rest(&mut database).await;
    let connections: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where application_name = 'heddle'",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert!(connections <= i64::from(CONNECTIONS), "{connections}");
    let metrics = stack.server.metrics().await;
    assert_eq!(
        metrics.get("heddle_panics_total").copied().unwrap_or(0.0),
        0.0
    );
    let failed: Vec<_> = metrics
        .iter()
        .filter(|(key, _)| key.contains("status=\"5"))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let whoami = api.raw(Method::GET, "/v1/whoami", &[], Vec::new()).await;
    assert_eq!(whoami.status, 200);
    evidence(
        if count >= 10_000 {
            "cancels"
        } else {
            "cancels-short"
        },
        SEED,
        json!({
            "cancelled": count,
            "acknowledged": verdict.acknowledged,
            "sent_again_and_replayed": shared.replayed.load(Ordering::Relaxed),
            "cancelled_and_done": verdict.unknown_done,
            "cancelled_and_not_done": verdict.unknown_not_done,
            "lost": verdict.lost.len(),
            "duplicated": verdict.duplicated.len(),
            "half_written": verdict.half_written.len(),
            "server_errors": failed.len(),
        }),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t10_t11_hundreds_of_cancelled_writes_lose_nothing() {
    cancelled_requests_lose_nothing(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `make test-long`"]
async fn sec_t10_t11_ten_thousand_cancelled_writes_lose_nothing() {
    cancelled_requests_lose_nothing(10_000).await;
}
