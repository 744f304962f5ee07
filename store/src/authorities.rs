//! The signing authorities of a mesh. Their keys arrive sealed; nothing here could open one.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::MeshWrite;
use heddle_model::id::AuthorityId;
use serde_json::json;
use uuid::Uuid;

use crate::authz::MeshRef;
use crate::error::{Result, inconsistent, retry};
use crate::store::Store;
use crate::tx::{Change, Mode, Tx, Work};

/// How long before the end of an authority somebody should see to its successor.
const WARNING: TimeDelta = TimeDelta::days(30);

/// What an authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthorityKind {
    /// Issuing authorities.
    Root,
    /// Leaves.
    Issuing,
}

impl AuthorityKind {
    /// As the API and the database say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Root, Self::Issuing]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// What an authority is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthorityState {
    /// It is made; nobody knows of it.
    Prepared,
    /// Proxies are told to trust it. It signs nothing.
    Published,
    /// It signs.
    Active,
    /// It signs no more. What it signed is trusted.
    Retiring,
    /// Nobody trusts it any more.
    Removed,
}

impl AuthorityState {
    /// As the API and the database say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Published => "published",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Removed => "removed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Prepared,
            Self::Published,
            Self::Active,
            Self::Retiring,
            Self::Removed,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

/// An authority.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityRow {
    /// Its identifier.
    pub id: AuthorityId,
    /// What it signs.
    pub kind: AuthorityKind,
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, sealed; empty for the root of somebody else.
    pub sealed_key: Vec<u8>,
    /// The serial number, in hex.
    pub serial: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// What it is good for.
    pub state: AuthorityState,
    /// The root that signed it; `None` for a root, and for what was made while its mesh had one root only.
    pub parent: Option<AuthorityId>,
}

impl AuthorityRow {
    /// Whether it is a root whose private key somebody else has.
    #[must_use]
    pub fn is_of_others(&self) -> bool {
        self.sealed_key.is_empty()
    }
}

impl std::fmt::Debug for AuthorityRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorityRow")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    kind: String,
    certificate_pem: String,
    sealed_key: Vec<u8>,
    serial: String,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    state: String,
    parent_id: Option<Uuid>,
}

/// The authorities of a mesh, oldest first; none before the first [`create`].
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn load(store: &Store, mesh: &MeshRef) -> Result<Vec<AuthorityRow>> {
    let mut work = store.issuer(mesh.org(), "ca", Mode::Read).await?;
    select(&mut work, mesh).await
}

/// The same as [`load`], and when that was, by the clock of the store.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn load_now(store: &Store, mesh: &MeshRef) -> Result<(Vec<AuthorityRow>, DateTime<Utc>)> {
    let mut work = store.issuer(mesh.org(), "ca", Mode::Read).await?;
    let now = work.now();
    Ok((select(&mut work, mesh).await?, now))
}

/// The authorities of a mesh that was found in this transaction, oldest first.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn of<P: Permission>(tx: &mut Tx<P>, mesh: &MeshRef) -> Result<Vec<AuthorityRow>> {
    tx.work.enter(mesh.mesh())?;
    select(&mut tx.work, mesh).await
}

/// The trust domain of a mesh; `None` when it was deleted.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn trust_domain(store: &Store, mesh: &MeshRef) -> Result<Option<String>> {
    let mut work = store.issuer(mesh.org(), "ca", Mode::Read).await?;
    let query = sqlx::query_scalar(
        "select trust_domain from heddle.meshes where mesh_id = $1 and deleted_at is null",
    );
    let found = query.bind(mesh.mesh().uuid()).fetch_optional(work.conn());
    Ok(found.await?)
}

/// Stores the authorities of a mesh that has none, and returns what is stored: of concurrent creators one wins, and all get
/// the winner's.
///
/// # Errors
/// [`crate::Error::NotFound`] when the mesh was deleted, [`crate::Error::Unavailable`],
/// [`crate::Error::Inconsistent`].
pub async fn create(
    store: &Store,
    mesh: &MeshRef,
    rows: &[AuthorityRow],
) -> Result<Vec<AuthorityRow>> {
    retry!(create_once(store, mesh, rows))
}

