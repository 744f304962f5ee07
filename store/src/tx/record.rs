//! What a transaction leaves behind beside its rows: one row of `changes` for each thing that it did, and one of
//! `revisions` for each mesh that it moved on. Collected on the way and written right before the commit, in one statement.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use heddle_model::id::{MeshId, TokenId};
use heddle_model::kind::Kind;
use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;

use super::Work;
use super::chain::APPEND;
use super::still::Still;
use crate::error::{Result, inconsistent};

/// One row of the audit log.
pub(crate) struct Change<'a> {
    pub(crate) mesh: Option<MeshId>,
    /// The revision that it is part of; `None` for what is not configuration.
    pub(crate) revision: Option<u64>,
    pub(crate) action: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) id: Uuid,
    pub(crate) name: &'a str,
    pub(crate) before: Option<&'a Map<String, Value>>,
    pub(crate) after: Option<&'a Map<String, Value>>,
}

/// Why a revision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RevisionCause {
    /// Somebody wrote objects.
    Write,
    /// The mesh was made equal to this revision.
    RolledBackTo(u64),
    /// This revision was taken back.
    Reverted(u64),
}

impl RevisionCause {
    fn columns(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Write => (None, None),
            Self::RolledBackTo(revision) => (Some(revision.cast_signed()), None),
            Self::Reverted(revision) => (None, Some(revision.cast_signed())),
        }
    }
}

/// A [`Change`] that waits for the commit.
pub(super) struct Recorded {
    row: Uuid,
    mesh: Option<MeshId>,
    revision: Option<u64>,
    action: &'static str,
    kind: &'static str,
    id: Uuid,
    name: String,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
    at: DateTime<Utc>,
    outcome: &'static str,
    /// Who did it, when that is not who the transaction is for.
    by: Option<String>,
}

impl Recorded {
    /// Whether it is about an object of the mesh's configuration. A step of a rotation makes a revision as well, so that servers and
    /// proxies are known to have followed it, and changes none.
    fn is_object(&self) -> bool {
        self.kind.parse::<Kind>().is_ok()
    }

    /// Where it stands: in the chain of its mesh, or in that of the organisation.
    fn chain(&self, org: Uuid) -> Uuid {
        self.mesh.map_or(org, MeshId::uuid)
    }
}

/// How many objects a revision added, changed and removed in the end: one that it both made and ended counts nowhere.
fn counts(recorded: &[Recorded], mesh: MeshId) -> (i64, i64, i64) {
    let mut objects: BTreeMap<Uuid, (bool, bool)> = BTreeMap::new();
    let rows = recorded
        .iter()
        .filter(|r| r.mesh == Some(mesh) && r.revision.is_some() && r.is_object());
    for row in rows {
        let was = row.before.is_some();
        objects.entry(row.id).or_insert((was, was)).1 = row.after.is_some();
    }
    let count = |wanted| objects.values().filter(|seen| **seen == wanted).count();
    let signed = |wanted| i64::try_from(count(wanted)).unwrap_or(i64::MAX);
    (
        signed((false, true)),
        signed((true, true)),
        signed((true, false)),
    )
}

impl Work {
    /// Says why this transaction makes its revision of a mesh.
    pub(crate) fn because(&mut self, mesh: MeshId, cause: RevisionCause) {
        if let Some(locked) = self.locked.get_mut(&mesh) {
            locked.cause = cause;
        }
    }

    /// Adds a row to the audit log, in effect with the commit.
    pub(crate) async fn record(&mut self, change: Change<'_>) -> Result<()> {
        self.note(&change, "done", None);
        Ok(())
    }

    /// [`Self::record`] where a transaction does what several wanted: each row says who.
    pub(crate) fn record_by(&mut self, actor: String, change: &Change<'_>) {
        self.note(change, "done", Some(actor));
    }

    /// Adds a row about what was wanted and not done.
    pub(crate) fn record_refused(&mut self, change: &Change<'_>) {
        self.note(change, "refused", None);
    }

    fn note(&mut self, change: &Change<'_>, outcome: &'static str, by: Option<String>) {
        let row = Recorded {
            row: self.next_id(),
            mesh: change.mesh,
            revision: change.revision,
            action: change.action,
            kind: change.kind,
            id: change.id,
            name: change.name.to_owned(),
            before: change.before.cloned(),
            after: change.after.cloned(),
            at: self.now(),
            outcome,
            by,
        };
        self.recorded.push(row);
    }

