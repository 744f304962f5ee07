//! Doubles for the tests of this crate: memory for a journal and a store, a clock to turn, seeded bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lc_rs::digest;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Aad, AuthorityRow, AuthorityStore, Clock, Entry, Error, Failure, Hierarchy, Journal,
    Journalled, KekId, KeyEncryptionKey as _, LocalKey, MeshIdentity, MeshKey, Random, SealError,
    SealingKey, Subject, TrustDomain, seal,
};

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Where a sealed key belongs.
pub(crate) fn place() -> Aad {
    Aad {
        org: id(1),
        mesh: id(2),
        key: id(3),
        purpose: "issuing",
    }
}

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_900_000_000, 123_000_000).expect("in range")
}

pub(crate) fn mesh(n: u128) -> MeshIdentity {
    let trust_domain = TrustDomain::parse(&format!("shop-{n:08x}.heddle.internal")).expect("td");
    MeshIdentity {
        org: id(1000 + n),
        mesh: id(2000 + n),
        trust_domain,
    }
}

pub(crate) fn subject(n: u128, service: &str, proxy: u128) -> Subject {
    let MeshIdentity {
        org,
        mesh,
        trust_domain,
    } = mesh(n);
    Subject {
        org,
        mesh,
        trust_domain,
        service: service.to_owned(),
        proxy: id(proxy),
    }
}

/// Bytes from a counter: the same for the same seed.
pub(crate) struct SeededRandom {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededRandom {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: AtomicU64::new(0),
        }
    }
}

impl Random for SeededRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), Error> {
        for chunk in out.chunks_mut(32) {
            let n = self.drawn.fetch_add(1, Ordering::Relaxed);
            let block = digest::digest(&digest::SHA256, format!("{}/{n}", self.seed).as_bytes());
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A key-encryption key of 32 equal bytes.
pub(crate) struct MemoryKey(LocalKey);

impl MemoryKey {
    pub(crate) fn new(byte: u8) -> Self {
        Self(LocalKey(Zeroizing::new([byte; 32])))
    }

    pub(crate) fn id(&self) -> KekId {
        self.0.id()
    }
}

impl SealingKey for MemoryKey {
    fn seal(&self, aad: &Aad, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        seal::seal(&self.0, aad, plain)
    }

    fn open(&self, aad: &Aad, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        seal::open(&self.0, aad, sealed)
    }
}

/// A clock that stands until it is turned.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<Mutex<DateTime<Utc>>>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(start())))
    }

    pub(crate) fn turn(&self, by: TimeDelta) {
        *self.0.lock().expect("lock") += by;
    }

    pub(crate) fn set(&self, at: DateTime<Utc>) {
        *self.0.lock().expect("lock") = at;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("lock")
    }
}

/// Mesh and serial, to the entry and when it was revoked.
type Rows = BTreeMap<(MeshKey, String), (Entry, Option<DateTime<Utc>>)>;

/// A journal in memory that can be told to fail, and that refuses a serial twice.
#[derive(Default)]
pub(crate) struct MemoryJournal {
    rows: Mutex<Rows>,
    pub(crate) broken: AtomicBool,
    pub(crate) lookups: AtomicUsize,
    /// Authorities that sign no more.
    pub(crate) retired: Mutex<BTreeSet<Uuid>>,
}

impl MemoryJournal {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.rows
            .lock()
            .expect("lock")
            .values()
            .map(|(entry, _)| entry.clone())
            .collect()
    }

    pub(crate) fn revoke(&self, serial: &str, at: DateTime<Utc>) {
        let mut rows = self.rows.lock().expect("lock");
        let (_, row) = rows
            .iter_mut()
            .find(|((_, s), _)| s == serial)
            .expect("known serial");
        row.1 = Some(at);
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn record(&self, entry: &Entry) -> Result<bool, Failure> {
        if self.broken.load(Ordering::SeqCst) {
            return Err("the disk is full".into());
        }
        if self
            .retired
            .lock()
            .expect("lock")
            .contains(&entry.authority)
        {
            return Ok(false);
        }
        let key = (
            MeshKey {
                org: entry.org,
                mesh: entry.mesh,
            },
            entry.serial.clone(),
        );
        match self
            .rows
            .lock()
            .expect("lock")
            .insert(key, (entry.clone(), None))
        {
            None => Ok(true),
            Some(_) => Err("the serial exists".into()),
        }
    }

    async fn lookup(&self, mesh: MeshKey, serial: &str) -> Result<Option<Journalled>, Failure> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Err("the disk is gone".into());
        }
        let rows = self.rows.lock().expect("lock");
        Ok(rows
            .get(&(mesh, serial.to_owned()))
            .map(|(entry, revoked_at)| Journalled {
                proxy: entry.proxy,
                authority: entry.authority,
                not_before: entry.not_before,
                not_after: entry.not_after,
                issued_at: entry.issued_at,
                revoked_at: *revoked_at,
            }))
    }
}

/// Authorities in memory; the first creator wins. `rival` is what another process stores first.
#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) rows: Mutex<BTreeMap<MeshKey, Hierarchy>>,
    pub(crate) rival: Mutex<Option<Hierarchy>>,
    pub(crate) loads: AtomicUsize,
    /// Whether it refuses to replace anything.
    pub(crate) read_only: AtomicBool,
    pub(crate) renewals: AtomicUsize,
}

#[async_trait]
impl AuthorityStore for MemoryStore {
    async fn load(&self, mesh: MeshKey) -> Result<Option<Hierarchy>, Failure> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok(self.rows.lock().expect("lock").get(&mesh).cloned())
    }

    async fn create(&self, hierarchy: Hierarchy) -> Result<Hierarchy, Failure> {
        let mut rows = self.rows.lock().expect("lock");
        if let Some(rival) = self.rival.lock().expect("lock").take() {
            rows.insert(rival.root.mesh_key(), rival);
        }
        Ok(rows
            .entry(hierarchy.root.mesh_key())
            .or_insert(hierarchy)
            .clone())
    }

    async fn renew(
        &self,
        replaced: &Hierarchy,
        issuing: AuthorityRow,
    ) -> Result<Hierarchy, Failure> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err("the disk is read-only".into());
        }
        let mut rows = self.rows.lock().expect("lock");
        let held = rows.get_mut(&issuing.mesh_key()).ok_or("no authorities")?;
        if held.issuing.id == replaced.issuing.id {
            held.issuing = issuing;
            self.renewals.fetch_add(1, Ordering::SeqCst);
        }
        Ok(held.clone())
    }
}
