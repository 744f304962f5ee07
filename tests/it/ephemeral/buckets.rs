//! Token buckets, in process and over Redis.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heddle_ephemeral::{Ask, Buckets, InProcess, Options, Rate, Servers};
use heddle_tests::{Redis as RedisServer, until};

use super::{join, options};

fn ask(key: &str, per_second: u32, burst: u32) -> Ask {
    Ask {
        key: key.to_owned(),
        rate: Rate { per_second, burst },
    }
}

/// How many of so many tries at each server got something, all at the same time.
async fn granted(servers: [Arc<dyn Buckets>; 2], tries: usize, ask: &Ask) -> u32 {
    let mut tasks = Vec::new();
    for server in servers {
        for _ in 0..tries {
            let (server, ask) = (Arc::clone(&server), ask.clone());
            tasks.push(tokio::spawn(async move {
                u32::from(server.take(&[ask]).await[0].wait.is_none())
            }));
        }
    }
    let mut granted = 0;
    for task in tasks {
        granted += task.await.unwrap();
    }
    granted
}

/// What holds whoever counts for two servers together.
async fn suite(one: Arc<dyn Buckets>, other: Arc<dyn Buckets>) {
    // So many at once, wherever they are taken; one that is told to wait need not wait longer.
    let slow = ask("slow", 2, 3);
    for (n, server) in [&one, &other, &one].into_iter().enumerate() {
        let level = server.take(from_ref(&slow)).await[0];
        assert_eq!(
            (level.wait, level.remaining),
            (None, 2 - u32::try_from(n).unwrap())
        );
        assert!(level.whole_in <= Duration::from_millis(1500), "{level:?}");
    }
    let refused = other.take(from_ref(&slow)).await[0];
    let wait = refused.wait.expect("it is empty");
    assert!(wait <= Duration::from_millis(500), "{wait:?}");
    assert_eq!((refused.remaining, refused.rate), (0, slow.rate));
    tokio::time::sleep(wait).await;
    assert_eq!(one.take(from_ref(&slow)).await[0].wait, None);

    // From several or from none: whoever has nothing left takes nothing from what it shares with others.
    let (own, shared) = (ask("own", 1, 1), ask("shared", 1, 50));
    let both = [own.clone(), shared.clone()];
    assert!(
        one.take(&both)
            .await
            .iter()
            .all(|level| level.wait.is_none())
    );
    for _ in 0..20 {
        let levels = one.take(&both).await;
        assert!(
            levels[0].wait.is_some() && levels[1].wait.is_none(),
            "{levels:?}"
        );
    }
    let left = other.take(&[shared]).await[0].remaining;
    assert!(left >= 48, "{left}");

    // Many at the same moment at both get exactly what there is.
    let many = ask("many", 1, 60);
    let began = Instant::now();
    let granted = granted([one, other], 100, &many).await;
    let grown = u32::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!((60..=60 + grown).contains(&granted), "{granted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_in_process() {
    let one = InProcess::default();
    let other = one.beside();
    suite(Arc::new(one), Arc::new(other)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_over_redis() {
    let server = RedisServer::start().await;
    // What is shown is how Redis counts, not how busy this machine is.
    let options = Options {
        count_within: Duration::from_secs(10),
        ..options(&server, "heddle")
    };
    let (one, _one) = join(&options, 1);
    let (other, _other) = join(&options, 2);
    for server in [&one, &other] {
        counts_together(server).await;
    }
    suite(Arc::new(one), Arc::new(other)).await;
    // Everything is under the prefix, and nothing stays for ever.
    let mut redis = server.inspect().await;
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut redis)
        .await
        .unwrap();
    for key in keys {
        assert!(key.starts_with("heddle:rate:"), "{key}");
        let left: i64 = redis::cmd("PTTL")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .unwrap();
        // Or gone since it was listed.
        assert!(left > 0 || left == -2, "{key}: {left}");
    }
}

/// Waits until what is in force is the whole and not the share of one of two.
async fn counts_together(server: &dyn Buckets) {
    until("it counts together", Duration::from_secs(10), async || {
        let whole = ask("probe", 1000, 1000);
        server.take(from_ref(&whole)).await[0].rate == whole.rate
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d12_without_redis_each_server_lets_its_share_through() {
    let mut server = RedisServer::start().await;
    let (one, _one) = join(&options(&server, "heddle"), 1);
    let (other, _other) = join(&options(&server, "heddle"), 2);
    for freezes in [true, false] {
        for server in [&one as &dyn Buckets, &other] {
            counts_together(server).await;
        }
        match freezes {
            true => server.freeze(),
            false => server.kill().await,
        }
        let few = ask(&format!("few-{freezes}"), 1, 40);
        let began = Instant::now();
        let mut granted = 0;
        for _ in 0..200 {
            for server in [&one, &other] {
                granted += u32::from(server.take(from_ref(&few)).await[0].wait.is_none());
            }
        }
        let took = began.elapsed();
        // A moment until it is given up, and not for each of them.
        assert!(took < Duration::from_secs(3), "{took:?}");
        let grown = 2 * (u32::try_from(took.as_secs()).unwrap() + 1);
        assert!(
            (40..=40 + grown).contains(&granted),
            "{granted} in {took:?}"
        );
        if freezes {
            server.thaw();
        }
    }
    server.start_again().await;
    counts_together(&one).await;
}

#[tokio::test]
async fn sec_d12_servers_that_cannot_count_together_share() {
    let servers = Servers::default();
    let alone = InProcess::new(servers.clone());
    let all = ask("all", 10, 100);
    let level = alone.take(from_ref(&all)).await[0];
    assert_eq!((level.rate, level.remaining), (all.rate, 99));
    servers.set(4);
    let level = alone.take(from_ref(&all)).await[0];
    assert_eq!(
        level.rate,
        Rate {
            per_second: 3,
            burst: 25
        }
    );
    assert!(level.wait.is_none() && level.remaining < 25, "{level:?}");
}
