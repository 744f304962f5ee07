//! Proxies that were not let in: what the people of a mesh read about it in their audit log.

use chrono::TimeDelta;
use heddle_model::authz::permission::AuditRead;
use heddle_store::Caller;
use heddle_store::audit::{self, AuditFilter, AuditRow};
use heddle_store::proxies::{self, JoinRefused, Turned};
use secrecy::{ExposeSecret as _, SecretString};

use crate::join::World;
use crate::support::grant;

const FROM: &str = "192.0.2.7";

impl World {
    async fn turn_away(&self, secret: &SecretString, why: Option<JoinRefused>, node: Option<&str>) {
        let turned = Turned {
            why,
            node_id: node,
            service: None,
            from: Some(FROM.parse().unwrap()),
        };
        proxies::turned_away(&self.db.store, secret.expose_secret(), &turned)
            .await
            .unwrap();
    }

    /// Tries to join, and is turned away for what comes of it.
    async fn fail(&self, secret: &SecretString, node: &str) {
        let refused = self.join(secret, node).await.unwrap_err();
        self.turn_away(secret, Some(refused), Some(node)).await;
    }

    /// What is refused in the audit log, newest first.
    async fn refused(&self, caller: &Caller) -> Vec<AuditRow> {
        let mut tx = self
            .db
            .store
            .begin(&grant::<AuditRead>(caller))
            .await
            .unwrap();
        let filter = AuditFilter {
            action: Some(String::from("join")),
            kind: Some(String::from("join_token")),
            outcome: Some(String::from("refused")),
            ..AuditFilter::default()
        };
        audit::page(&mut tx, &filter, None, 1_000).await.unwrap()
    }
}

fn said(row: &AuditRow, key: &str) -> String {
    let after = row.after.as_ref().unwrap();
    after[key].as_str().unwrap_or("-").to_owned()
}

#[tokio::test]
async fn sec_p02_who_was_not_let_in_is_in_the_meshs_audit_log_with_the_reason() {
    let world = World::new().await;
    let (once, many, gone) = (
        world.token("once", false).await,
        world.token("many", true).await,
        world.token("gone", true).await,
    );
    world.join(&once, "a").await.unwrap();
    world.fail(&once, "b").await;
    world.revoke("gone").await;
    world.fail(&gone, "c").await;
    // One that is asked for before a node has said its name.
    world.turn_away(&gone, None, None).await;
    world.db.clock.advance(TimeDelta::hours(1));
    world.fail(&many, "d").await;

    let rows = world.refused(&world.owner).await;
    let read: Vec<[String; 3]> = rows
        .iter()
        .map(|row| [row.name.clone(), said(row, "reason"), said(row, "node_id")])
        .collect();
    let wanted = [
        ["many", "expired", "d"],
        ["gone", "revoked", "-"],
        ["gone", "revoked", "c"],
        ["once", "used", "b"],
    ];
    assert_eq!(read, wanted.map(|row| row.map(str::to_owned)));
    for row in &rows {
        assert_eq!(row.mesh_id, Some(world.mesh.id.uuid()));
        assert_eq!(row.ip.as_deref(), Some(FROM));
        assert_eq!(Some(row.actor.clone()), row.uid());
        // It makes no revision.
        assert_eq!(row.revision, None);
    }
    let verified = audit::verify(&world.db.store, &"acme".parse().unwrap(), &[])
        .await
        .unwrap();
    assert_eq!(verified.broken, []);
    // Nobody else reads it, and what never was a token is nobody's.
    let other = world.db.owner("other").await;
    assert!(world.refused(&other).await.is_empty());
    let text = once.expose_secret();
    for none in ["", "heddle_join_", &text[..text.len() - 1]] {
        world
            .turn_away(&SecretString::from(none), None, Some("e"))
            .await;
    }
    assert_eq!(world.refused(&world.owner).await.len(), wanted.len());
}

#[tokio::test]
async fn sec_p02_ten_thousand_tries_with_a_used_token_are_a_handful_of_rows() {
    let world = World::new().await;
    let once = world.token("once", false).await;
    world.join(&once, "a").await.unwrap();
    let used = Some(JoinRefused::Used);
    // An Envoy that nobody repairs.
    for _ in 0..100 {
        world.turn_away(&once, used, Some("b")).await;
    }
    assert_eq!(world.refused(&world.owner).await.len(), 1);
    // Somebody who thinks up names.
    for n in 0..10_000 {
        world
            .turn_away(&once, used, Some(&format!("node-{n}")))
            .await;
    }
    assert_eq!(world.refused(&world.owner).await.len(), 20);
    // Another token still has its own.
    let other = world.token("other", false).await;
    world.turn_away(&other, used, Some("b")).await;
    assert_eq!(world.refused(&world.owner).await.len(), 21);
    world.db.clock.advance(TimeDelta::hours(1));
    world.turn_away(&once, used, Some("b")).await;
    assert_eq!(world.refused(&world.owner).await.len(), 22);
}
