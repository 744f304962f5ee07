//! Several objects written as one revision: what ends is ended first, so that names, priorities and hosts can pass from
//! one object to another.

use heddle_model::authz::{Permission, access};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_model::manager::ManagedBy;
use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;

use super::write::{end_row, granted, record, start_row};
use super::{Address, COLUMNS, Row, Stored};
use crate::error::Result;
use crate::quotas::{self, Turn};
use crate::tx::Tx;

/// One of several writes.
#[derive(Debug, Clone)]
pub enum Step<'a> {
    /// Adds an object under an identifier from [`new_id`].
    Create {
        /// Its identifier.
        id: Uuid,
        /// Where.
        address: Address<'a>,
        /// What the user sent.
        sent: &'a Map<String, Value>,
        /// Whose it is.
        owner: Option<&'a ManagedBy>,
    },
    /// Replaces what an object says.
    Replace {
        /// The object as it is.
        before: &'a Stored,
        /// What the user sent.
        sent: &'a Map<String, Value>,
        /// Whose it is afterwards.
        owner: Option<&'a ManagedBy>,
    },
    /// Removes one object. What is below it has steps of its own.
    Delete {
        /// The object as it is.
        before: &'a Stored,
    },
}

impl Step<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Create { address, .. } => address.kind,
            Self::Replace { before, .. } | Self::Delete { before } => before.kind,
        }
    }

    /// Whether there is one more of its kind afterwards, or one less.
    fn turn(&self) -> Option<(Kind, Turn)> {
        match self {
            Self::Create { .. } => Some((self.kind(), Turn::Comes)),
            Self::Replace { .. } => None,
            Self::Delete { .. } => Some((self.kind(), Turn::Goes)),
        }
    }
}

/// An identifier for an object that does not exist yet, so that others can be put below it.
pub fn new_id<P: Permission<Access = access::Write>>(tx: &Tx<P>) -> Uuid {
    tx.work.next_id()
}

/// Every object of a mesh but the mesh itself. The mesh is locked: it stays so until the transaction ends.
///
/// # Errors
/// [`crate::Error::NotFound`] without such a mesh, [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn everything<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    mesh: MeshId,
) -> Result<Vec<Stored>> {
    tx.work.lock(mesh).await?;
    let sql = format!(
        "select {COLUMNS} from heddle.resources r \
         where r.mesh_id = $1 and r.to_revision is null and r.kind <> 'mesh' order by r.id"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .fetch_all(tx.work.conn())
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// What two objects say.
pub type Pair<'a> = (&'a Map<String, Value>, &'a Map<String, Value>);

/// Which of these pairs are equal as Postgres stores them: it alone decides which numbers are the same.
///
/// # Errors
/// [`crate::Error::NulCharacter`], [`crate::Error::Unavailable`].
pub async fn equal<P: Permission>(tx: &mut Tx<P>, pairs: &[Pair<'_>]) -> Result<Vec<bool>> {
    let (left, right): (Vec<_>, Vec<_>) = pairs.iter().map(|(a, b)| (Json(*a), Json(*b))).unzip();
    let equal = sqlx::query_scalar(
        "select a = b from unnest($1::jsonb[], $2::jsonb[]) with ordinality as pair (a, b, i) order by i",
    )
    .bind(left)
    .bind(right)
    .fetch_all(tx.work.conn())
    .await?;
    Ok(equal)
}

/// Writes all of them, as one revision. Gives back what each wrote, in their order; nothing for what was deleted.
/// That the result makes sense is the caller's to check, who locked the mesh by [`everything`].
///
/// # Errors
/// [`crate::Error::NotGranted`], [`crate::Error::LimitReached`], [`crate::Error::AlreadyExists`], [`crate::Error::NulCharacter`],
/// [`crate::Error::Unavailable`].
pub async fn write_all<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    steps: &[Step<'_>],
) -> Result<Vec<Option<Stored>>> {
    for step in steps {
        granted(tx, step.kind())?;
    }
    let work = &mut tx.work;
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let revision = work.bump(mesh).await?;
    for step in steps {
        if let Step::Replace { before, .. } | Step::Delete { before } = step {
            end_row(work, mesh, before.id, revision).await?;
        }
    }
    let mut written = Vec::with_capacity(steps.len());
    for step in steps {
        written.push(match step {
            Step::Create {
                id,
                address,
                sent,
                owner,
            } => {
                let stored = start_row(work, address, *id, sent, revision, None, *owner).await?;
                record(work, mesh, "create", revision, None, Some(&stored)).await?;
                Some(stored)
            }
            Step::Replace {
                before,
                sent,
                owner,
            } => {
                let address = Address {
                    mesh,
                    kind: before.kind,
                    parent: before.parent,
                    name: &before.name,
                };
                let stored = start_row(
                    work,
                    &address,
                    before.id,
                    sent,
                    revision,
                    Some(before),
                    *owner,
                )
                .await?;
                record(work, mesh, "replace", revision, Some(before), Some(&stored)).await?;
                Some(stored)
            }
            Step::Delete { before } => {
                record(work, mesh, "delete", revision, Some(before), None).await?;
                None
            }
        });
    }
    quotas::judge_objects(work, steps.iter().filter_map(Step::turn)).await?;
    Ok(written)
}
