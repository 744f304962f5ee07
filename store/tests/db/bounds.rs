//! What join tokens are bound to, and what their proxies get by it.

use std::time::Duration;

use chrono::TimeDelta;
use heddle_model::authz::permission::{AuditRead, JoinTokenWrite};
use heddle_model::clock::Clock as _;
use heddle_model::id::ProxyId;
use heddle_store::audit::{self, AuditFilter};
use heddle_store::join_tokens::{self, Bounds, NewJoinToken};
use heddle_store::proxies::{self, AgentSeen, Arrival, Checkpoint, JoinRefused, Joined};
use heddle_store::replicas;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use uuid::Uuid;

use crate::build::{mesh_ref, name, object};
use crate::join::World;
use crate::proxies::{checkpoint, find};
use crate::support::grant;

impl World {
    async fn bound(&self, token: &str, bounds: Bounds) -> SecretString {
        let new = NewJoinToken {
            name: name(token),
            service: name("payments"),
            reusable: true,
            expires_at: None,
            bounds,
        };
        let grant = grant::<JoinTokenWrite>(&self.owner);
        let mut tx = self.db.store.begin(&grant).await.unwrap();
        let made = join_tokens::create(&mut tx, self.mesh.id, &new)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(made.row.bounds, new.bounds);
        made.secret
    }

    async fn join_from(
        &self,
        secret: &SecretString,
        node_id: &str,
        from: Option<&str>,
    ) -> Result<ProxyId, JoinRefused> {
        let from = from.map(|from| from.parse().unwrap());
        let arrival = Arrival {
            node_id,
            from,
            claimed: None,
        };
        let joined = proxies::join(&self.db.store, secret.expose_secret(), arrival).await;
        joined.unwrap().map(|joined| joined.proxy)
    }

    async fn forget(&self, joined: &Joined) -> usize {
        let after = TimeDelta::minutes(10);
        proxies::forget_away(&self.db.store, &joined.mesh, after)
            .await
            .unwrap()
    }

    async fn is_there(&self, joined: &Joined, node: &str) -> bool {
        let found = find(&self.db, &self.owner, &joined.mesh, node).await;
        found.is_some()
    }
}

#[tokio::test]
async fn sec_p02_a_token_that_is_bound_to_networks_lets_nobody_in_from_elsewhere() {
    let world = World::new().await;
    let networks = Some(vec![
        String::from("192.0.2.0/24"),
        String::from("2001:db8::/32"),
    ]);
    let bounds = Bounds {
        networks,
        ..Bounds::default()
    };
    let secret = world.bound("here", bounds).await;
    let refused = Err(JoinRefused::Elsewhere);
    for from in [Some("198.51.100.1"), Some("::1"), None] {
        assert_eq!(world.join_from(&secret, "a", from).await, refused);
    }
    let bound = world.join_from(&secret, "a", Some("192.0.2.7")).await;
    let bound = bound.unwrap();
    let again = world.join_from(&secret, "a", Some("2001:db8::1")).await;
    assert_eq!(again.unwrap(), bound);
    // A copy of the token, with the name of a proxy that is bound.
    let copy = world.join_from(&secret, "a", Some("198.51.100.1")).await;
    assert_eq!(copy, refused);
}

#[tokio::test]
async fn a_proxys_labels_are_those_of_its_token() {
    let world = World::new().await;
    let labels = object(json!({"zone": "eu-1"}));
    let bounds = Bounds {
        labels: labels.clone(),
        ..Bounds::default()
    };
    let secret = world.bound("labelled", bounds).await;
    world.join(&secret, "a").await.unwrap();
    let plain = world.token("plain", true).await;
    world.join(&plain, "b").await.unwrap();
    let mesh = mesh_ref(&world.db.store, &world.owner, &world.mesh).await;
    let shown = async |node| find(&world.db, &world.owner, &mesh, node).await.unwrap();
    assert_eq!(shown("a").await.labels, labels);
    assert_eq!(shown("b").await.labels, object(json!({})));
}

#[tokio::test]
async fn ephemeral_proxies_are_forgotten_once_they_have_been_away_for_a_while() {
    let world = World::new().await;
    let bounds = Bounds {
        ephemeral: true,
        ..Bounds::default()
    };
    let passing = world.bound("passing", bounds).await;
    let lasting = world.token("lasting", true).await;
    let (a, b, c) = (
        world.join(&passing, "a").await.unwrap(),
        world.join(&passing, "b").await.unwrap(),
        world.join(&lasting, "c").await.unwrap(),
    );
    // One that has a stream, one that had one, one whose token keeps it.
    let said = |joined: &Joined, connected| Checkpoint {
        connected,
        seen_at: world.db.clock.now(),
        ..checkpoint(joined.proxy, None)
    };
    let replica = Uuid::from_u128(7);
    let batch = [said(&a, true), said(&b, false), said(&c, false)];
    proxies::checkpoint(&world.db.store, &a.mesh, replica, None, &batch)
        .await
        .unwrap();
    world.db.clock.advance(TimeDelta::minutes(9));
    assert_eq!(world.forget(&a).await, 0);
    world.db.clock.advance(TimeDelta::minutes(2));
    // While no server has lived for so long, it had nowhere to come back to. (This one's start is by the clock of the database.)
    replicas::renew(&world.db.store, replica, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(world.forget(&a).await, 0);
    replicas::retire(&world.db.store, replica).await.unwrap();
    assert_eq!(world.forget(&a).await, 1);
    assert!(world.is_there(&a, "a").await && world.is_there(&a, "c").await);
    assert!(!world.is_there(&a, "b").await);
    let ousted = proxies::ousted(&world.db.store, &b.mesh, &[b.proxy]).await;
    assert_eq!(ousted.unwrap().len(), 1);
    // The server of the other one is gone: it may have been there until then, however long ago anything new was said about it.
    proxies::disconnect_gone(&world.db.store, &a.mesh)
        .await
        .unwrap();
    assert_eq!(world.forget(&a).await, 0);
    // One that keeps its key has no stream, and is here as long as it is seen.
    let seen = [AgentSeen {
        proxy: a.proxy,
        serial: None,
        revision: None,
    }];
    world.db.clock.advance(TimeDelta::minutes(9));
    proxies::agents_seen(&world.db.store, &a.mesh, &seen)
        .await
        .unwrap();
    world.db.clock.advance(TimeDelta::minutes(9));
    assert_eq!(world.forget(&a).await, 0);

    let grant = grant::<AuditRead>(&world.owner);
    let mut tx = world.db.store.begin(&grant).await.unwrap();
    let filter = AuditFilter {
        action: Some(String::from("forget")),
        ..AuditFilter::default()
    };
    let rows = audit::page(&mut tx, &filter, None, 10).await.unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (&*row.name, &*row.actor)).collect();
    assert_eq!(rows, [("b", "xds")]);
    drop(tx);
    // Its name is free, and whoever comes under it is somebody new.
    let back = world.join(&passing, "b").await.unwrap();
    assert_ne!(back.proxy, b.proxy);
}
