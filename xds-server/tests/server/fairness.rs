//! Nobody waits for what another tenant changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heddle_xds_server::engine::kind::Kind;

use crate::client::Node;
use crate::world::World;

/// Proxies of the tenant that changes without end.
const LOUD: usize = 40;

/// One tenant's proxies are sent something all the time, and acknowledge at once. Another tenant's change is counted in what the first
/// ones are sent meanwhile: some rounds of all of them, however many changes they have behind and before them.
#[tokio::test]
async fn xds_x48_a_change_does_not_wait_for_those_of_another_tenant() {
    let world = World::start().await;
    let loud = world.source.mesh("a", &["payments"]);
    let quiet = world.source.mesh("b", &["payments"]);
    let pushes = Arc::new(AtomicUsize::new(0));
    for n in 0..LOUD {
        let node = Node::new("payments", &format!("p-{n}"), &format!("10.0.1.{}", n + 1));
        let mut ads = world.settled("a-payments", &node).await;
        let pushes = pushes.clone();
        tokio::spawn(async move {
            loop {
                if ads.step().await.starts_with(Kind::Route.short()) {
                    pushes.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let source = world.source.clone();
    let noise = tokio::spawn(async move {
        for n in 0.. {
            source.change(loud, |snapshot| {
                snapshot
                    .service_mut("payments")
                    .unwrap()
                    .access_rules
                    .clear();
            });
            source.allow(loud, "payments", &format!("caller-{n}"));
            tokio::task::yield_now().await;
        }
    });
    let mut ads = world
        .settled("b-payments", &Node::new("payments", "q", "10.0.0.1"))
        .await;
    ads.drain().await;
    let mut waited = Vec::new();
    for n in 0..21 {
        // The others are at it.
        let seen = pushes.load(Ordering::Relaxed);
        while pushes.load(Ordering::Relaxed) < seen + LOUD {
            tokio::task::yield_now().await;
        }
        let before = pushes.load(Ordering::Relaxed);
        world
            .source
            .allow(quiet, "payments", &format!("caller-{n}"));
        assert_eq!(ads.step().await, "rds heddle/inbound/payments/http");
        waited.push(pushes.load(Ordering::Relaxed) - before);
    }
    noise.abort();
    waited.sort_unstable();
    assert!(waited[10] <= 5 * LOUD, "{waited:?}");
}