    pub(super) async fn write_record(&mut self) -> Result<()> {
        let recorded = std::mem::take(&mut self.recorded);
        if recorded.is_empty() {
            return Ok(());
        }
        let mut revisions = Revisions::default();
        for (mesh, locked) in self.locked.iter().filter(|(_, locked)| locked.changed) {
            let (added, changed, removed) = counts(&recorded, *mesh);
            let (rolled_back_to, reverted) = locked.cause.columns();
            revisions.mesh.push(mesh.uuid());
            revisions.revision.push(locked.revision.cast_signed());
            revisions.rolled_back_to.push(rolled_back_to);
            revisions.reverted.push(reverted);
            revisions.added.push(added);
            revisions.changed.push(changed);
            revisions.removed.push(removed);
        }
        let rows = recorded.as_slice();
        let chains: BTreeSet<Uuid> = rows.iter().map(|r| r.chain(self.org.uuid())).collect();
        let chains: Vec<Uuid> = chains.into_iter().collect();
        let done = self.append(rows, &revisions, &chains).await?;
        if done.written.unsigned_abs() == rows.len() as u64 {
            return self.judge(&done.still);
        }
        // The first of a mesh, or of an organisation. The second statement sees what the others began meanwhile.
        self.begin_chains(&chains).await?;
        let done = self.append(rows, &revisions, &chains).await?;
        if done.written.unsigned_abs() == rows.len() as u64 {
            return self.judge(&done.still);
        }
        let reason = format!("{} of {} rows have a place", done.written, rows.len());
        Err(inconsistent("audit_heads", "chain", self.org, reason))
    }

    async fn append(
        &mut self,
        rows: &[Recorded],
        revisions: &Revisions,
        chains: &[Uuid],
    ) -> Result<Appended> {
        fn column<'a, T>(rows: &'a [Recorded], of: impl Fn(&'a Recorded) -> T) -> Vec<T> {
            rows.iter().map(of).collect()
        }
        let came = self.came();
        let query = sqlx::query_as(APPEND)
            .bind(self.org.uuid())
            .bind(self.actor.clone())
            .bind(self.client.clone())
            .bind(self.origin.token.map(TokenId::uuid))
            .bind(self.origin.note.message.clone())
            .bind(self.origin.note.change_group.clone())
            .bind(self.now())
            .bind(&revisions.mesh)
            .bind(&revisions.revision)
            .bind(&revisions.rolled_back_to)
            .bind(&revisions.reverted)
            .bind(&revisions.added)
            .bind(&revisions.changed)
            .bind(&revisions.removed)
            .bind(chains)
            .bind(self.origin.ip.map(|ip| ip.to_string()))
            .bind(column(rows, |r| r.row))
            .bind(column(rows, |r| r.mesh.map(MeshId::uuid)))
            .bind(column(rows, |r| r.revision.map(u64::cast_signed)))
            .bind(column(rows, |r| r.action))
            .bind(column(rows, |r| r.kind))
            .bind(column(rows, |r| r.id))
            .bind(column(rows, |r| r.name.as_str()))
            .bind(column(rows, |r| r.before.as_ref().map(Json)))
            .bind(column(rows, |r| r.after.as_ref().map(Json)))
            .bind(column(rows, |r| r.at))
            .bind(column(rows, |r| r.outcome))
            .bind(came.token)
            .bind(came.digest)
            .bind(came.session)
            .bind(came.principal)
            .bind(column(rows, |r| r.by.as_deref()));
        Ok(query.fetch_one(self.conn()).await?)
    }
}

/// What the statement that writes the record says.
#[derive(sqlx::FromRow)]
struct Appended {
    written: i64,
    #[sqlx(json)]
    still: Still,
}

/// The rows of `revisions`, as columns.
#[derive(Default)]
struct Revisions {
    mesh: Vec<Uuid>,
    revision: Vec<i64>,
    rolled_back_to: Vec<Option<i64>>,
    reverted: Vec<Option<i64>>,
    added: Vec<i64>,
    changed: Vec<i64>,
    removed: Vec<i64>,
}
