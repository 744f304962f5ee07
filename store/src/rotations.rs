//! Rotations: a mesh's authorities give way to new ones, step by step, so that no proxy is ever without somebody to trust.
//!
//! How far a rotation is, is a row; whoever holds the mesh's lock takes the next step, and the generation says which one it
//! follows. Each step is a revision of the mesh without an object: so servers and proxies are known to have followed it, and a
//! server that starts anew goes on from the row.

mod places;
mod progress;
mod steps;

use std::time::Duration;

use chrono::{DateTime, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::{AuthorityId, MeshId, RotationId};
use uuid::Uuid;

use crate::authorities::{self, AuthorityRow};
use crate::authz::MeshRef;
use crate::error::{Error, Result, inconsistent};
use crate::store::Store;
use crate::tx::{Mode as TxMode, Tx, Work};

pub use progress::{Counts, ProxyProgress, Waits, progress};
pub use steps::{AuthorityMaker, NewRotation, Refused, advance, reverse, start, step};

/// A word that is stored, and that the API says.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            fn stored(text: &str, column: &'static str, row: RotationId) -> Result<Self> {
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                found.ok_or_else(|| inconsistent("rotations", column, row, text))
            }
        }
    };
}

words! {
    /// What is replaced.
    What {
        /// What signs leaves, under the same root.
        Intermediate = "intermediate",
        /// The root and what it signed.
        Root = "root",
    }
}

words! {
    /// How careful it is.
    Mode {
        /// It waits for everybody whose leaf is still good, connected or not.
        Planned = "planned",
        /// It waits only for those that are connected.
        Emergency = "emergency",
        /// It waits for nobody: the old root is dropped at once.
        BreakTrust = "break_trust",
    }
}

words! {
    /// How far it is.
    State {
        /// The new authorities are made and stored. Nobody knows of them.
        Prepared = "prepared",
        /// Proxies trust the new root beside the old one.
        Published = "published",
        /// What is new signs.
        Active = "active",
        /// Leaves of what was there before are replaced.
        Retiring = "retiring",
        /// What was there before is not trusted any more. The end.
        Removed = "removed",
        /// It was turned round, and nothing of it is left. The end.
        Cancelled = "cancelled",
    }
}

/// A rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationRow {
    /// Its identifier.
    pub id: RotationId,
    /// What is replaced.
    pub what: What,
    /// How careful it is.
    pub mode: Mode,
    /// Whether each step waits for somebody to ask for it.
    pub manual: bool,
    /// How far it is.
    pub state: State,
    /// Whether it was turned round: what was there before signs again.
    pub reversing: bool,
    /// Grows with every step.
    pub generation: u64,
    /// The new root, if there is one.
    pub root: Option<AuthorityId>,
    /// What signs leaves in the end.
    pub issuing: AuthorityId,
    /// Since when leaves of what gives way are replaced.
    pub replaced_from: Option<DateTime<Utc>>,
    /// Over which time they are.
    pub replace_over: Duration,
    /// The revision of the mesh that its last step made.
    pub revision: u64,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// Who began it.
    pub created_by: String,
    /// When it took its last step.
    pub moved_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    what: String,
    mode: String,
    manual: bool,
    state: String,
    reversing: bool,
    generation: i64,
    root_id: Option<Uuid>,
    issuing_id: Uuid,
    replaced_from: Option<DateTime<Utc>>,
    replace_over_ms: i64,
    revision: i64,
    created_at: DateTime<Utc>,
    created_by: String,
    moved_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for RotationRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = RotationId::from_uuid(row.id);
        Ok(Self {
            id,
            what: What::stored(&row.what, "what", id)?,
            mode: Mode::stored(&row.mode, "mode", id)?,
            manual: row.manual,
            state: State::stored(&row.state, "state", id)?,
            reversing: row.reversing,
            generation: row.generation.unsigned_abs(),
            root: row.root_id.map(AuthorityId::from_uuid),
            issuing: AuthorityId::from_uuid(row.issuing_id),
            replaced_from: row.replaced_from,
            replace_over: Duration::from_millis(row.replace_over_ms.unsigned_abs()),
            revision: row.revision.unsigned_abs(),
            created_at: row.created_at,
            created_by: row.created_by,
            moved_at: row.moved_at,
            ended_at: row.ended_at,
        })
    }
}

