//! Certificates for keys of others: who gets one, for whom, and how whoever watches is told.

use std::time::Duration;

use chrono::TimeDelta;
use heddle_identity::{
    Caller, IssueRequest, IssueResponse, WatchRequest, WatchResponse, call as path,
};
use heddle_model::code::Code as Known;
use heddle_xds_server::AgentSeen;
use heddle_xds_server::engine::kind::Kind;
use tonic::{Code, Status, Streaming};

use crate::client::{Node, channel, with_token};
use crate::world::World;

fn caller(proxy: &str, service: &str) -> Option<Caller> {
    Some(Caller {
        proxy: proxy.to_owned(),
        service: service.to_owned(),
    })
}

async fn issue(world: &World, token: &str, asked: IssueRequest) -> Result<IssueResponse, Status> {
    let mut grpc = tonic::client::Grpc::new(channel(world).await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<IssueRequest, IssueResponse>::default();
    let path = http::uri::PathAndQuery::from_static(path::ISSUE);
    let answer = grpc.unary(with_token(asked, token), path, codec).await;
    answer.map(tonic::Response::into_inner)
}

fn asked(proxy: &str, service: &str) -> IssueRequest {
    IssueRequest {
        caller: caller(proxy, service),
        request: b"a request".to_vec(),
        watches: false,
    }
}

async fn watch(world: &World, token: &str, serial: &str) -> Streaming<WatchResponse> {
    watch_with(world, token, serial, "").await
}

async fn watch_with(
    world: &World,
    token: &str,
    serial: &str,
    version: &str,
) -> Streaming<WatchResponse> {
    watch_as("p-1", world, token, serial, version).await
}

async fn watch_as(
    proxy: &str,
    world: &World,
    token: &str,
    serial: &str,
    version: &str,
) -> Streaming<WatchResponse> {
    let mut grpc = tonic::client::Grpc::new(channel(world).await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<WatchRequest, WatchResponse>::default();
    let path = http::uri::PathAndQuery::from_static(path::WATCH);
    let asked = WatchRequest {
        caller: caller(proxy, ""),
        serial: serial.to_owned(),
        version: version.to_owned(),
    };
    let answer = grpc.server_streaming(with_token(asked, token), path, codec);
    answer.await.unwrap().into_inner()
}

async fn told(watching: &mut Streaming<WatchResponse>) -> Result<WatchResponse, Status> {
    let message = tokio::time::timeout(Duration::from_secs(15), watching.message()).await;
    message.expect("it is told in time").map(Option::unwrap)
}

#[tokio::test]
async fn sec_c01_p03_who_a_certificate_is_for_follows_from_the_token_alone() {
    let world = World::start().await;
    world.source.mesh("a", &["payments", "ledger"]);
    let issued = issue(&world, "a-payments", asked("p-1", "")).await.unwrap();
    assert_eq!(
        issued.spiffe_id,
        "spiffe://shop-a.heddle.example/service/payments"
    );
    assert_eq!(issued.trust_domain, "shop-a.heddle.example");
    assert_eq!(issued.chain.len(), 2);
    assert_eq!(issued.chain[0], issued.serial.as_bytes());
    assert_eq!(issued.bundle.len(), 1);
    assert!(issued.renew_at > 0 && issued.not_after > issued.renew_at);
    assert!(
        issue(&world, "a-payments", asked("p-1", "payments"))
            .await
            .is_ok()
    );

    // Naming another service gets nobody its certificate.
    let other = issue(&world, "a-payments", asked("p-1", "ledger")).await;
    let other = other.unwrap_err();
    assert_eq!(other.code(), Code::PermissionDenied);
    assert!(other.message().starts_with("HED-3004"), "{other}");
    for (proxy, service) in [("", ""), ("p 1", ""), ("p-1", "Not A Name")] {
        let refused = issue(&world, "a-payments", asked(proxy, service)).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    }
    let nobody = IssueRequest {
        caller: None,
        ..asked("p-1", "")
    };
    let refused = issue(&world, "a-payments", nobody).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn sec_c03_a_request_that_is_not_taken_says_why() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let junk = IssueRequest {
        request: vec![0x30; 100],
        ..asked("p-1", "")
    };
    let refused = issue(&world, "a-payments", junk).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let said = "HED-3010: this is no request. Send one PKCS#10 request in DER";
    assert!(refused.message().starts_with(said), "{refused}");
    let huge = IssueRequest {
        request: vec![0x30; 1 << 20],
        ..asked("p-1", "")
    };
    let refused = issue(&world, "a-payments", huge).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    assert_eq!(world.identities.count(), 0);
}

#[tokio::test]
async fn sec_d03_a_proxy_cannot_have_certificates_without_end() {
    let world = World::start().await;
    world.source.mesh("a", &["payments", "ledger"]);
    for _ in 0..10 {
        issue(&world, "a-payments", asked("p-1", "")).await.unwrap();
    }
    let refused = issue(&world, "a-payments", asked("p-1", "")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().starts_with("HED-3011"), "{refused}");
    assert!(issue(&world, "a-ledger", asked("l-1", "")).await.is_ok());
}

#[tokio::test]
async fn whoever_watches_is_told_at_once_and_when_what_signs_gives_way() {
    let world = World::start().await;
    let mesh = world.source.mesh("a", &["payments"]);
    let issued = issue(&world, "a-payments", asked("p-1", "")).await.unwrap();
    let mut watching = watch(&world, "a-payments", &issued.serial).await;
    let first = told(&mut watching).await.unwrap();
    assert_eq!(first.trust_domain, issued.trust_domain);
    assert_eq!(first.bundle, issued.bundle);
    assert_eq!(first.renew_at, issued.renew_at);

    // Nothing that concerns it: nothing is said.
    world.source.hint(mesh);
    world.identities.replace();
    world.identities.publish();
    world.source.hint(mesh);
    let second = told(&mut watching).await.unwrap();
    assert!(second.renew_at < first.renew_at, "now");
    assert_ne!(second.bundle, first.bundle);
    assert_ne!(second.version, first.version);

    // Somebody with a certificate that is not its own is told to replace it.
    let mut stranger = watch(&world, "a-payments", &"f".repeat(32)).await;
    assert_eq!(told(&mut stranger).await.unwrap().renew_at, 1);
    let mut nobody = watch(&world, "a-payments", "").await;
    assert_eq!(told(&mut nobody).await.unwrap().renew_at, 0);
}

#[tokio::test]
async fn sec_c18_whoever_is_revoked_is_told_to_go() {
    let world = World::with_leaves_of(TimeDelta::hours(1)).await;
    let mesh = world.source.mesh("a", &["payments"]);
    let mut watching = watch(&world, "a-payments", "").await;
    told(&mut watching).await.unwrap();
    let proxy = world.source.proxy("a-payments", "p-1");
    let revoked = Known::ProxyRevoked;
    world.source.state().revoked.insert(proxy, revoked);
    world.source.hint(mesh);
    let end = told(&mut watching).await.unwrap_err();
    assert_eq!(end.code(), Code::PermissionDenied);
    assert!(end.message().starts_with("HED-3006"), "{end}");
}

#[tokio::test]
async fn a_source_that_is_away_ends_nobodys_watch() {
    let mut world = World::start().await;
    let mesh = world.source.mesh("a", &["payments"]);
    let mut watching = watch(&world, "a-payments", "").await;
    told(&mut watching).await.unwrap();
    world.source.state().broken = true;
    world.source.hint(mesh);
    world.identities.publish();
    world.source.state().broken = false;
    world.source.hint(mesh);
    told(&mut watching).await.unwrap();
    // A server that stops says so, and never OK: a client would take that for an answer.
    world.stop().await;
    let end = told(&mut watching).await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end}");
}

#[tokio::test]
async fn spiffe_s52_what_those_hold_who_watch_is_told_to_whoever_waits_for_them() {
    let world = World::start().await;
    let mesh = world.source.mesh("a", &["payments"]);
    let issued = issue(&world, "a-payments", asked("p-1", "")).await.unwrap();
    let proxy = world.source.proxy("a-payments", "p-1");
    let mut heard = world.source.watching.subscribe();
    let mut until = async |revision: Option<u64>| {
        let said = |all: &Vec<AgentSeen>| {
            all.first().is_some_and(|one| {
                let serial = one.serial.as_deref() == Some(issued.serial.as_str());
                one.proxy == proxy && serial && one.revision == revision
            })
        };
        let heard = tokio::time::timeout(Duration::from_secs(15), heard.wait_for(said)).await;
        let _heard = heard.expect("it is told").unwrap();
    };
    // With another bundle than the one in force nobody has followed anything.
    let _behind = watch_with(&world, "a-payments", &issued.serial, "another").await;
    until(None).await;
    let _follows = watch_with(&world, "a-payments", &issued.serial, &issued.version).await;
    until(Some(1)).await;
    world.source.state().rotating = true;
    world.source.change(mesh, |_| {});
    until(Some(2)).await;
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_for_nobody() {
    let world = World::start().await;
    let mesh = world.source.mesh("a", &["payments"]);
    let asked = IssueRequest {
        watches: true,
        ..asked("p-1", "")
    };
    let mut heard = world.source.watching.subscribe();
    let issued = issue(&world, "a-payments", asked).await.unwrap();
    assert!(
        !heard.has_changed().unwrap(),
        "it says itself what it holds"
    );
    let (serial, version) = (&issued.serial, &issued.version);
    let _first = watch_with(&world, "a-payments", serial, version).await;
    let kept = heard.wait_for(|seen| seen.first().is_some_and(|one| one.revision == Some(1)));
    let kept = tokio::time::timeout(Duration::from_secs(15), kept).await;
    drop(kept.expect("it is told").unwrap());
    heard.mark_unchanged();
    // Longer than what is kept of them is apart.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    world.source.change(mesh, |_| {});
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!heard.has_changed().unwrap(), "a revision is no news");
    let _second = watch_as("p-2", &world, "a-payments", "", version).await;
    let kept = tokio::time::timeout(Duration::from_secs(15), heard.changed()).await;
    kept.expect("it is told").unwrap();
    let proxies: Vec<_> = heard.borrow().iter().map(|one| one.proxy).collect();
    assert_eq!(proxies, [world.source.proxy("a-payments", "p-2")]);
}

#[tokio::test]
async fn spiffe_s52_whoever_does_not_watch_is_taken_to_hold_what_it_was_issued() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let mut heard = world.source.watching.subscribe();
    let issued = issue(&world, "a-payments", asked("p-1", "")).await.unwrap();
    let expected = AgentSeen {
        proxy: world.source.proxy("a-payments", "p-1"),
        serial: Some(issued.serial),
        revision: Some(1),
    };
    // Whoever asks does not wait for that.
    let kept = heard.wait_for(|seen| *seen == [expected.clone()]);
    assert!(
        tokio::time::timeout(Duration::from_secs(15), kept)
            .await
            .unwrap()
            .is_ok()
    );
}

