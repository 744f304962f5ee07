//! Hints from server to server, in process and over Redis.

use std::collections::BTreeSet;
use std::time::Duration;

use heddle_ephemeral::{Fanout, Heard, Hint, Hints, InProcess};
use heddle_tests::{Redis as RedisServer, until_some};

use super::{join, options};

const SOON: Duration = Duration::from_secs(10);

/// The hint that the n-th mesh of an organisation got a revision.
pub(super) fn hint(n: usize, revision: u64) -> Hint {
    let digit = |n: usize| char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[n % 32]);
    let mesh = format!(
        "mesh_01h2xcejqtf2nbrexx3vqj{}{}{}1",
        digit(n / 1024),
        digit(n / 32),
        digit(n)
    );
    Hint {
        org: "org_01h2xcejqtf2nbrexx3vqjhp41".parse().unwrap(),
        mesh: mesh.parse().unwrap(),
        revision,
    }
}

pub(super) async fn next(hints: &mut Hints) -> Hint {
    let heard = tokio::time::timeout(SOON, hints.next()).await;
    match heard.expect("something is heard in time") {
        Heard::Hint(hint) => hint,
        Heard::Missed => panic!("nobody was slow"),
    }
}

/// Tells something until it is heard: from then on the two are joined, and nothing is under way any more.
pub(super) async fn joined(one: &dyn Fanout, hints: &mut Hints) {
    let mut probe = hint(0, 0);
    until_some("hints arrive", SOON, async || {
        probe.revision += 1;
        one.publish(probe);
        let found = async { while hints.next().await != Heard::Hint(probe) {} };
        let found = tokio::time::timeout(Duration::from_millis(100), found);
        found.await.ok()
    })
    .await;
}

/// What holds whatever is between two servers that are joined.
async fn suite(one: &dyn Fanout, other: &dyn Fanout) {
    let (mut at_one, mut at_other) = (one.subscribe(), other.subscribe());
    joined(one, &mut at_other).await;
    joined(other, &mut at_one).await;

    // Everything is heard by the other one, in order, and by all who listen there.
    let mut second = other.subscribe();
    for n in 1..=500 {
        one.publish(hint(n, 7));
    }
    let all: BTreeSet<Hint> = (1..=500).map(|n| hint(n, 7)).collect();
    for hints in [&mut at_other, &mut second] {
        let mut heard = BTreeSet::new();
        while heard.len() < 500 {
            heard.insert(next(hints).await);
        }
        assert_eq!(heard, all);
    }

    // Of one mesh the newest is heard last, whatever was left out before.
    for revision in 1..=500 {
        one.publish(hint(1, revision));
    }
    let mut before = 0;
    while before < 500 {
        let heard = next(&mut at_other).await;
        assert_eq!(heard.mesh, hint(1, 1).mesh);
        assert!(heard.revision > before, "{heard:?} after {before}");
        before = heard.revision;
    }

    // Nobody hears itself: the first thing that is heard there is what the other one says.
    other.publish(hint(2, 1));
    assert_eq!(next(&mut at_one).await, hint(2, 1));

    // Whoever comes late hears what is said from then on, and whoever has gone harms nobody.
    drop(second);
    let mut late = other.subscribe();
    one.publish(hint(3, 1));
    assert_eq!(next(&mut late).await, hint(3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_in_process() {
    let one = InProcess::default();
    let other = one.beside();
    suite(&one, &other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_over_redis() {
    let server = RedisServer::start().await;
    let options = options(&server, "heddle");
    let (one, _one) = join(&options, 1);
    let (other, _other) = join(&options, 2);
    suite(&one, &other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_over_redis_by_tls() {
    let server = RedisServer::start_with_tls().await;
    // Whoever does not know the authority of its certificate does not speak to it.
    let stranger = options(&server, "heddle");
    let (stranger, _stranger) = join(&stranger, 3);
    let mut unheard = stranger.subscribe();
    let mut options = options(&server, "heddle");
    options.ca_pem = Some(server.ca_pem());
    let (one, _one) = join(&options, 1);
    let (other, _other) = join(&options, 2);
    suite(&one, &other).await;
    let quiet = tokio::time::timeout(Duration::ZERO, unheard.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}
