//! A Redis that dies, hangs, or says what we did not.

use std::time::{Duration, Instant};

use heddle_ephemeral::{Fanout, Heard};
use heddle_tests::{Redis as RedisServer, until};

use super::fanout::{hint, joined, next};
use super::{join, options};

/// More than fit into any queue; it must not matter who takes them.
fn publish_many(one: &dyn Fanout) -> Duration {
    let began = Instant::now();
    for n in 0..10_000 {
        one.publish(hint(n % 1000, 1));
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_survive_a_redis_that_is_late_dies_and_hangs() {
    let mut server = RedisServer::planned();
    let options = options(&server, "heddle");
    let (one, _one) = join(&options, 1);
    let (other, _other) = join(&options, 2);
    let mut hints = other.subscribe();
    // A write waits for none of this: ten thousand take less than one try to connect.
    let quick = |took: Duration| assert!(took < Duration::from_secs(1), "{took:?}");
    quick(publish_many(&one));

    server.start_again().await;
    joined(&one, &mut hints).await;

    server.kill().await;
    quick(publish_many(&one));
    server.start_again().await;
    let mut hints = other.subscribe();
    joined(&one, &mut hints).await;

    server.freeze();
    quick(publish_many(&one));
    server.thaw();
    let mut hints = other.subscribe();
    joined(&one, &mut hints).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t14_junk_is_not_heard_and_harms_nobody() {
    let server = RedisServer::start().await;
    let options = options(&server, "heddle");
    let (one, _one) = join(&options, 1);
    let (other, _other) = join(&options, 2);
    let mut hints = other.subscribe();
    joined(&one, &mut hints).await;
    let mut redis = server.inspect().await;
    let long = vec![b'1'; 4 << 20];
    let junk: [&[u8]; 6] = [b"", b"\0", b"1", b"1 2 3 4 5", "\u{feff}".as_bytes(), &long];
    for text in junk {
        for channel in ["heddle:hints", "heddle:other"] {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(channel).arg(text);
            let heard: u64 = publish.query_async(&mut redis).await.unwrap();
            assert_eq!(heard, if channel == "heddle:hints" { 2 } else { 0 });
        }
    }
    one.publish(hint(1, 1));
    assert_eq!(next(&mut hints).await, hint(1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t14_heddles_with_different_prefixes_hear_nothing_of_each_other() {
    let server = RedisServer::start().await;
    let (a, b) = (options(&server, "heddle"), options(&server, "heddle-b"));
    let (one, _one) = join(&a, 1);
    let (other, _other) = join(&a, 2);
    let (foreign, _foreign) = join(&b, 3);
    let (near, _near) = join(&b, 4);
    let (mut hints, mut theirs) = (other.subscribe(), near.subscribe());
    joined(&one, &mut hints).await;
    joined(&foreign, &mut theirs).await;
    // Theirs is sent and heard before ours, on the same Redis.
    foreign.publish(hint(1, 1));
    assert_eq!(next(&mut theirs).await, hint(1, 1));
    one.publish(hint(2, 2));
    assert_eq!(next(&mut hints).await, hint(2, 2));
    assert!(
        tokio::time::timeout(Duration::ZERO, theirs.next())
            .await
            .is_err()
    );
    let mut redis = server.inspect().await;
    let mut channels = redis::cmd("PUBSUB");
    let mut channels: Vec<String> = channels
        .arg("CHANNELS")
        .query_async(&mut redis)
        .await
        .unwrap();
    channels.sort();
    assert_eq!(channels, ["heddle-b:hints", "heddle:hints"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_slowly_is_told_that_it_missed_something() {
    let server = RedisServer::start().await;
    let options = options(&server, "heddle");
    let (one, _one) = join(&options, 1);
    let (other, _other) = join(&options, 2);
    let mut slow = other.subscribe();
    joined(&one, &mut slow).await;
    let mut quick = other.subscribe();
    for n in 0..3000 {
        one.publish(hint(n, 9));
        if n % 50 == 49 {
            // Heard before more is said, so that nothing is dropped on the way.
            while next(&mut quick).await != hint(n, 9) {}
        }
    }
    until("it is told so", Duration::from_secs(10), async || {
        slow.next().await == Heard::Missed
    })
    .await;
}
