//! What reaches whom: first configuration, changes, refusals, failures behind the source.

use chrono::TimeDelta;
use heddle_model::kind::Kind as ModelKind;
use heddle_xds_server::ProxyStatus;
use heddle_xds_server::engine::kind::Kind;

use crate::client::Node;
use crate::world::World;

const HEALTHY: i32 = 1;

#[tokio::test]
async fn a_proxy_gets_its_configuration_and_becomes_an_endpoint() {
    let world = World::start().await;
    world.source.mesh("a", &["frontend", "payments"]);
    let node = Node::new("payments", "p-1", "10.0.0.1");
    let ads = world.settled("a-payments", &node).await;
    let names = |kind: Kind| ads.held[&kind].keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(Kind::Cluster),
        [
            "heddle-local/http",
            "heddle/frontend/http",
            "heddle/payments/http"
        ]
    );
    assert_eq!(
        names(Kind::Endpoints),
        ["heddle/frontend/http", "heddle/payments/http"]
    );
    assert_eq!(
        names(Kind::Listener),
        ["heddle/inbound/http", "heddle/outbound"]
    );
    assert_eq!(
        names(Kind::Route),
        ["heddle/inbound/payments/http", "heddle/outbound"]
    );
    assert_eq!(names(Kind::Secret), ["heddle/identity", "heddle/trust"]);
    assert_eq!(
        ads.version(Kind::Secret, "heddle/identity"),
        format!("{:032x}", 1)
    );

    let proxy = world.source.proxy("a-payments", "p-1");
    let status = world
        .source
        .until(proxy, |status| status.acked_revision == Some(1))
        .await;
    assert!(status.connected);
    assert_eq!(status.target_revision, Some(1));
    let status = world
        .source
        .until(proxy, |status| status.registration.is_some())
        .await;
    let endpoint = status.registration.unwrap();
    assert_eq!(endpoint.address.to_string(), "10.0.0.1");
    assert!(status.lease_until.unwrap() > status.seen_at + TimeDelta::hours(12));

    let node = Node::new("frontend", "f-1", "10.0.0.2");
    let caller = world.proxy("a-frontend", &node).await;
    assert_eq!(
        caller.endpoints("heddle/payments/http"),
        [("10.0.0.1".to_owned(), HEALTHY)]
    );
}

