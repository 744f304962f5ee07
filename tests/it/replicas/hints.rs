//! Two servers with a Redis between them: each wakes the other, and losing it costs nobody anything but a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use heddle_tests::{Api, Hopper, Redis, Server, ServerOptions, node, until};

use reqwest::Method;

use super::{Pair, commit, join_token};

/// What a counter of the other server shows.
async fn count(server: &Server, name: &str) -> f64 {
    let metrics = server.metrics().await;
    *metrics
        .get(name)
        .unwrap_or_else(|| panic!("{name} is not exported"))
}

/// Revisions that a server found because another one told it.
async fn by_hints(server: &Server) -> f64 {
    count(server, "heddle_feed_changes_total{because=\"hint\"}").await
}

async fn connected(server: &Server, is: bool) {
    let value = f64::from(u8::from(is));
    until("Redis is noticed", Duration::from_secs(15), async || {
        (count(server, "heddle_redis_connected").await - value).abs() < f64::EPSILON
    })
    .await;
}

async fn pair(redis: &Redis) -> Pair {
    Pair::with(ServerOptions {
        redis_url: Some(redis.url()),
        ..ServerOptions::default()
    })
    .await
}

/// Writes at the one server while a client at the other sees every revision come. Returns how many of them came by hints.
async fn writes_arrive(pair: &Pair, api: &Api, token: &str, from: u64) -> f64 {
    let mut client = Hopper::new(token, node("there", "frontend"));
    let (_, mut stream) = client.hop(&pair.other).await;
    let before = by_hints(&pair.other).await;
    for n in 0..30 {
        let revision = commit(api, from + n).await;
        client.until_revision(&mut stream, revision).await;
    }
    by_hints(&pair.other).await - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_at_one_server_wakes_the_other_whenever_redis_is_there() {
    let mut redis = Redis::planned();
    let mut pair = pair(&redis).await;
    let api = pair.mesh().await;
    let token = join_token(&api, "frontend").await;

    // It is not there yet: the tail finds all.
    let hinted = writes_arrive(&pair, &api, &token, 0).await;
    assert!(hinted < 1.0, "{hinted}");

    redis.start_again().await;
    connected(&pair.stack.server, true).await;
    connected(&pair.other, true).await;
    // The tail happens to be first now and then.
    let hinted = writes_arrive(&pair, &api, &token, 100).await;
    assert!(hinted >= 20.0, "{hinted} of 30");

    // Both say so once, and nothing secret.
    pair.other.stop().await;
    for server in [&pair.stack.server, &pair.other] {
        let log = server.log();
        assert_eq!(log.matches("no Redis: ").count(), 1, "{log}");
        assert_eq!(log.matches("Redis answers: ").count(), 1, "{log}");
        assert!(!log.contains(redis.password()), "{log}");
    }
}

/// Writers at both servers that put up with no failure, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    writers: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    fn start(apis: [Api; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let writers = apis.into_iter().map(|api| {
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            tokio::spawn(async move {
                let mut last = 0;
                while !stop.load(Ordering::Acquire) {
                    // Fails at any other status than 200.
                    let n = written.fetch_add(1, Ordering::AcqRel);
                    last = commit(&api, n).await;
                }
                last
            })
        });
        Self {
            writers: writers.collect(),
            stop,
            written,
        }
    }

    /// So many more are written.
    async fn goes_on(&self, more: u64) {
        let enough = self.written.load(Ordering::Acquire) + more;
        until("writes go on", Duration::from_secs(30), async || {
            self.written.load(Ordering::Acquire) >= enough
        })
        .await;
    }

    /// The newest revision.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        let mut newest = 0;
        for writer in self.writers {
            newest = newest.max(writer.await.unwrap());
        }
        newest
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_or_freezing_redis_under_load_fails_no_call_and_loses_no_change() {
    let mut redis = Redis::start().await;
    let pair = pair(&redis).await;
    let servers = [&pair.stack.server, &pair.other];
    for server in servers {
        connected(server, true).await;
    }
    let api = pair.mesh().await;
    let token = join_token(&api, "frontend").await;
    for freezes in [false, true] {
        let mut clients = Vec::new();
        for (n, server) in servers.into_iter().enumerate() {
            let mut client = Hopper::new(&token, node(&format!("at-{n}"), "frontend"));
            let (_, stream) = client.hop(server).await;
            clients.push((client, stream));
        }
        let load = Load::start([api.clone(), pair.at_other(&api)]);
        load.goes_on(40).await;
        match freezes {
            false => redis.kill().await,
            true => redis.freeze(),
        }
        load.goes_on(40).await;
        for server in servers {
            connected(server, false).await;
        }
        load.goes_on(40).await;
        let newest = load.end().await;
        for (client, stream) in &mut clients {
            client.until_revision(stream, newest).await;
        }
        match freezes {
            false => redis.start_again().await,
            true => redis.thaw(),
        }
        for server in servers {
            connected(server, true).await;
        }
        let hinted = writes_arrive(&pair, &api, &token, 1000).await;
        assert!(hinted >= 20.0, "{hinted} of 30");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t14_whoever_can_write_to_redis_costs_us_looks_and_not_many() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    connected(&pair.other, true).await;
    let api = pair.mesh().await;
    let token = join_token(&api, "frontend").await;
    let mesh = api.get("/meshes/shop").await.expect(200).json;
    let mesh = mesh["meta"]["uid"].as_str().unwrap();
    let me = api.raw(Method::GET, "/v1/whoami", &[], Vec::new()).await;
    let me = me.expect(200).json;
    let org = me["org"]["uid"].as_str().unwrap();
    // One that is as good as ours, but for the truth; and much that is none.
    let lie = format!("1 00000000000000aa {org} {mesh} {}", u64::MAX);
    let looks = "heddle_feed_looks_total{because=\"hint\"}";
    let heard = "heddle_redis_hints_total{what=\"heard\"}";
    let (looks_before, heard_before) = (
        count(&pair.other, looks).await,
        count(&pair.other, heard).await,
    );
    let began = Instant::now();
    let mut connection = redis.inspect().await;
    for _ in 0..100 {
        let mut pipeline = redis::pipe();
        for _ in 0..100 {
            pipeline
                .cmd("PUBLISH")
                .arg("heddle:hints")
                .arg(&lie)
                .ignore();
            pipeline
                .cmd("PUBLISH")
                .arg("heddle:hints")
                .arg("junk")
                .ignore();
        }
        pipeline.exec_async(&mut connection).await.unwrap();
    }
    until(
        "all of them were heard",
        Duration::from_secs(30),
        async || count(&pair.other, heard).await - heard_before >= 10_000.0,
    )
    .await;
    // Changes go through as before.
    let hinted = writes_arrive(&pair, &api, &token, 0).await;
    assert!(hinted >= 15.0, "{hinted} of 30");
    let looks = count(&pair.other, looks).await - looks_before;
    let most = began.elapsed().as_secs_f64() / 0.020 + 1.0;
    assert!(looks <= most, "{looks} looks, {most} at most");
}