#[tokio::test]
async fn sec_d03_a_watch_costs_little_whatever_it_says() {
    let world = World::start().await;
    let mesh = world.source.mesh("a", &["payments"]);
    let mut heard = world.source.watching.subscribe();
    let junk = "5e".repeat(5_000);
    let mut first = watch_with(&world, "a-payments", &junk, &junk).await;
    assert_eq!(told(&mut first).await.unwrap().renew_at, 0);
    let seen = heard.wait_for(|seen| !seen.is_empty()).await.unwrap()[0].clone();
    assert_eq!((seen.serial, seen.revision), (None, None));

    // A name has two places: one that was left may not be known to be.
    let mut second = watch(&world, "a-payments", "").await;
    let mut third = watch(&world, "a-payments", "").await;
    let end = told(&mut first).await.unwrap_err();
    assert_eq!(end.code(), Code::Aborted, "{end}");
    for watching in [&mut second, &mut third] {
        told(watching).await.unwrap();
    }
    world.identities.publish();
    world.source.hint(mesh);
    for watching in [&mut second, &mut third] {
        told(watching).await.unwrap();
    }
}

#[tokio::test]
async fn sec_d03_a_call_that_does_not_say_what_it_asks_for_ends() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let mut grpc = tonic::client::Grpc::new(channel(&world).await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<WatchRequest, WatchResponse>::default();
    let path = http::uri::PathAndQuery::from_static(path::WATCH);
    let nothing = with_token(tokio_stream::pending::<WatchRequest>(), "a-payments");
    let answer = grpc.client_streaming(nothing, path, codec);
    let answer = tokio::time::timeout(Duration::from_secs(15), answer).await;
    let end = answer.expect("it ends").unwrap_err();
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c16_a_mesh_whose_authority_is_silent_keeps_nobody_else_waiting_and_then_all_of_its_own_are_served()
 {
    const MANY: usize = 60;
    let world = std::sync::Arc::new(World::start().await);
    for tenant in ["a", "b"] {
        world.source.mesh(tenant, &["payments"]);
    }
    world.identities.silence(Some("shop-a.heddle.example"));
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..MANY {
        let world = world.clone();
        waiting.spawn(async move {
            let asked = asked(&format!("p-{n}"), "");
            issue(&world, "a-payments", asked).await
        });
    }
    // A key of one's own, and one by SDS.
    let soon = Duration::from_secs(5);
    let other = issue(&world, "b-payments", asked("p-1", ""));
    let other = tokio::time::timeout(soon, other).await;
    other.expect("nobody waits for another mesh").unwrap();
    let envoy = Node::new("payments", "p-2", "10.0.0.2");
    let settled = world.settled("b-payments", &envoy);
    let settled = tokio::time::timeout(soon, settled).await;
    let settled = settled.expect("no Envoy either");
    assert!(settled.held[&Kind::Secret].contains_key("heddle/identity"));
    assert!(waiting.try_join_next().is_none(), "they wait");

    world.identities.silence(None);
    let mut served = 0;
    while let Some(issued) = waiting.join_next().await {
        let _ = issued.unwrap().unwrap();
        served += 1;
    }
    assert_eq!(served, MANY);
}
