//! Join tokens: who is bound, who comes back, who is refused.

use chrono::TimeDelta;
use heddle_model::authz::permission::{JoinTokenRead, JoinTokenWrite};
use heddle_store::join_tokens::{self, NewJoinToken};
use heddle_store::meshes::MeshRow;
use heddle_store::proxies::{self, JoinRefused, Joined};
use heddle_store::{Caller, Error, live};
use secrecy::{ExposeSecret as _, SecretString};

use crate::build::{arriving, join_token, mesh, name, ousted, service};
use crate::support::{TestDb, grant, start};

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) owner: Caller,
    pub(crate) mesh: MeshRow,
}

impl World {
    pub(crate) async fn new() -> Self {
        let db = TestDb::new().await;
        let owner = db.owner("acme").await;
        let mesh = mesh(&db.store, &owner, "prod").await;
        service(&db.store, &owner, mesh.id, "payments").await;
        Self { db, owner, mesh }
    }

    pub(crate) async fn token(&self, token: &str, reusable: bool) -> SecretString {
        join_token(
            &self.db.store,
            &self.owner,
            self.mesh.id,
            token,
            "payments",
            reusable,
        )
        .await
    }

    pub(crate) async fn join(
        &self,
        secret: &SecretString,
        node: &str,
    ) -> Result<Joined, JoinRefused> {
        let joined = proxies::join(&self.db.store, secret.expose_secret(), arriving(node))
            .await
            .unwrap();
        // How far the mesh was then is no part of who it is.
        joined.map(|joined| Joined {
            heads: live::Heads::default(),
            ..joined
        })
    }

