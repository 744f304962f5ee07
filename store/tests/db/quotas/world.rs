//! An organisation with limits, and one of each that they are about.

use std::future::Future;
use std::sync::Arc;

use chrono::TimeDelta;
use heddle_model::authz::permission::{
    AccountManage, JoinTokenWrite, MemberWrite, MeshWrite, ServiceAccountRead, ServiceAccountWrite,
    UsageRead, WebhookWrite,
};
use heddle_model::clock::SharedClock;
use heddle_model::kind::Kind;
use heddle_model::quota::{Quota, Quotas};
use heddle_store::join_tokens::{self, NewJoinToken};
use heddle_store::members::{self, NewMember};
use heddle_store::meshes::{self, MeshRow};
use heddle_store::quotas::{self, QuotaRow, Reached};
use heddle_store::resources::Precondition;
use heddle_store::sso_connections::{self, NewConnection};
use heddle_store::tokens::{self, NewToken};
use heddle_store::webhooks::{self, Topic, Wanted};
use heddle_store::{Caller, Error, Store, service_accounts};

use crate::build::{address, mesh, name, object, put_if, service_spec};
use crate::invitations::email;
use crate::sessions::Glass;
use crate::support::{TestDb, cluster, connect_with, grant, start};

/// Two servers that give organisations this much, and an organisation with a mesh.
pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) here: Store,
    pub(crate) there: Store,
    pub(crate) owner: Caller,
    pub(crate) mesh: MeshRow,
}

impl World {
    pub(crate) async fn new(quotas: &str) -> Self {
        let quotas: Quotas = quotas.parse().unwrap();
        let db = TestDb::new().await;
        let url = cluster().url("heddle_server", &db.name);
        let clock = Arc::clone(&db.clock) as SharedClock;
        let here = connect_with(&url, 12, Arc::clone(&clock), quotas.clone()).await;
        let there = connect_with(&url, 12, clock, quotas).await;
        let owner = db.owner("acme").await;
        let mesh = mesh(&here, &owner, "prod").await;
        Self {
            db,
            here,
            there,
            owner,
            mesh,
        }
    }

    pub(crate) async fn row(&self, quota: Quota) -> QuotaRow {
        row(&self.here, &self.owner, quota).await
    }

    pub(crate) async fn used(&self, quota: Quota) -> u64 {
        self.row(quota).await.used
    }

    /// Fifty at once, at two servers: how many came through. The others were told what there is.
    pub(crate) async fn fifty<F>(
        &self,
        quota: Quota,
        make: impl Fn(Store, Caller, usize) -> F,
    ) -> usize
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let limit = self.row(quota).await.limit.number().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..50 {
            let store = if n % 2 == 0 { &self.here } else { &self.there };
            tasks.spawn(make(store.clone(), self.owner.clone(), n));
        }
        let mut made = 0;
        for outcome in tasks.join_all().await {
            match outcome {
                Ok(()) => made += 1,
                Err(Error::LimitReached(reached)) => {
                    let met = Reached {
                        quota,
                        limit,
                        used: limit,
                        wanted: 1,
                    };
                    assert_eq!(reached, [met]);
                }
                Err(other) => panic!("{quota}: {other:?}"),
            }
        }
        assert_eq!(self.used(quota).await, limit, "{quota}");
        made
    }
}

pub(crate) async fn row(store: &Store, caller: &Caller, quota: Quota) -> QuotaRow {
    let mut tx = store.begin(&grant::<UsageRead>(caller)).await.unwrap();
    let rows = quotas::all(&mut tx).await.unwrap();
    rows.into_iter().find(|row| row.quota == quota).unwrap()
}

pub(crate) async fn put_service(
    store: &Store,
    caller: &Caller,
    mesh: &MeshRow,
    n: &str,
) -> Result<(), Error> {
    let service = name(n);
    let at = address(mesh.id, Kind::Service, None, &service);
    put_if(store, caller, &at, &service_spec(80), &Precondition::None)
        .await
        .map(drop)
}

pub(crate) async fn new_mesh(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let mut tx = store.begin(&grant::<MeshWrite>(caller)).await?;
    let sent = object(serde_json::json!({"deletion_protection": false}));
    meshes::insert(&mut tx, &name(n), &format!("{n}.example"), &sent).await?;
    tx.commit().await.map(drop)
}

pub(crate) async fn new_account(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let mut tx = store.begin(&grant::<ServiceAccountWrite>(caller)).await?;
    service_accounts::create(&mut tx, &name(n), None).await?;
    tx.commit().await.map(drop)
}

pub(crate) async fn new_member(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let new = NewMember {
        email: email(&format!("{n}@example.com")),
        display_name: None,
        password_hash: None,
        role: None,
    };
    let mut tx = store.begin(&grant::<MemberWrite>(caller)).await?;
    members::create(&mut tx, &new).await?;
    tx.commit().await.map(drop)
}

pub(crate) async fn new_connection(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let new = NewConnection {
        id: sso_connections::draw_id(store),
        name: &name(n),
        display_name: None,
        issuer: "https://id.example.com",
        client_id: n,
        secret: None,
    };
    let mut tx = store.begin(&grant::<MemberWrite>(caller)).await?;
    sso_connections::create(&mut tx, new).await?;
    tx.commit().await.map(drop)
}

pub(crate) async fn new_webhook(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let may = grant::<WebhookWrite>(caller);
    let secret = webhooks::draw(store, &Glass::default(), may.org()).await?;
    let wanted = Wanted {
        url: "https://hooks.example.com".to_owned(),
        topics: vec![Topic::Revision],
        enabled: true,
    };
    let mut tx = store.begin(&may).await?;
    webhooks::create(&mut tx, &name(n), &wanted, &secret).await?;
    tx.commit().await.map(drop)
}

pub(crate) async fn new_join_token(
    store: &Store,
    caller: &Caller,
    mesh: &MeshRow,
    n: &str,
) -> Result<(), Error> {
    let new = NewJoinToken {
        name: name(n),
        service: name("payments"),
        reusable: true,
        bounds: join_tokens::Bounds::default(),
        expires_at: Some(start() + TimeDelta::hours(1)),
    };
    let mut tx = store.begin(&grant::<JoinTokenWrite>(caller)).await?;
    join_tokens::create(&mut tx, mesh.id, &new).await?;
    tx.commit().await.map(drop)
}

pub(crate) async fn new_token(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let mut tx = store.begin(&grant::<ServiceAccountRead>(caller)).await?;
    let account = service_accounts::find(&mut tx, "robot").await?.unwrap();
    drop(tx);
    let new = NewToken {
        name: name(n),
        scopes: None,
        meshes: None,
        expires_at: Some(start() + TimeDelta::hours(1)),
    };
    let mut tx = store.begin(&grant::<AccountManage>(caller)).await?;
    tokens::create(&mut tx, Some(&account), &new).await?;
    tx.commit().await.map(drop)
}