async fn create_once(
    store: &Store,
    mesh: &MeshRef,
    rows: &[AuthorityRow],
) -> Result<Vec<AuthorityRow>> {
    let mut work = store.work(mesh.org(), "ca", Mode::Write).await?;
    work.lock(mesh.mesh()).await?;
    let there = select(&mut work, mesh).await?;
    if !there.is_empty() {
        return Ok(there);
    }
    for row in rows {
        insert(&mut work, mesh, row).await?;
    }
    let stored = select(&mut work, mesh).await?;
    work.commit().await?;
    Ok(stored)
}

/// Stores the authorities of a mesh that has none.
///
/// # Errors
/// [`crate::Error::NotFound`] when the mesh was deleted, [`crate::Error::Unavailable`].
pub async fn begin(tx: &mut Tx<MeshWrite>, mesh: &MeshRef, rows: &[AuthorityRow]) -> Result<()> {
    let work = &mut tx.work;
    work.lock(mesh.mesh()).await?;
    for row in rows {
        insert(work, mesh, row).await?;
    }
    Ok(())
}

/// The authority that signs leaves now: of all active issuing ones, the one that lasts longest.
#[must_use]
pub fn issuing(rows: &[AuthorityRow]) -> Option<&AuthorityRow> {
    rows.iter()
        .filter(|row| row.kind == AuthorityKind::Issuing && row.state == AuthorityState::Active)
        .max_by_key(|row| (row.not_after, row.id.uuid()))
}

/// The root that signed an issuing authority.
#[must_use]
pub fn root_of<'a>(rows: &'a [AuthorityRow], issuing: &AuthorityRow) -> Option<&'a AuthorityRow> {
    let is_parent = |row: &&AuthorityRow| issuing.parent.is_none_or(|parent| parent == row.id);
    roots(rows).find(is_parent)
}

/// By when somebody has to see to the successor of an authority: a while before it ends. `None` where nobody has to: it is not
/// in force, or the server makes its successor by itself, which it can do for what its own root signs.
#[must_use]
pub fn act_by(rows: &[AuthorityRow], row: &AuthorityRow) -> Option<DateTime<Utc>> {
    if row.state != AuthorityState::Active {
        return None;
    }
    let signs = issuing(rows)?;
    let root = root_of(rows, signs)?;
    let by_hand = match row.kind {
        AuthorityKind::Root => row.id == root.id,
        AuthorityKind::Issuing => row.id == signs.id && root.is_of_others(),
    };
    by_hand.then(|| row.not_after - WARNING)
}

/// The roots that proxies are told to trust, oldest first.
pub fn trusted(rows: &[AuthorityRow]) -> impl Iterator<Item = &AuthorityRow> {
    roots(rows).filter(|row| {
        matches!(
            row.state,
            AuthorityState::Published | AuthorityState::Active | AuthorityState::Retiring
        )
    })
}

/// A number that grows whenever the roots that proxies are told to trust change: how often one came or went.
#[must_use]
pub fn sequence(rows: &[AuthorityRow]) -> u64 {
    // Authorities only go forward, and none is forgotten. One that was put away before anybody was told of it counts, too.
    roots(rows)
        .map(|row| match row.state {
            AuthorityState::Prepared => 0,
            AuthorityState::Published | AuthorityState::Active | AuthorityState::Retiring => 1,
            AuthorityState::Removed => 2,
        })
        .sum()
}

fn roots(rows: &[AuthorityRow]) -> impl Iterator<Item = &AuthorityRow> {
    rows.iter().filter(|row| row.kind == AuthorityKind::Root)
}

/// Adds the issuing authority that follows `replaced`, and returns what is stored: of concurrent renewers one wins, and
/// all get the winner's. The one that was replaced stays, because the journal names it. One that is not valid yet by the
/// clock of the database is not added.
///
/// # Errors
/// [`crate::Error::NotFound`] when the mesh was deleted, [`crate::Error::Unavailable`],
/// [`crate::Error::Inconsistent`].
pub async fn renew(
    store: &Store,
    mesh: &MeshRef,
    replaced: AuthorityId,
    row: &AuthorityRow,
) -> Result<Vec<AuthorityRow>> {
    retry!(renew_once(store, mesh, replaced, row))
}

async fn renew_once(
    store: &Store,
    mesh: &MeshRef,
    replaced: AuthorityId,
    row: &AuthorityRow,
) -> Result<Vec<AuthorityRow>> {
    let mut work = store.work(mesh.org(), "ca", Mode::Write).await?;
    work.lock(mesh.mesh()).await?;
    let there = select(&mut work, mesh).await?;
    if issuing(&there).is_none_or(|newest| newest.id != replaced) {
        return Ok(there);
    }
    // Made by a clock that runs ahead, it could sign nothing once that clock is set right.
    let begun: bool = sqlx::query_scalar("select $1 <= clock_timestamp()")
        .bind(row.not_before)
        .fetch_one(work.conn())
        .await?;
    if !begun {
        return Ok(there);
    }
    insert(&mut work, mesh, row).await?;
    let stored = select(&mut work, mesh).await?;
    work.commit().await?;
    Ok(stored)
}