    pub(crate) async fn revoke(&self, token: &str) {
        let mut tx = self
            .db
            .store
            .begin(&grant::<JoinTokenWrite>(&self.owner))
            .await
            .unwrap();
        let row = join_tokens::revoke(&mut tx, self.mesh.id, token)
            .await
            .unwrap();
        assert!(row.revoked_at.is_some());
        tx.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_p01_of_fifty_concurrent_first_joins_one_is_bound() {
    let world = World::new().await;
    let secret = world.token("once", false).await;
    let mut tasks = tokio::task::JoinSet::new();
    for node in 0..50 {
        let (store, secret) = (world.db.store.clone(), secret.clone());
        tasks.spawn(async move {
            let node = format!("node-{node}");
            let joined = proxies::join(&store, secret.expose_secret(), arriving(&node))
                .await
                .unwrap();
            (node, joined)
        });
    }
    let (bound, refused): (Vec<_>, Vec<_>) = tasks
        .join_all()
        .await
        .into_iter()
        .partition(|(_, joined)| joined.is_ok());
    assert_eq!(bound.len(), 1);
    assert!(
        refused
            .iter()
            .all(|(_, joined)| *joined == Err(JoinRefused::Used)),
        "{refused:?}"
    );
    let rows: Vec<String> = sqlx::query_scalar("select node_id from heddle.proxies")
        .fetch_all(&world.db.superuser().await)
        .await
        .unwrap();
    assert_eq!(rows, [bound[0].0.clone()]);
    // The one that was bound comes back as itself, the others still do not.
    let back = world.join(&secret, &bound[0].0).await.unwrap();
    assert_eq!(back.proxy, bound[0].1.as_ref().unwrap().proxy);
    assert_eq!(
        world.join(&secret, &refused[0].0).await,
        Err(JoinRefused::Used)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_joins_of_one_node_are_one_proxy() {
    let world = World::new().await;
    let secret = world.token("many", true).await;
    let other = world.token("other", true).await;
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = world.db.store.clone();
        let secret = if i % 2 == 0 {
            secret.clone()
        } else {
            other.clone()
        };
        tasks.spawn(async move {
            proxies::join(&store, secret.expose_secret(), arriving("node"))
                .await
                .unwrap()
                .unwrap()
                .proxy
        });
    }
    let mut proxies = tasks.join_all().await;
    proxies.dedup();
    assert_eq!(proxies.len(), 1, "{proxies:?}");
}

#[tokio::test]
async fn a_joined_proxy_knows_where_it_belongs() {
    let world = World::new().await;
    let secret = world.token("many", true).await;
    let first = world.join(&secret, "node-1").await.unwrap();
    assert_eq!(first.mesh.mesh(), world.mesh.id);
    assert_eq!(first.mesh.org(), world.owner.org());
    assert_eq!(first.mesh_name.as_str(), "prod");
    assert_eq!(first.trust_domain, world.mesh.trust_domain);
    assert_eq!(first.org_name.as_str(), "acme");
    assert_eq!(first.service.as_str(), "payments");
    let second = world.join(&secret, "node-2").await.unwrap();
    assert_ne!(first.proxy, second.proxy);
    assert_eq!(world.join(&secret, "node-1").await.unwrap(), first);

    let mut tx = world
        .db
        .store
        .begin(&grant::<JoinTokenRead>(&world.owner))
        .await
        .unwrap();
    let row = join_tokens::find(&mut tx, world.mesh.id, "many")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.bound, row.last_used_at), (2, Some(start())));
    assert_eq!((row.id, row.reusable), (first.join_token, true));
    let page = join_tokens::page(&mut tx, world.mesh.id, None, 10)
        .await
        .unwrap();
    assert_eq!(page, [row]);
    assert_eq!(
        join_tokens::page(&mut tx, world.mesh.id, Some("many"), 10)
            .await
            .unwrap(),
        []
    );
    // That a proxy came makes no revision.
    let revision: i64 = sqlx::query_scalar("select revision from heddle.meshes")
        .fetch_one(&world.db.superuser().await)
        .await
        .unwrap();
    assert_eq!(revision, 2);
}

#[tokio::test]
async fn sec_p02_tokens_that_are_none() {
    let world = World::new().await;
    let secret = world.token("many", true).await;
    let text = secret.expose_secret();
    let api = world.db.org("other").await;
    for wrong in [
        "",
        "heddle_join_",
        &text[..text.len() - 1],
        api.expose_secret(),
        &text.to_uppercase(),
    ] {
        let refused = world.join(&SecretString::from(wrong), "node").await;
        assert_eq!(refused, Err(JoinRefused::Unknown), "{wrong}");
        assert_eq!(
            proxies::token_scope(&world.db.store, wrong).await.unwrap(),
            None
        );
    }
    // Nor is a join token an API token.
    assert!(world.db.caller(&secret).await.is_none());
}

#[tokio::test]
async fn once_and_expires_limit_the_first_join_only() {
    let world = World::new().await;
    let scope = async |secret: &SecretString| {
        proxies::token_scope(&world.db.store, secret.expose_secret())
            .await
            .unwrap()
    };
    let (once, many, unused) = (
        world.token("once", false).await,
        world.token("many", true).await,
        world.token("unused", false).await,
    );
    let bound = world.join(&once, "a").await.unwrap();
    let also = world.join(&many, "b").await.unwrap();
    assert!(scope(&unused).await.is_some());

    world.db.clock.advance(TimeDelta::hours(1));
    assert_eq!(world.join(&once, "a").await.unwrap(), bound);
    assert_eq!(world.join(&many, "b").await.unwrap(), also);
    assert_eq!(world.join(&once, "c").await, Err(JoinRefused::Used));
    assert_eq!(world.join(&many, "c").await, Err(JoinRefused::Expired));
    assert_eq!(world.join(&unused, "c").await, Err(JoinRefused::Expired));
    assert_eq!(scope(&unused).await, None);
    assert!(
        scope(&once).await.is_some(),
        "a bound proxy may have its bootstrap rendered again"
    );
    // It came back an hour later: that is worth a write.
    let mut tx = world
        .db
        .store
        .begin(&grant::<JoinTokenRead>(&world.owner))
        .await
        .unwrap();
    let row = join_tokens::find(&mut tx, world.mesh.id, "once")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.last_used_at, Some(start() + TimeDelta::hours(1)));
}

