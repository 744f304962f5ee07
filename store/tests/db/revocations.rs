//! Revoked identities: who does not join, stay or get a certificate, and for how long.

use chrono::TimeDelta;
use heddle_model::authz::permission::{MeshWrite, ProxyRead, ProxyWrite};
use heddle_model::id::{AuthorityId, ProxyId, RevocationId};
use heddle_store::proxies::{self, JoinRefused, Joined, Ousted};
use heddle_store::resources::Precondition;
use heddle_store::revocations::{self, RevocationRow, Revoked};
use heddle_store::{Error, authorities, certificates, meshes};
use secrecy::{ExposeSecret as _, SecretString};

use crate::authorities::{entry, hierarchy};
use crate::build::{mesh_ref, name, service};
use crate::join::World;
use crate::support::grant;

impl World {
    async fn revoke_identity(&self, revoked: Revoked) -> Result<RevocationRow, Error> {
        let mut tx = self.write().await;
        let service = name("payments");
        let row = revocations::create(&mut tx, self.mesh.id, &service, &revoked, "stolen").await?;
        tx.commit().await.map(|_| row)
    }

    async fn write(&self) -> heddle_store::Tx<ProxyWrite> {
        let grant = grant::<ProxyWrite>(&self.owner);
        self.db.store.begin(&grant).await.unwrap()
    }

    async fn lift(&self, id: RevocationId) -> Result<(), Error> {
        let mut tx = self.write().await;
        revocations::lift(&mut tx, self.mesh.id, id).await?;
        tx.commit().await.map(|_| ())
    }

    async fn issue(&self, serial: &str, joined: &Joined, by: AuthorityId) -> Result<(), Error> {
        let entry = entry(serial, joined.proxy, by);
        let recorded = certificates::record(&self.db.store, &joined.mesh, &entry).await;
        recorded.map(|written| assert!(written, "the authority signs"))
    }

    async fn is_revoked(&self, joined: &Joined, serial: &str) -> bool {
        let found = certificates::lookup(&self.db.store, &joined.mesh, serial).await;
        found.unwrap().unwrap().revoked_at.is_some()
    }

    async fn ousted(&self, joined: &[&Joined]) -> Vec<Ousted> {
        let asked: Vec<ProxyId> = joined.iter().map(|one| one.proxy).collect();
        proxies::ousted(&self.db.store, &joined[0].mesh, &asked)
            .await
            .unwrap()
    }

    pub(crate) async fn authority(&self) -> AuthorityId {
        let mesh = mesh_ref(&self.db.store, &self.owner, &self.mesh).await;
        let rows = authorities::create(&self.db.store, &mesh, &hierarchy(1)).await;
        rows.unwrap().last().unwrap().id
    }

    /// The revision of the mesh, and who is revoked in it.
    async fn snapshot(&self) -> (u64, Vec<String>) {
        let mesh = mesh_ref(&self.db.store, &self.owner, &self.mesh).await;
        let loaded = self.db.store.snapshot(&mesh).await.unwrap().unwrap();
        let revoked = loaded.snapshot.revoked.iter().map(ToString::to_string);
        (loaded.snapshot.revision, revoked.collect())
    }
}

fn proxy(joined: &Joined, node: &str) -> Revoked {
    Revoked::Proxy {
        id: joined.proxy,
        node_id: node.to_owned(),
    }
}

fn barred(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::Barred))
}

#[tokio::test]
async fn sec_c17_c18_a_revoked_proxy_does_not_join_stay_or_get_a_certificate() {
    let world = World::new().await;
    let authority = world.authority().await;
    let many = world.token("many", true).await;
    let (a, b) = (
        world.join(&many, "a").await.unwrap(),
        world.join(&many, "b").await.unwrap(),
    );
    for (serial, joined) in [("a1", &a), ("b1", &b)] {
        world.issue(serial, joined, authority).await.unwrap();
    }
    let (before, _) = world.snapshot().await;
    let row = world.revoke_identity(proxy(&a, "a")).await.unwrap();
    assert_eq!((row.reason.as_str(), &row.lifted), ("stolen", &None));

    // By the token that it is bound to, by any other of its service, and after it was forgotten.
    let other = world.token("other", false).await;
    for token in [&many, &other] {
        assert_eq!(world.join(token, "a").await, Err(JoinRefused::Revoked));
    }
    let out = Ousted {
        proxy: a.proxy,
        revoked: true,
    };
    assert_eq!(world.ousted(&[&a, &b]).await, [out]);
    assert!(barred(&world.issue("a2", &a, authority).await));
    let lookup = certificates::lookup(&world.db.store, &a.mesh, "a2").await;
    assert_eq!(lookup.unwrap(), None);
    assert!(world.is_revoked(&a, "a1").await);
    // Nobody else is concerned, and no configuration.
    assert_eq!(world.join(&many, "b").await.unwrap().proxy, b.proxy);
    world.issue("b2", &b, authority).await.unwrap();
    assert!(!world.is_revoked(&b, "b1").await);
    assert_eq!(world.snapshot().await, (before, Vec::new()));
    let mut tx = world.write().await;
    let shown = proxies::page(&mut tx, world.mesh.id, None, 10)
        .await
        .unwrap();
    let shown: Vec<_> = shown
        .iter()
        .map(|row| (&*row.node_id, row.revoked))
        .collect();
    assert_eq!(shown, [("a", true), ("b", false)]);
    drop(tx);
    let twice = world.revoke_identity(proxy(&a, "a")).await;
    assert!(
        matches!(&twice, Err(Error::AlreadyExists { constraint }) if constraint == "revocations_key"),
        "{twice:?}"
    );
    let mut tx = world.write().await;
    let found = proxies::find(&mut tx, world.mesh.id, "a").await.unwrap();
    let found = found.unwrap();
    proxies::forget(&mut tx, world.mesh.id, &found)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.join(&many, "a").await, Err(JoinRefused::Revoked));

    // Lifted: it joins and is issued to again; what was revoked stays so.
    world.lift(row.id).await.unwrap();
    assert!(matches!(world.lift(row.id).await, Err(Error::NotFound)));
    let back = world.join(&many, "a").await.unwrap();
    world.issue("a3", &back, authority).await.unwrap();
    assert_eq!(world.ousted(&[&back, &b]).await, []);
    assert!(world.is_revoked(&a, "a1").await);
    assert!(!world.is_revoked(&back, "a3").await);
}

