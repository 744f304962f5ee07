//! Transactions of one organisation: how they begin, what makes a revision, and the only commit.

mod chain;
mod record;
mod still;
mod work;

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use heddle_model::authz::{Permission, access};
use heddle_model::id::{MeshId, OrgId};
use sqlx::Executor as _;

use crate::authz::{Grant, MeshRef, Opened};
use crate::error::{Error, Result, is_broken};
use crate::lease::Lease;
use crate::meshes::MeshRow;
use crate::store::Store;
pub(crate) use chain::record_text;
pub(crate) use record::{Change, RevisionCause};
pub(crate) use still::Still;
pub(crate) use work::Work;

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

    /// When it is, by the clock of the store.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.work.now()
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