#[tokio::test]
async fn a_revoked_token_ends_its_proxies() {
    let world = World::new().await;
    let secret = world.token("many", true).await;
    let joined = world.join(&secret, "a").await.unwrap();
    let ask = async || ousted(&world.db.store, &joined.mesh, &[joined.proxy]).await;
    assert_eq!(ask().await, []);
    world.revoke("many").await;
    assert_eq!(world.join(&secret, "a").await, Err(JoinRefused::Unknown));
    assert_eq!(world.join(&secret, "b").await, Err(JoinRefused::Unknown));
    assert_eq!(
        proxies::token_scope(&world.db.store, secret.expose_secret())
            .await
            .unwrap(),
        None
    );
    assert_eq!(ask().await, [joined.proxy]);

    let mut tx = world
        .db
        .store
        .begin(&grant::<JoinTokenWrite>(&world.owner))
        .await
        .unwrap();
    let again = join_tokens::revoke(&mut tx, world.mesh.id, "many").await;
    assert!(matches!(again, Err(Error::NotFound)), "{again:?}");
    assert_eq!(
        join_tokens::page(&mut tx, world.mesh.id, None, 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        join_tokens::find(&mut tx, world.mesh.id, "many")
            .await
            .unwrap(),
        None
    );
    let id = joined.join_token.to_string();
    let row = join_tokens::find(&mut tx, world.mesh.id, &id)
        .await
        .unwrap()
        .unwrap();
    assert!(row.revoked_at.is_some());
    // Its name is free again.
    drop(tx);
    world.token("many", true).await;
}

#[tokio::test]
async fn join_token_names_are_unique_and_need_a_mesh() {
    let world = World::new().await;
    world.token("many", true).await;
    let new = NewJoinToken {
        name: name("many"),
        service: name("payments"),
        reusable: false,
        expires_at: None,
        bounds: join_tokens::Bounds::default(),
    };
    let mut tx = world
        .db
        .store
        .begin(&grant::<JoinTokenWrite>(&world.owner))
        .await
        .unwrap();
    let twice = join_tokens::create(&mut tx, world.mesh.id, &new).await;
    assert!(
        matches!(&twice, Err(Error::AlreadyExists { constraint }) if constraint == "join_tokens_name_key"),
        "{twice:?}"
    );
    let mut tx = world
        .db
        .store
        .begin(&grant::<JoinTokenWrite>(&world.owner))
        .await
        .unwrap();
    let nowhere = heddle_model::id::MeshId::from_uuid(uuid::Uuid::from_u128(1));
    let nowhere = join_tokens::create(&mut tx, nowhere, &new).await;
    assert!(matches!(nowhere, Err(Error::NotFound)), "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_that_share_a_transaction_are_each_their_own() {
    let world = World::new().await;
    let tokens = [
        world.token("one", true).await,
        world.token("two", true).await,
        world.token("once", false).await,
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..300 {
        let (store, secret) = (world.db.store.clone(), tokens[n % 3].clone());
        tasks.spawn(async move {
            let node = format!("node-{n}");
            let arrival = proxies::Arrival {
                claimed: (n % 10 == 0).then_some("orders"),
                ..arriving(&node)
            };
            let joined = proxies::join(&store, secret.expose_secret(), arrival).await;
            (n, node.clone(), joined.unwrap())
        });
    }
    let mut bound = Vec::new();
    let mut once = 0;
    for (n, node, joined) in tasks.join_all().await {
        match (n % 10 == 0, n % 3 == 2, joined) {
            (true, _, Err(JoinRefused::OtherService)) | (false, true, Err(JoinRefused::Used)) => {}
            (false, is_once, Ok(joined)) => {
                once += usize::from(is_once);
                bound.push((node, joined.proxy.uuid(), joined.join_token.to_string()));
            }
            (.., joined) => panic!("{node}: {joined:?}"),
        }
    }
    assert_eq!(once, 1);
    // Each row of the log names the token that did it.
    let rows: Vec<(String, uuid::Uuid, String)> = sqlx::query_as(
        "select name, resource_id, actor from heddle.changes where kind = 'proxy' and action = 'join' \
         order by name collate \"C\"",
    )
    .fetch_all(&world.db.superuser().await)
    .await
    .unwrap();
    bound.sort();
    assert_eq!(rows, bound);
    let transactions: i64 =
        sqlx::query_scalar("select count(distinct xmin::text) from heddle.proxies")
            .fetch_one(&world.db.superuser().await)
            .await
            .unwrap();
    assert!(transactions < 100, "{transactions} transactions");
}