pub(crate) async fn insert(work: &mut Work, mesh: &MeshRef, row: &AuthorityRow) -> Result<()> {
    let query = sqlx::query(
        "insert into heddle.authorities (org_id, mesh_id, id, kind, certificate_pem, sealed_key, serial, \
                                         not_before, not_after, created_at, state, parent_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(mesh.org().uuid())
    .bind(mesh.mesh().uuid())
    .bind(row.id.uuid())
    .bind(row.kind.as_str())
    .bind(&row.certificate_pem)
    .bind(&row.sealed_key)
    .bind(&row.serial)
    .bind(row.not_before)
    .bind(row.not_after)
    .bind(work.now())
    .bind(row.state.as_str())
    .bind(row.parent.map(AuthorityId::uuid));
    query.execute(work.conn()).await?;
    let after = json!({
        "kind": row.kind.as_str(),
        "serial": row.serial,
        "not_after": row.not_after,
    });
    work.record(Change {
        mesh: Some(mesh.mesh()),
        revision: None,
        action: "create",
        kind: "authority",
        id: row.id.uuid(),
        name: row.kind.as_str(),
        before: None,
        after: after.as_object(),
    })
    .await
}

pub(crate) async fn select(work: &mut Work, mesh: &MeshRef) -> Result<Vec<AuthorityRow>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, kind, certificate_pem, sealed_key, serial, not_before, not_after, state, parent_id \
         from heddle.authorities where mesh_id = $1 order by created_at, kind desc, id",
    )
    .bind(mesh.mesh().uuid())
    .fetch_all(work.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let id = AuthorityId::from_uuid(row.id);
            let kind = AuthorityKind::parse(&row.kind)
                .ok_or_else(|| inconsistent("authorities", "kind", id, &row.kind))?;
            let state = AuthorityState::parse(&row.state)
                .ok_or_else(|| inconsistent("authorities", "state", id, &row.state))?;
            Ok(AuthorityRow {
                id,
                kind,
                certificate_pem: row.certificate_pem,
                sealed_key: row.sealed_key,
                serial: row.serial,
                not_before: row.not_before,
                not_after: row.not_after,
                state,
                parent: row.parent_id.map(AuthorityId::from_uuid),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn row(id: u128, kind: AuthorityKind, state: AuthorityState, days: i64) -> AuthorityRow {
        AuthorityRow {
            id: AuthorityId::from_uuid(Uuid::from_u128(id)),
            kind,
            certificate_pem: String::new(),
            sealed_key: vec![7],
            serial: id.to_string(),
            not_before: DateTime::UNIX_EPOCH,
            not_after: DateTime::UNIX_EPOCH + TimeDelta::days(days),
            state,
            parent: None,
        }
    }

    fn acts(rows: &[AuthorityRow]) -> Vec<Option<i64>> {
        let day = |at: DateTime<Utc>| at.timestamp() / DAY;
        rows.iter().map(|row| act_by(rows, row).map(day)).collect()
    }

    #[test]
    fn somebody_has_to_act_where_the_server_cannot() {
        use AuthorityKind::{Issuing, Root};
        use AuthorityState::{Active, Published, Removed, Retiring};
        let mut rows = vec![row(1, Root, Active, 3650), row(2, Issuing, Active, 90)];
        assert_eq!(acts(&rows), [Some(3620), None]);
        // Its successor is there; of neither is anything wanted.
        rows.push(row(3, Issuing, Active, 180));
        assert_eq!(acts(&rows), [Some(3620), None, None]);
        // The same below a root of somebody else, and the one that signs is theirs to follow.
        rows[0].sealed_key.clear();
        assert_eq!(acts(&rows), [Some(3620), None, Some(150)]);
        // What gives way, or is not there yet, is seen to already.
        let states = [Retiring, Removed, Published];
        for (row, state) in rows.iter_mut().zip(states) {
            row.state = state;
        }
        assert_eq!(acts(&rows), [None, None, None]);
        assert_eq!(acts(&[]), []);
    }
}
