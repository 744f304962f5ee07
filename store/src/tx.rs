//! Transactions of one organisation: how they begin, what makes a revision, and the only commit.

mod chain;
mod record;
mod still;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use heddle_model::authz::{Action, Permission, access};
use heddle_model::id::{MeshId, OrgId, SessionId};
use sqlx::{Executor as _, PgConnection};
use uuid::Uuid;

use crate::authz::{Grant, MeshRef, Opened, Principal};
use crate::error::{Error, Result, is_broken};
use crate::lease::Lease;
use crate::meshes::MeshRow;
use crate::origin::Origin;
use crate::rights::{Bound, Reach, Rights, Standing};
use crate::store::Store;
pub(crate) use chain::record_text;
use record::Recorded;
pub(crate) use record::{Change, RevisionCause};
pub(crate) use still::Still;

/// An open transaction for `P`. Dropping it rolls back.
pub struct Tx<P: Permission> {
    pub(crate) work: Work,
    permission: PhantomData<fn() -> P>,
}

impl<P: Permission> std::fmt::Debug for Tx<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx")
            .field("action", &P::ACTION)
            .field("org", &self.work.org)
            .finish_non_exhaustive()
    }
}

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The revision that the transaction made of its mesh; `None` when nothing changed.
    pub revision: Option<u64>,
}

impl Store {
    /// Begins a transaction as the organisation of the grant. With a permission that only reads, Postgres refuses
    /// writes as well.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin<P: Permission>(&self, grant: &Grant<P>) -> Result<Tx<P>> {
        // The trait does not say it as a value, the type does.
        let reads = std::any::TypeId::of::<P::Access>() == std::any::TypeId::of::<access::Read>();
        let mode = if reads { Mode::Read } else { Mode::Write };
        let work = self.work(grant.org(), grant.actor(), mode).await?;
        Ok(work.granted(grant))
    }

    /// The transaction in which the caller was found out, for what the caller may read.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the grant of another organisation.
    pub fn go_on<P: Permission<Access = access::Read>>(
        &self,
        opened: Opened,
        grant: &Grant<P>,
    ) -> Result<Tx<P>> {
        let (lease, org) = opened.into_parts();
        if org != grant.org() {
            return Err(Error::NotFound);
        }
        let work = Work::new(self, lease, org, grant.actor(), Mode::Read);
        Ok(work.granted(grant))
    }

    /// The transaction in which the caller was found out, for what the caller may write.
    pub(crate) fn entered<P: Permission<Access = access::Write>>(
        &self,
        lease: Lease,
        grant: &Grant<P>,
    ) -> Tx<P> {
        Work::new(self, lease, grant.org(), grant.actor(), Mode::Write).granted(grant)
    }

    /// Begins a transaction of one organisation. The way in for functions of this crate that were led to the
    /// organisation by a door.
    pub(crate) async fn work(&self, org: OrgId, actor: &str, mode: Mode) -> Result<Work> {
        self.work_as("heddle_tenant", org, actor, mode).await
    }

    /// The same for the certificate authority, which may do no more than read authorities and write the journal: also where its
    /// process may do nothing else.
    pub(crate) async fn issuer(&self, org: OrgId, actor: &str, mode: Mode) -> Result<Work> {
        self.work_as("heddle_issuer", org, actor, mode).await
    }

    async fn work_as(
        &self,
        role: &'static str,
        org: OrgId,
        actor: &str,
        mode: Mode,
    ) -> Result<Work> {
        let mut left = self.tries();
        let lease = loop {
            let lease = Lease::take(self.pool()).await?;
            match begin(lease, role, org, mode).await {
                // It died since it was last used, and nothing has been done.
                Err(error) if left > 0 && is_broken(&error) => left -= 1,
                begun => break begun?,
            }
        };
        Ok(Work::new(self, lease, org, actor, mode))
    }
}

/// One message to the database. An identifier of ours needs no quoting.
async fn begin(
    mut lease: Lease,
    role: &'static str,
    org: OrgId,
    mode: Mode,
) -> Result<Lease, sqlx::Error> {
    let characteristics = match mode {
        Mode::Read => "read only",
        Mode::Snapshot => "isolation level repeatable read, read only",
        Mode::Write | Mode::Soft => "read write",
    };
    let patience = if mode == Mode::Soft {
        "; set local synchronous_commit = off"
    } else {
        ""
    };
    let org = org.uuid();
    let sql = format!(
        "begin {characteristics}; set local role {role}; set local heddle.org_id = '{org}'{patience}"
    );
    lease.execute(sql.as_str()).await?;
    Ok(lease)
}

impl<P: Permission> Tx<P> {
    /// Whose transaction it is.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.work.org
    }

    /// What Postgres says about the transaction: role, organisation, and whether it refuses writes. For tests.
    #[doc(hidden)]
    pub async fn seen_by_postgres(&mut self) -> Result<(String, String, bool)> {
        let seen = sqlx::query_as(
            "select current_user::text, current_setting('heddle.org_id'), \
                    current_setting('transaction_read_only') = 'on'",
        )
        .fetch_one(self.work.conn())
        .await?;
        Ok(seen)
    }

    /// The mesh of a row, for the functions that take a [`MeshRef`].
    #[must_use]
    pub fn mesh_ref(&self, mesh: &MeshRow) -> MeshRef {
        MeshRef::new(self.work.org, mesh.id)
    }
}

