//! Bindings that change: a token replaced, a proxy forgotten, a service gone.

use std::time::Duration;

use chrono::TimeDelta;
use heddle_model::authz::permission::{ConfigWrite, ProxyWrite};
use heddle_model::kind::Kind;
use heddle_store::Error;
use heddle_store::proxies::{self, AgentSeen, Checkpoint, JoinRefused};
use heddle_store::replicas;
use heddle_store::resources::{self, Precondition};
use serde_json::json;

use crate::build::{address, name, ousted, service};
use crate::join::World;
use crate::support::{grant, start};

#[tokio::test]
async fn a_node_id_moves_to_another_token_only_when_nobody_uses_it() {
    let world = World::new().await;
    let (old, new) = (
        world.token("old", false).await,
        world.token("new", false).await,
    );
    let joined = world.join(&old, "node").await.unwrap();
    replicas::renew(&world.db.store, uuid::Uuid::nil(), Duration::from_secs(600))
        .await
        .unwrap();
    let connected = Checkpoint {
        proxy: joined.proxy,
        connected: true,
        augments: false,
        registration: None,
        lease_until: Some(start() + TimeDelta::minutes(1)),
        envoy_version: None,
        leaf_serial: None,
        setup: None,
        acked_revision: None,
        target_revision: None,
        pending_types: Vec::new(),
        nacks: json!([]),
        seen_at: start(),
    };
    proxies::checkpoint(
        &world.db.store,
        &joined.mesh,
        uuid::Uuid::nil(),
        None,
        &[connected],
    )
    .await
    .unwrap();
    assert_eq!(world.join(&new, "node").await, Err(JoinRefused::NodeTaken));
    world.db.clock.advance(TimeDelta::minutes(2));
    let moved = world.join(&new, "node").await.unwrap();
    assert_eq!(moved.proxy, joined.proxy);
    assert_ne!(moved.join_token, joined.join_token);
    // The old token was for one proxy, and that one has left it.
    assert_eq!(world.join(&old, "node").await, Err(JoinRefused::Used));
}

#[tokio::test]
async fn sec_p03_no_other_token_takes_the_name_of_an_agent_at_work() {
    let world = World::new().await;
    let (old, new) = (
        world.token("old", false).await,
        world.token("new", false).await,
    );
    let joined = world.join(&old, "node").await.unwrap();
    let seen = async || {
        let seen = [AgentSeen {
            proxy: joined.proxy,
            serial: None,
            revision: None,
        }];
        let kept = proxies::agents_seen(&world.db.store, &joined.mesh, &seen);
        kept.await.unwrap();
    };
    seen().await;
    assert_eq!(world.join(&new, "node").await, Err(JoinRefused::NodeTaken));
    // It has not been seen for a while: the name is free.
    world.db.clock.advance(TimeDelta::seconds(61));
    let moved = world.join(&new, "node").await.unwrap();
    assert_eq!(moved.proxy, joined.proxy);
    // It is here again, and its token is good no more.
    seen().await;
    let last = world.token("last", false).await;
    assert_eq!(world.join(&last, "node").await, Err(JoinRefused::NodeTaken));
    world.revoke("new").await;
    assert_eq!(world.join(&last, "node").await.unwrap().proxy, joined.proxy);
}

#[tokio::test]
async fn a_forgotten_proxy_needs_a_token_that_admits_it() {
    let world = World::new().await;
    let (once, many) = (
        world.token("once", false).await,
        world.token("many", true).await,
    );
    let (a, b) = (
        world.join(&once, "a").await.unwrap(),
        world.join(&many, "b").await.unwrap(),
    );
    for joined in [&a, &b] {
        let mut tx = world
            .db
            .store
            .begin(&grant::<ProxyWrite>(&world.owner))
            .await
            .unwrap();
        let row = proxies::find(&mut tx, world.mesh.id, &joined.proxy.to_string())
            .await
            .unwrap()
            .unwrap();
        proxies::forget(&mut tx, world.mesh.id, &row).await.unwrap();
        let twice = proxies::forget(&mut tx, world.mesh.id, &row).await;
        assert!(matches!(twice, Err(Error::NotFound)), "{twice:?}");
        tx.commit().await.unwrap();
    }
    let gone = ousted(&world.db.store, &a.mesh, &[a.proxy, b.proxy]).await;
    assert_eq!(gone, [a.proxy, b.proxy]);
    assert_eq!(world.join(&once, "a").await, Err(JoinRefused::Used));
    let anew = world.join(&many, "b").await.unwrap();
    assert_ne!(anew.proxy, b.proxy);
}

#[tokio::test]
async fn a_token_outlives_its_service_but_does_not_work() {
    let world = World::new().await;
    let secret = world.token("many", true).await;
    let joined = world.join(&secret, "a").await.unwrap();
    let payments = name("payments");
    let at = address(world.mesh.id, Kind::Service, None, &payments);
    let mut tx = world
        .db
        .store
        .begin(&grant::<ConfigWrite>(&world.owner))
        .await
        .unwrap();
    resources::delete(&mut tx, &at, &Precondition::None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        world.join(&secret, "a").await,
        Err(JoinRefused::ServiceGone)
    );
    assert_eq!(
        world.join(&secret, "b").await,
        Err(JoinRefused::ServiceGone)
    );
    service(&world.db.store, &world.owner, world.mesh.id, "payments").await;
    assert_eq!(world.join(&secret, "a").await.unwrap(), joined);
}
