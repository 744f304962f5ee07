//! A mesh with authorities, and proxies that are connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use heddle_model::authz::permission::{MeshRead, MeshWrite};
use heddle_model::clock::SharedClock;
use heddle_model::id::{AuthorityId, ProxyId, RotationId};
use heddle_store::authorities::{self, AuthorityRow};
use heddle_store::authority_requests::{
    AuthorityRequestRow, NewAuthorityRequest, OutsideAuthorities,
};
use heddle_store::certificates::{self, CertificateEntry};
use heddle_store::proxies::{self, Checkpoint};
use heddle_store::rotations::{
    self, AuthorityMaker, Counts, Mode, NewRotation, Refused, RotationRow, State, What,
};
use heddle_store::{Caller, Cause, MeshRef, Store, meshes};
use serde_json::json;
use uuid::Uuid;

use crate::authorities::{entry, hierarchy};
use crate::proxies::{checkpoint, endpoint, world};
use crate::support::{TestDb, cluster, connect, grant};

pub(super) const SERVER: Uuid = Uuid::from_u128(1);

/// Makes rows that no certificate belongs to.
pub(crate) struct Maker(AtomicU64);

impl Maker {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(100))
    }

    fn draw(&self) -> Vec<AuthorityRow> {
        hierarchy(u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}

#[async_trait::async_trait]
impl AuthorityMaker for Maker {
    async fn root(&self, _: &MeshRef, _: &str) -> Result<[AuthorityRow; 2], Cause> {
        self.draw().try_into().map_err(|_| "two rows".into())
    }

    async fn issuing(
        &self,
        _: &MeshRef,
        root: &AuthorityRow,
        _: &AuthorityRow,
    ) -> Result<AuthorityRow, Cause> {
        let mut issuing = self.draw().pop().ok_or("a row")?;
        issuing.parent = Some(root.id);
        Ok(issuing)
    }
}

#[async_trait::async_trait]
impl OutsideAuthorities for Maker {
    async fn request(&self, _: &MeshRef, _: &str) -> Result<NewAuthorityRequest, Cause> {
        let id = self.draw().pop().ok_or("a row")?.id;
        Ok(NewAuthorityRequest {
            id,
            request_pem: format!("request of {id}"),
            sealed_key: vec![9; 300],
        })
    }

    fn adopt(
        &self,
        _: &MeshRef,
        _: &str,
        request: &AuthorityRequestRow,
        chain_pem: &str,
        _: &[AuthorityRow],
    ) -> Result<Result<[AuthorityRow; 2], String>, Cause> {
        let Some(seed) = chain_pem.strip_prefix("good ") else {
            return Ok(Err(String::from("it is no chain")));
        };
        let [mut root, mut issuing]: [_; 2] = hierarchy(seed.parse()?)
            .try_into()
            .map_err(|_| "two rows")?;
        root.sealed_key = Vec::new();
        issuing.id = request.id;
        issuing.sealed_key.clone_from(&request.sealed_key);
        Ok(Ok([root, issuing]))
    }
}

/// A mesh with authorities, and proxies that are connected.
pub(super) struct Field {
    pub(super) db: TestDb,
    pub(super) owner: Caller,
    pub(super) mesh: MeshRef,
    pub(super) proxies: Vec<ProxyId>,
    pub(super) maker: Maker,
    pub(super) issued: AtomicU64,
}

pub(super) fn new(what: What, mode: Mode) -> NewRotation {
    NewRotation {
        what,
        mode,
        manual: false,
        replace_over: Duration::from_secs(60),
    }
}

impl Field {
    pub(super) async fn new(nodes: &[(&str, &str)]) -> Self {
        let (db, owner, mesh, proxies) = world(nodes).await;
        authorities::create(&db.store, &mesh, &hierarchy(1))
            .await
            .unwrap();
        let (maker, issued) = (Maker::new(), AtomicU64::new(1));
        Self {
            db,
            owner,
            mesh,
            proxies,
            maker,
            issued,
        }
    }

    /// Another process over the same database.
    pub(super) async fn restarted(&self) -> Store {
        let url = cluster().url("heddle_server", &self.db.name);
        connect(&url, 4, Arc::clone(&self.db.clock) as SharedClock).await
    }

    pub(super) async fn start(&self, new: NewRotation) -> Result<RotationRow, Refused> {
        let grant = grant::<MeshWrite>(&self.owner);
        let mut tx = self.db.store.begin(&grant).await.unwrap();
        let mesh = self.mesh.mesh().to_string();
        let row = meshes::require(&mut tx, &mesh).await.unwrap();
        let started = rotations::start(&mut tx, &row, &new, &self.maker)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        started
    }

    pub(super) async fn reverse(&self, id: RotationId) -> Result<RotationRow, Refused> {
        let grant = grant::<MeshWrite>(&self.owner);
        let mut tx = self.db.store.begin(&grant).await.unwrap();
        let done = rotations::reverse(&mut tx, self.mesh.mesh(), id, None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        done
    }

    pub(super) async fn advance(
        &self,
        id: RotationId,
        force: bool,
    ) -> Result<RotationRow, Refused> {
        let grant = grant::<MeshWrite>(&self.owner);
        let mut tx = self.db.store.begin(&grant).await.unwrap();
        let done = rotations::advance(&mut tx, self.mesh.mesh(), id, None, force)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        done
    }

    pub(super) async fn step(&self) -> Option<RotationRow> {
        rotations::step(&self.db.store, &self.mesh).await.unwrap()
    }

    /// Steps to a state, which nothing may be in the way of.
    pub(super) async fn until(&self, state: State) -> RotationRow {
        loop {
            let row = self.step().await.expect("the way is open");
            if row.state == state {
                return row;
            }
        }
    }

    pub(super) async fn counts(&self, rotation: &RotationRow) -> Counts {
        let mut tx = self
            .db
            .store
            .begin(&grant::<MeshRead>(&self.owner))
            .await
            .unwrap();
        rotations::progress(&mut tx, self.mesh.mesh(), rotation, 10)
            .await
            .unwrap()
            .0
    }

    /// What signs, how many roots are trusted, how many authorities give way.
    pub(super) async fn trust(&self) -> (Option<AuthorityId>, usize, bool) {
        let (rows, window) = rotations::trust(&self.db.store, &self.mesh).await.unwrap();
        let signs = authorities::issuing(&rows).map(|row| row.id);
        let trusted = authorities::trusted(&rows).count();
        (signs, trusted, window.is_some())
    }

    /// Issues a leaf, if its authority still signs.
    pub(super) async fn issue(&self, proxy: ProxyId, authority: AuthorityId) -> Option<String> {
        let serial = format!("{:032x}", self.issued.fetch_add(1, Ordering::SeqCst));
        let entry = CertificateEntry {
            issued_at: self.db.store_now(),
            not_after: self.db.store_now() + TimeDelta::days(1),
            ..entry(&serial, proxy, authority)
        };
        let done = certificates::record(&self.db.store, &self.mesh, &entry).await;
        done.unwrap().then_some(serial)
    }

    /// The server says what a proxy has.
    pub(super) async fn says(
        &self,
        proxy: ProxyId,
        connected: bool,
        revision: u64,
        leaf: Option<String>,
    ) {
        let status = Checkpoint {
            connected,
            acked_revision: Some(revision),
            target_revision: Some(revision),
            leaf_serial: leaf,
            pending_types: Vec::new(),
            nacks: json!([]),
            ..checkpoint(proxy, Some(endpoint(proxy, "10.0.0.7")))
        };
        proxies::checkpoint(
            &self.db.store,
            &self.mesh,
            SERVER,
            Some(revision),
            &[status],
        )
        .await
        .unwrap();
    }
}

impl TestDb {
    pub(super) fn store_now(&self) -> chrono::DateTime<chrono::Utc> {
        use heddle_model::clock::Clock as _;
        self.clock.now()
    }
}
