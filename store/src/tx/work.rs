//! What a transaction is, whoever began it: who acts, what is locked, what was done.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use heddle_model::authz::{Action, Permission};
use heddle_model::id::{MeshId, OrgId, SessionId};
use sqlx::{Executor as _, PgConnection};
use uuid::Uuid;

use super::record::Recorded;
use super::{Committed, Mode, RevisionCause, Tx};
use crate::authz::{Grant, MeshRef, Principal};
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::origin::Origin;
use crate::rights::{Bound, Reach, Rights, Standing};
use crate::store::Store;

/// A transaction of one organisation, without its type.
pub(crate) struct Work {
    pub(super) lease: Lease,
    pub(super) org: OrgId,
    pub(super) actor: String,
    pub(super) client: Option<String>,
    pub(super) origin: Origin,
    pub(super) principal: Option<Principal>,
    pub(super) session: Option<SessionId>,
    /// `None`: led here by the database itself, not by a caller.
    pub(super) standing: Option<Arc<Standing>>,
    pub(super) store: Store,
    pub(super) writes: bool,
    pub(super) also: Vec<Action>,
    pub(super) locked: BTreeMap<MeshId, Locked>,
    /// What was done, written with the commit.
    pub(super) recorded: Vec<Recorded>,
    pub(super) last: Option<u64>,
}

/// A mesh whose row this transaction holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Locked {
    pub(super) revision: u64,
    pub(super) changed: bool,
    pub(super) cause: RevisionCause,
}

impl Work {
    pub(super) fn new(store: &Store, lease: Lease, org: OrgId, actor: &str, mode: Mode) -> Self {
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
    pub(super) fn granted<P: Permission>(mut self, grant: &Grant<P>) -> Tx<P> {
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

    pub(crate) fn store(&self) -> &Store {
        &self.store
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

    /// Whether the caller may do `action` at a mesh also without those of its roles that `but` names. Led here by the database itself: yes.
    pub(crate) fn may_at_without(
        &self,
        mesh: MeshId,
        action: Action,
        but: impl Fn(&Bound) -> bool,
    ) -> bool {
        self.standing.as_ref().is_none_or(|standing| {
            let bound = standing.rights.bound().iter().copied();
            let others = bound.filter(|bound| !but(bound)).collect();
            let rights = standing.rights.with_bound(others);
            rights.reach(action).has(mesh)
        })
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