#[tokio::test]
async fn a_change_reaches_exactly_those_whom_it_concerns() {
    let world = World::start().await;
    let key = world.source.mesh("a", &["frontend", "payments"]);
    let mut payments = Vec::new();
    for n in 1..=2 {
        let node = Node::new("payments", &format!("p-{n}"), &format!("10.0.0.{n}"));
        payments.push(world.settled("a-payments", &node).await);
    }
    let node = Node::new("frontend", "f-1", "10.0.1.1");
    let mut frontend = world.settled("a-frontend", &node).await;
    let proxies: Vec<_> = [
        ("a-payments", "p-1"),
        ("a-payments", "p-2"),
        ("a-frontend", "f-1"),
    ]
    .map(|(token, id)| world.source.proxy(token, id))
    .to_vec();
    // The first to come have yet to hear of the last.
    for ads in &mut payments {
        ads.until_endpoints("heddle/frontend/http", &[("10.0.1.1", HEALTHY)])
            .await;
        let both = [("10.0.0.1", HEALTHY), ("10.0.0.2", HEALTHY)];
        ads.until_endpoints("heddle/payments/http", &both).await;
    }

    let (_, revision) = world.source.allow(key, "payments", "frontend");
    for ads in &mut payments {
        assert_eq!(ads.step().await, "rds heddle/inbound/payments/http");
    }
    for proxy in &proxies {
        world
            .source
            .until(*proxy, |status| status.acked_revision == Some(revision))
            .await;
    }
    for ads in payments.iter_mut().chain([&mut frontend]) {
        assert_eq!(ads.drain().await, Vec::<String>::new());
    }

    // The same content once more is a revision, but nothing to send (early cut-off).
    let revision = world.source.change(key, |_| {});
    for proxy in &proxies {
        world
            .source
            .until(*proxy, |status| status.acked_revision == Some(revision))
            .await;
    }
    for ads in payments.iter_mut().chain([&mut frontend]) {
        assert_eq!(ads.drain().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn sec_p13_what_a_proxy_acknowledges_or_refuses_counts_for_itself_only() {
    let world = World::start().await;
    let key = world.source.mesh("a", &["frontend", "payments"]);
    let node = |n: u8| Node::new("payments", &format!("p-{n}"), &format!("10.0.0.{n}"));
    let mut one = world.settled("a-payments", &node(1)).await;
    let mut two = world.settled("a-payments", &node(2)).await;
    one.drain().await;
    let (first, second) = (
        world.source.proxy("a-payments", "p-1"),
        world.source.proxy("a-payments", "p-2"),
    );
    let before = world.source.status(second).unwrap().acked_revision;
    let (_, revision) = world.source.allow(key, "payments", "frontend");
    let mine = one.receive().await.unwrap();
    let other = two.receive().await.unwrap();
    // It answers for the other as well.
    one.answer(&other, None).await;
    one.answer(&mine, None).await;
    let done = |status: &ProxyStatus| status.acked_revision == Some(revision);
    world.source.until(first, done).await;
    let pending = |status: &ProxyStatus| status.pending_types == ["rds"];
    let status = world.source.until(second, pending).await;
    assert_eq!(status.acked_revision, before);
    assert_eq!(status.target_revision, Some(revision));

    two.answer(&other, Some("no such policy")).await;
    let refused = |status: &ProxyStatus| !status.nacks.is_empty();
    world.source.until(second, refused).await;
    let status = world.source.status(first).unwrap();
    assert!(done(&status) && status.nacks.is_empty(), "{status:?}");
}

#[tokio::test]
async fn a_refusal_is_kept_with_the_object_that_caused_it() {
    let world = World::start().await;
    let key = world.source.mesh("a", &["frontend", "payments"]);
    let node = Node::new("payments", "p-1", "10.0.0.1");
    let mut ads = world.settled("a-payments", &node).await;
    let proxy = world.source.proxy("a-payments", "p-1");

    let (rule, revision) = world.source.allow(key, "payments", "frontend");
    let response = ads.receive().await.unwrap();
    let words = format!("policy {rule}\u{1b} cannot be used");
    ads.answer(&response, Some(&words)).await;
    let status = world
        .source
        .until(proxy, |status| !status.nacks.is_empty())
        .await;
    assert_eq!(status.acked_revision, Some(1));
    assert_eq!(status.target_revision, Some(revision));
    assert_eq!(status.pending_types, ["rds"]);
    let [nack] = status.nacks.as_slice() else {
        panic!("{:?}", status.nacks);
    };
    assert_eq!(
        (nack.kind, nack.resource.as_str()),
        ("rds", "heddle/inbound/payments/http")
    );
    assert_eq!(
        nack.message,
        format!("policy {rule}\\u{{1b}} cannot be used")
    );
    let origin = nack.origin.as_ref().unwrap();
    assert_eq!(
        (origin.kind, origin.id.clone()),
        (ModelKind::AccessRule, rule.to_string())
    );
    assert_eq!(origin.revision, revision);
    // Not again on this stream, nor on the next.
    assert!(ads.drain().await.is_empty());
    let mut ads = ads.resume(&world, "a-payments", &node).await;
    let seen = ads.drain().await.concat();
    assert!(!seen.contains("inbound"), "{seen}");

    let revision = world.source.change(key, |snapshot| {
        snapshot
            .service_mut("payments")
            .unwrap()
            .access_rules
            .clear();
    });
    let status = world
        .source
        .until(proxy, |status| status.acked_revision == Some(revision))
        .await;
    assert!(status.nacks.is_empty());
}

#[tokio::test]
async fn f_34_a_mesh_that_cannot_be_loaded_keeps_its_last_view() {
    let world = World::start().await;
    let key = world.source.mesh("a", &["frontend", "payments"]);
    let node = Node::new("payments", "p-1", "10.0.0.1");
    let mut ads = world.settled("a-payments", &node).await;

    let loads = world.source.state().loads;
    world.source.state().broken = true;
    world.source.allow(key, "payments", "frontend");
    // Endpoints go on meanwhile, and a proxy that comes now gets the last view.
    let other = Node::new("payments", "p-2", "10.0.0.2");
    let _other = world.proxy("a-payments", &other).await;
    let both = [("10.0.0.1", HEALTHY), ("10.0.0.2", HEALTHY)];
    ads.until_endpoints("heddle/payments/http", &both).await;
    assert!(world.source.state().loads > loads, "it was tried");
    world.source.state().broken = false;
    loop {
        if ads.step().await == "rds heddle/inbound/payments/http" {
            break;
        }
    }
}

#[tokio::test]
async fn xds_x50_nothing_is_said_before_the_first_load() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    world.source.state().broken = true;
    let node = Node::new("payments", "p-1", "10.0.0.1");
    let mut ads = crate::client::Ads::open(&world, "a-payments", &node)
        .await
        .unwrap();
    let mut tries = 0;
    while tries < 3 {
        tries = world.source.state().loads;
        tokio::task::yield_now().await;
    }
    world.source.state().broken = false;
    // The first thing that it hears is everything.
    assert_eq!(
        ads.step().await,
        "cds heddle-local/http heddle/payments/http"
    );
}

#[tokio::test]
async fn what_a_service_says_of_its_calls_reaches_all_of_its_proxies_and_no_others() {
    let world = World::start().await;
    let key = world.source.mesh("a", &["frontend", "payments"]);
    let mut frontends = Vec::new();
    for n in 1..=2 {
        let node = Node::new("frontend", &format!("f-{n}"), &format!("10.0.0.{n}"));
        frontends.push(world.settled("a-frontend", &node).await);
    }
    let node = Node::new("payments", "p-1", "10.0.1.1");
    let mut payments = world.settled("a-payments", &node).await;
    for ads in &mut frontends {
        ads.until_endpoints("heddle/payments/http", &[("10.0.1.1", HEALTHY)])
            .await;
        let both = [("10.0.0.1", HEALTHY), ("10.0.0.2", HEALTHY)];
        ads.until_endpoints("heddle/frontend/http", &both).await;
    }

    let exception = |upstreams: &'static str| {
        world.source.change(key, move |snapshot| {
            let frontend = snapshot.service_mut("frontend").unwrap();
            frontend.service.spec.upstreams = serde_json::from_str(upstreams).unwrap();
        })
    };
    exception(r#"[{"service": "payments", "override": {"timeout": "1s"}}]"#);
    let common = payments.version(Kind::Route, "heddle/outbound").to_owned();
    for ads in &mut frontends {
        assert_eq!(ads.step().await, "rds heddle/outbound");
        assert_ne!(ads.version(Kind::Route, "heddle/outbound"), common);
    }
    assert_eq!(payments.drain().await, Vec::<String>::new());
    let versions = frontends.iter();
    let mut versions = versions.map(|ads| ads.version(Kind::Route, "heddle/outbound"));
    assert_eq!(versions.next(), versions.next());

    // Endpoints go on reaching both kinds.
    let node = Node::new("payments", "p-2", "10.0.1.2");
    let _second = world.proxy("a-payments", &node).await;
    let both = [("10.0.1.1", HEALTHY), ("10.0.1.2", HEALTHY)];
    for ads in frontends.iter_mut().chain([&mut payments]) {
        ads.until_endpoints("heddle/payments/http", &both).await;
    }

    // What they do not call does not concern them.
    world.source.change(key, |snapshot| {
        let frontend = snapshot.service_mut("frontend").unwrap();
        frontend.service.spec.defaults = serde_json::from_str(r#"{"timeout": "7s"}"#).unwrap();
    });
    assert_eq!(payments.step().await, "rds heddle/outbound");
    for ads in &mut frontends {
        assert_eq!(ads.drain().await, Vec::<String>::new());
    }

    // Who says nothing sees everything again.
    exception("null");
    let common = payments.version(Kind::Route, "heddle/outbound").to_owned();
    for ads in &mut frontends {
        assert_eq!(ads.step().await, "rds heddle/outbound");
        assert_eq!(ads.version(Kind::Route, "heddle/outbound"), common);
    }
    assert_eq!(payments.drain().await, Vec::<String>::new());
}