impl<P: Permission<Access = access::Write>> Tx<P> {
    /// Makes everything that the transaction did durable and visible at once.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: whether it was committed is then unknown.
    pub async fn commit(self) -> Result<Committed> {
        self.work.commit().await
    }

    /// Lets the transaction do in a mesh what a second grant of the same organisation allows there, for work on several
    /// kinds at once. The transaction must not touch another mesh.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the grant of another organisation, [`Error::Forbidden`].
    pub fn also<Q: Permission<Access = access::Write>>(
        &mut self,
        grant: &Grant<Q>,
        mesh: MeshId,
    ) -> Result<()> {
        if grant.org() != self.work.org {
            return Err(Error::NotFound);
        }
        grant.standing().enter(mesh)?;
        self.work.also.push(Q::ACTION);
        Ok(())
    }

    /// Undoes everything that the transaction did: for a write that was only tried.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; nothing is kept then either.
    pub async fn roll_back(self) -> Result<()> {
        let mut lease = self.work.lease;
        lease.execute("rollback").await?;
        lease.finish();
        Ok(())
    }
}

impl<P: Permission<Access = access::Read>> Tx<P> {
    /// Ends a transaction that has read everything that it should. The caller does not wait for it. One that is just dropped ends
    /// as well, but is not trusted to be where it seems to be.
    pub fn done(self) {
        self.work.lease.finish_reading();
    }
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Reads.
    Read,
    /// Reads, everything as of one instant.
    Snapshot,
    /// Reads and writes.
    Write,
    /// Writes what may be lost in a crash of the database, and does not wait for the disk.
    Soft,
}

impl Mode {
    const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Soft)
    }
}

/// A transaction of one organisation, without its type.
pub(crate) struct Work {
    lease: Lease,
    org: OrgId,
    actor: String,
    client: Option<String>,
    origin: Origin,
    principal: Option<Principal>,
    session: Option<SessionId>,
    /// `None`: led here by the database itself, not by a caller.
    standing: Option<Arc<Standing>>,
    store: Store,
    writes: bool,
    also: Vec<Action>,
    locked: BTreeMap<MeshId, Locked>,
    /// What was done, written with the commit.
    recorded: Vec<Recorded>,
    last: Option<u64>,
}

/// A mesh whose row this transaction holds.
#[derive(Debug, Clone, Copy)]
struct Locked {
    revision: u64,
    changed: bool,
    cause: RevisionCause,
}

impl Work {
    fn new(store: &Store, lease: Lease, org: OrgId, actor: &str, mode: Mode) -> Self {
        Self {
            lease,
            org,
            actor: actor.to_owned(),
            client: None,
            origin: Origin::default(),
            principal: None,
            session: None,
            standing: None,
            store: store.clone(),
            writes: mode.writes(),
            also: Vec::new(),
            locked: BTreeMap::new(),
            recorded: Vec::new(),
            last: None,
        }
    }

    /// The transaction of a caller.
    fn granted<P: Permission>(mut self, grant: &Grant<P>) -> Tx<P> {
        self.client = grant.client().map(ToOwned::to_owned);
        self.origin = grant.origin().clone();
        self.principal = grant.principal();
        self.session = grant.session();
        self.standing = Some(grant.standing());
        Tx {
            work: self,
            permission: PhantomData,
        }
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.lease
    }

    pub(crate) fn org(&self) -> OrgId {
        self.org
    }