const COLUMNS: &str = "r.id, r.what, r.mode, r.manual, r.state, r.reversing, r.generation, r.root_id, r.issuing_id, \
     r.replaced_from, r.replace_over_ms, r.revision, r.created_at, r.created_by, r.moved_at, r.ended_at";

/// Finds a rotation of a mesh.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`], [`Error::NotFound`] where the permission does not reach the mesh.
pub async fn find<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    id: RotationId,
) -> Result<Option<RotationRow>> {
    tx.work.enter(mesh)?;
    select(&mut tx.work, mesh, id).await
}

/// The rotations of a mesh, newest first, those before the rotation `after`, at most `limit`.
///
/// # Errors
/// As [`find`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    after: Option<RotationId>,
    limit: u32,
) -> Result<Vec<RotationRow>> {
    tx.work.enter(mesh)?;
    let sql = format!(
        "select {COLUMNS} from heddle.rotations r \
         where r.mesh_id = $1 and ($2::uuid is null or r.id < $2) order by r.id desc limit $3"
    );
    let rows: Vec<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(after.map(RotationId::uuid))
        .bind(i64::from(limit))
        .fetch_all(tx.work.conn())
        .await?;
    rows.into_iter().map(RotationRow::try_from).collect()
}

async fn select(work: &mut Work, mesh: MeshId, id: RotationId) -> Result<Option<RotationRow>> {
    let sql =
        format!("select {COLUMNS} from heddle.rotations r where r.mesh_id = $1 and r.id = $2");
    let row: Option<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .bind(id.uuid())
        .fetch_optional(work.conn())
        .await?;
    row.map(RotationRow::try_from).transpose()
}

/// The one that is under way.
async fn open(work: &mut Work, mesh: MeshId) -> Result<Option<RotationRow>> {
    let sql = format!(
        "select {COLUMNS} from heddle.rotations r where r.mesh_id = $1 and r.ended_at is null"
    );
    let row: Option<Row> = sqlx::query_as(&sql)
        .bind(mesh.uuid())
        .fetch_optional(work.conn())
        .await?;
    row.map(RotationRow::try_from).transpose()
}

/// Since when leaves of authorities that give way are replaced, and over which time.
pub type Window = Option<(DateTime<Utc>, Duration)>;

/// Authorities, and when leaves of those that give way are replaced.
pub(crate) type Trust = (Vec<AuthorityRow>, Window);

/// The authorities of a mesh, oldest first, and when leaves of those that give way are to be replaced, by the newest rotation that
/// got so far.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn trust(store: &Store, mesh: &MeshRef) -> Result<(Vec<AuthorityRow>, Window)> {
    let (of, mesh) = (store.clone(), *mesh);
    let answer = move |asked: Vec<()>| {
        let store = of.clone();
        async move { Ok(vec![trust_once(&store, &mesh).await?; asked.len()]) }
    };
    let key = (mesh.org(), mesh.mesh());
    store.journals().trust.ask(key, (), answer).await
}

async fn trust_once(store: &Store, mesh: &MeshRef) -> Result<Trust> {
    let mut work = store.work(mesh.org(), "ca", TxMode::Snapshot).await?;
    let rows = authorities::select(&mut work, mesh).await?;
    let window: Option<(DateTime<Utc>, i64)> = sqlx::query_as(
        "select replaced_from, replace_over_ms from heddle.rotations \
         where mesh_id = $1 and replaced_from is not null order by id desc limit 1",
    )
    .bind(mesh.mesh().uuid())
    .fetch_optional(work.conn())
    .await?;
    let window = window.map(|(from, over)| (from, Duration::from_millis(over.unsigned_abs())));
    Ok((rows, window))
}
