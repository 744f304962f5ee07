//! Connections that are slow, dead, old or too many.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use heddle_model::workload::Health;
use heddle_xds_server::engine::kind::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use crate::client::{Ads, Node};
use crate::world::World;

fn node() -> Node {
    Node::new("payments", "p-1", "10.0.0.1")
}

#[tokio::test]
async fn xds_x42_a_proxy_that_does_not_read_is_let_go() {
    let deadline = Duration::from_millis(300);
    let world = World::with(TimeDelta::hours(24), |o| o.unread_deadline = deadline).await;
    let names: Vec<String> = (0..300).map(|n| format!("service-{n}")).collect();
    let mut services: Vec<&str> = names.iter().map(String::as_str).collect();
    services.push("payments");
    world.source.mesh("a", &services);
    let mut ads = Ads::open(&world, "a-payments", &node()).await.unwrap();
    // More than fits into the windows of HTTP/2, one response for each type; nothing is read.
    for kind in &Kind::ALL[1..] {
        let request = DeltaDiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: vec!["*".to_owned()],
            ..DeltaDiscoveryRequest::default()
        };
        ads.send(request).await;
    }
    let proxy = world.source.proxy("a-payments", "p-1");
    world.source.until(proxy, |status| status.connected).await;
    world.source.until(proxy, |status| !status.connected).await;
    // What it would still have read went with the connection.
    let mut read = 0;
    let end = loop {
        match ads.receive().await {
            Ok(_) => read += 1,
            Err(status) => break status,
        }
    };
    assert!(read < 5, "{read}");
    assert_ne!(end.code(), Code::Ok, "{end}");
}

/// The frames of HTTP/2 that came: type and payload.
async fn frames(socket: &mut (impl AsyncReadExt + Unpin)) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    // The end may come without a goodbye.
    let _reset = socket.read_to_end(&mut bytes).await;
    let mut frames = Vec::new();
    let mut rest = &bytes[..];
    while let Some((head, tail)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (payload, after) = tail.split_at(usize::try_from(length).unwrap().min(tail.len()));
        frames.push((head[3], payload.to_vec()));
        rest = after;
    }
    frames
}

#[tokio::test]
async fn xds_x46_d13_a_peer_that_does_not_answer_is_let_go_and_the_limits_are_announced() {
    let world = World::with(TimeDelta::hours(24), |options| {
        options.ping_every = Duration::from_millis(100);
        options.ping_wait = Duration::from_millis(100);
    })
    .await;
    let mut socket = world.dial().await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    socket
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    socket.write_all(&settings).await.unwrap();
    // It reads, but never answers a ping: the connection ends by itself.
    let all = tokio::time::timeout(Duration::from_secs(10), frames(&mut socket)).await;
    let all = all.expect("it ends");
    let (_, announced) = all.iter().find(|(kind, _)| *kind == 4).unwrap();
    let announced: BTreeMap<u16, u32> = announced
        .chunks_exact(6)
        .map(|s| {
            let key = u16::from_be_bytes([s[0], s[1]]);
            (key, u32::from_be_bytes([s[2], s[3], s[4], s[5]]))
        })
        .collect();
    let (streams, headers) = (3, 6);
    assert_eq!(announced[&streams], 16);
    assert_eq!(announced[&headers], 16 << 10);
    assert!(all.iter().any(|(kind, _)| *kind == 6), "a ping was sent");
}

#[tokio::test]
async fn xds_x47_x05_an_old_connection_ends_in_an_orderly_way_and_nobody_is_withdrawn() {
    let age = Duration::from_millis(700);
    let world = World::with(TimeDelta::hours(24), |o| o.max_connection_age = age).await;
    world.source.mesh("a", &["payments"]);
    let ads = world.settled("a-payments", &node()).await;
    let (held, names) = (ads.held.clone(), ads.names.clone());
    let end = ads.end().await;
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    let mut ads = Ads::open(&world, "a-payments", &node()).await.unwrap();
    (ads.held, ads.names) = (held, names);
    let mut ads = ads.resume(&world, "a-payments", &node()).await;
    let seen = ads.drain().await;
    assert!(seen.iter().all(|text| !text.contains(' ')), "{seen:?}");
    let proxy = world.source.proxy("a-payments", "p-1");
    let status = world.source.status(proxy).unwrap();
    assert_eq!(status.registration.unwrap().health, Health::Healthy);
}

#[tokio::test]
async fn sec_d01_who_says_nothing_keeps_nobody_out() {
    let world = World::start().await;
    world.source.mesh("a", &["payments"]);
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(tokio::net::TcpStream::connect(world.address).await.unwrap());
    }
    world.settled("a-payments", &node()).await;
    // And they are let go themselves.
    let mut rest = Vec::new();
    for mut socket in silent {
        let end = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut rest));
        let _reset = end.await.expect("it ends");
    }
    assert!(rest.is_empty());
}