    /// What the transaction may do beside its own permission.
    pub(crate) fn also(&self) -> &[Action] {
        &self.also
    }

    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    /// Now, as exactly as Postgres keeps it.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.store.clock().now().trunc_subsecs(6)
    }

    pub(crate) fn next_id(&self) -> Uuid {
        self.store.ids().next()
    }

    /// Who acts, when it is a member or a service account.
    pub(crate) fn principal(&self) -> Option<Principal> {
        self.principal
    }

    /// The session of the request.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the transaction has locked, changed or recorded anything yet.
    pub(crate) fn has_begun(&self) -> bool {
        !self.locked.is_empty() || !self.recorded.is_empty()
    }

    pub(crate) fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// Says why, in the history, unless whoever asked says so themselves.
    pub(crate) fn explain(&mut self, why: &str) {
        let message = &mut self.origin.note.message;
        message.get_or_insert_with(|| why.to_owned());
    }

    /// Notes where the request comes from.
    pub(crate) fn set_ip(&mut self, ip: Option<IpAddr>) {
        self.origin.ip = ip;
    }

    /// Notes what the client calls itself; see [`Grant::with_client`].
    pub(crate) fn set_client(&mut self, client: Option<&str>) {
        self.client = client.map(crate::authz::plain_client);
    }

    /// Whether the transaction may touch a mesh. Every function that is told one asks this first: for a caller, a mesh that it
    /// may not know of does not exist, and one that its permission does not reach is refused.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub(crate) fn enter(&self, mesh: MeshId) -> Result<()> {
        self.standing.as_ref().map_or(Ok(()), |s| s.enter(mesh))
    }

    /// The meshes that the transaction's permission reaches, as a parameter of a query; null for all. For whoever lists
    /// across meshes.
    pub(crate) fn covered(&self) -> Option<Vec<Uuid>> {
        self.standing.as_ref().and_then(|s| s.meshes().filter())
    }

    /// Whether the transaction's permission reaches the whole organisation.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) fn require_org(&self) -> Result<()> {
        match &self.standing {
            Some(standing) if standing.covers != Reach::Org => Err(standing.forbidden()),
            _ => Ok(()),
        }
    }

    /// Whether the caller may also do `action`, in the whole organisation.
    pub(crate) fn may(&self, action: Action) -> bool {
        let standing = self.standing.as_ref();
        standing.is_none_or(|s| s.rights.reach(action) == Reach::Org)
    }

    /// Whether the caller has at least these rights: nobody hands on, or takes away, more than they have.
    ///
    /// # Errors
    /// [`Error::Escalation`].
    pub(crate) fn require_rights(&self, wanted: &Rights) -> Result<()> {
        match &self.standing {
            Some(standing) if !standing.rights.include_all(wanted) => Err(Error::Escalation),
            _ => Ok(()),
        }
    }

    /// [`Self::require_rights`] for one role.
    ///
    /// # Errors
    /// [`Error::Escalation`].
    pub(crate) fn require_role(&self, bound: Bound) -> Result<()> {
        match &self.standing {
            Some(s) if !s.rights.include(bound.role, bound.mesh) => Err(Error::Escalation),
            _ => Ok(()),
        }
    }

    /// Takes the lock that serialises the writers of a mesh. Not `for update`: proxies that join refer to the row, and they
    /// need not wait for a writer.
    pub(crate) async fn lock(&mut self, mesh: MeshId) -> Result<()> {
        self.enter(mesh)?;
        if self.locked.contains_key(&mesh) {
            return Ok(());
        }
        let revision: Option<i64> = sqlx::query_scalar(
            "select revision from heddle.meshes \
             where mesh_id = $1 and deleted_at is null for no key update",
        )
        .bind(mesh.uuid())
        .fetch_optional(self.conn())
        .await?;
        let revision = revision.ok_or(Error::NotFound)?.unsigned_abs();
        let locked = Locked {
            revision,
            changed: false,
            cause: RevisionCause::Write,
        };
        self.locked.insert(mesh, locked);
        Ok(())
    }

    /// The revision of a mesh, if this transaction holds it: it stays so but for what the transaction itself does.
    pub(crate) fn locked_at(&self, mesh: MeshId) -> Option<u64> {
        self.locked.get(&mesh).map(|locked| locked.revision)
    }

    /// Whether this transaction has made its revision of a mesh already.
    pub(crate) fn has_changed(&self, mesh: MeshId) -> bool {
        self.locked.get(&mesh).is_some_and(|locked| locked.changed)
    }

    /// Checks that a later write rests on must not be overtaken by another writer. Says whether this transaction writes.
    pub(crate) async fn lock_if_writing(&mut self, mesh: MeshId) -> Result<bool> {
        self.enter(mesh)?;
        if self.writes {
            self.lock(mesh).await?;
        }
        Ok(self.writes)
    }

    /// The revision that this transaction makes of a mesh: one more than the last, however much it changes.
    pub(crate) async fn bump(&mut self, mesh: MeshId) -> Result<u64> {
        self.lock(mesh).await?;
        let locked = self.locked.get(&mesh).copied().ok_or(Error::NotFound)?;
        if locked.changed {
            return Ok(locked.revision);
        }
        let revision: i64 = sqlx::query_scalar(
            "update heddle.meshes set revision = revision + 1 where mesh_id = $1 returning revision",
        )
        .bind(mesh.uuid())
        .fetch_one(self.conn())
        .await?;
        Ok(self.made(mesh, revision.unsigned_abs()))
    }

    /// Notes that this transaction made a revision of a mesh.
    pub(crate) fn made(&mut self, mesh: MeshId, revision: u64) -> u64 {
        let locked = Locked {
            revision,
            changed: true,
            cause: RevisionCause::Write,
        };
        self.locked.insert(mesh, locked);
        self.last = Some(revision);
        revision
    }

    pub(crate) async fn commit(mut self) -> Result<Committed> {
        self.write_record().await?;
        self.lease.execute("commit").await?;
        self.lease.finish();
        for (mesh, locked) in &self.locked {
            if locked.changed {
                let mesh = MeshRef::new(self.org, *mesh);
                self.store.hint(mesh, locked.revision);
            }
        }
        Ok(Committed {
            revision: self.last,
        })
    }
}