#[tokio::test]
async fn sec_c17_c18_a_revoked_service_is_configuration_and_holds_for_all_of_its_proxies() {
    let world = World::new().await;
    let authority = world.authority().await;
    service(&world.db.store, &world.owner, world.mesh.id, "checkout").await;
    let many = world.token("many", true).await;
    let a = world.join(&many, "a").await.unwrap();
    world.issue("a1", &a, authority).await.unwrap();
    let (before, none) = world.snapshot().await;
    assert!(none.is_empty());
    let row = world.revoke_identity(Revoked::Service).await.unwrap();
    let payments = vec![String::from("payments")];
    assert_eq!(world.snapshot().await, (before + 1, payments));
    for node in ["a", "new"] {
        assert_eq!(world.join(&many, node).await, Err(JoinRefused::Revoked));
    }
    // What needs no name of a node is refused as well.
    let scope = proxies::token_scope(&world.db.store, many.expose_secret()).await;
    assert!(scope.unwrap().unwrap().revoked);
    assert!(world.ousted(&[&a]).await[0].revoked);
    assert!(barred(&world.issue("a2", &a, authority).await));
    assert!(world.is_revoked(&a, "a1").await);
    // The past is what it was.
    let mesh = a.mesh;
    let old = world.db.store.snapshot_at(&mesh, before).await.unwrap();
    assert!(old.unwrap().snapshot.revoked.is_empty());

    world.lift(row.id).await.unwrap();
    assert_eq!(world.snapshot().await, (before + 2, Vec::new()));
    let old = world.db.store.snapshot_at(&mesh, before + 1).await.unwrap();
    assert_eq!(old.unwrap().snapshot.revoked.len(), 1);
    assert_eq!(world.join(&many, "a").await.unwrap().proxy, a.proxy);
}

#[tokio::test]
async fn revocations_are_listed_newest_first_and_stay_when_they_are_lifted() {
    let world = World::new().await;
    let many = world.token("many", true).await;
    let mut made = Vec::new();
    for node in ["a", "b", "c"] {
        let joined = world.join(&many, node).await.unwrap();
        world.db.clock.advance(TimeDelta::seconds(1));
        let row = world.revoke_identity(proxy(&joined, node)).await.unwrap();
        made.insert(0, row.id);
    }
    world.lift(made[1]).await.unwrap();
    let mut tx = world
        .db
        .store
        .begin(&grant::<ProxyRead>(&world.owner))
        .await
        .unwrap();
    let mesh = world.mesh.id;
    let all = revocations::page(&mut tx, mesh, None, 10).await.unwrap();
    let ids: Vec<RevocationId> = all.iter().map(|row| row.id).collect();
    assert_eq!(ids, made);
    let lifted: Vec<bool> = all.iter().map(|row| row.lifted.is_some()).collect();
    assert_eq!(lifted, [false, true, false]);
    let rest = revocations::page(&mut tx, mesh, Some(made[0]), 1).await;
    assert_eq!(rest.unwrap(), all[1..2]);
    assert_eq!(all[1].lifted.as_ref().unwrap().1, all[1].created_by);

    // It is another organisation's as little as its mesh is.
    let other = world.db.owner("other").await;
    let mut tx = world
        .db
        .store
        .begin(&grant::<ProxyWrite>(&other))
        .await
        .unwrap();
    assert_eq!(
        revocations::find(&mut tx, mesh, made[0]).await.unwrap(),
        None
    );
    let lifted = revocations::lift(&mut tx, mesh, made[0]).await;
    assert!(matches!(lifted, Err(Error::NotFound)), "{lifted:?}");
    let made = revocations::create(&mut tx, mesh, &name("payments"), &Revoked::Service, "x").await;
    assert!(matches!(made, Err(Error::NotFound)), "{made:?}");
}

#[tokio::test]
async fn sec_t15_c18_nothing_is_issued_in_a_mesh_that_was_deleted() {
    let world = World::new().await;
    let authority = world.authority().await;
    let many: SecretString = world.token("many", true).await;
    let a = world.join(&many, "a").await.unwrap();
    world.issue("a1", &a, authority).await.unwrap();
    let grant = grant::<MeshWrite>(&world.owner);
    let mut tx = world.db.store.begin(&grant).await.unwrap();
    meshes::delete(&mut tx, &world.mesh, &Precondition::None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(barred(&world.issue("a2", &a, authority).await));
    assert_eq!(world.join(&many, "a").await, Err(JoinRefused::Unknown));
    let out = Ousted {
        proxy: a.proxy,
        revoked: false,
    };
    assert_eq!(world.ousted(&[&a]).await, [out]);
}
