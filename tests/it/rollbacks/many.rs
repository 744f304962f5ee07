//! A mesh of many objects and many revisions goes back to any of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use heddle_tests::{Api, ServerOptions, Stack, evidence};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{SHOP, everything, go_back, revision};

/// Half of the objects are services, the others a route of each.
fn objects(pairs: usize) -> Vec<Value> {
    let service = |i: usize| json!({"kind": "service", "name": format!("s{i:04}"), "ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let route = |i: usize| json!({"kind": "route", "service": format!("s{i:04}"), "name": "all", "priority": 10, "backends": [{"version": "v1"}]});
    (0..pairs).flat_map(|i| [service(i), route(i)]).collect()
}

/// One random change that makes a revision.
async fn change(api: &Api, random: &mut StdRng, pairs: usize, number: usize) {
    let name = format!("s{:04}", random.random_range(0..pairs));
    let service = format!("{SHOP}/services/{name}");
    let there = api.get(&service).await.status == 200;
    let label = json!({"labels": {"round": format!("r{number}")}});
    match (random.random_range(0..10), there) {
        (0, true) => {
            let _ = api.delete(&service).await.expect(204);
        }
        (_, false) => {
            let ports = [json!({"name": "http", "port": 8080 + number, "protocol": "http"})];
            let _ = api.put(&service, json!({"ports": ports})).await.expect(201);
        }
        (1..4, true) => {
            let route = json!({"priority": 10, "backends": [{"version": format!("w{number}")}]});
            let reply = api.put(&format!("{service}/routes/all"), route).await;
            assert!([200, 201].contains(&reply.status), "{}", reply.text);
        }
        (4, true) => {
            let _ = api.patch(SHOP, label).await.expect(200);
        }
        _ => {
            let _ = api.patch(&service, label).await.expect(200);
        }
    }
}

struct Figures {
    fastest: Duration,
    median: Duration,
    slowest: Duration,
}

/// Makes `revisions` of a mesh of twice `pairs` objects and goes back to each of them, in a random order.
async fn there_and_back(pairs: usize, revisions: usize, seed: u64) -> Figures {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    for chunk in objects(pairs).chunks(500) {
        let body = json!({"resources": chunk});
        let _ = api.post(&format!("{SHOP}/apply"), body).await.expect(200);
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut was = BTreeMap::new();
    for number in 0..revisions {
        change(&api, &mut random, pairs, number).await;
        was.insert(revision(&api).await, everything(&api, SHOP).await);
    }
    assert_eq!(was.len(), revisions, "every change makes a revision");
    let mut goals: Vec<u64> = was.keys().copied().collect();
    let mut took = Vec::new();
    while !goals.is_empty() {
        let goal = goals.swap_remove(random.random_range(0..goals.len()));
        let begun = Instant::now();
        let reply = go_back(&api, "", json!({"to_revision": goal})).await;
        took.push(begun.elapsed());
        assert!([200, 201].contains(&reply.status), "{goal}: {}", reply.text);
        assert!(
            everything(&api, SHOP).await == was[&goal],
            "revision {goal} of seed {seed} is not what it was"
        );
    }
    took.sort_unstable();
    Figures {
        fastest: took[0],
        median: took[took.len() / 2],
        slowest: took[took.len() - 1],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_goes_back_to_each_of_its_revisions() {
    let _ = there_and_back(20, 25, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: 1,000 objects, 500 revisions"]
async fn a_mesh_of_1000_objects_goes_back_to_each_of_500_revisions() {
    let seed = u64::from(std::process::id());
    let figures = there_and_back(500, 500, seed).await;
    let ms = |time: Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
    evidence(
        "rollback",
        seed,
        json!({
            "objects": 1000,
            "revisions": 500,
            "rollback_fastest_ms": ms(figures.fastest),
            "rollback_median_ms": ms(figures.median),
            "rollback_slowest_ms": ms(figures.slowest),
        }),
    );
    assert!(
        figures.slowest < Duration::from_secs(1),
        "{:?}",
        figures.slowest
    );
}
