//! What a transaction leaves behind beside its rows: one row of `changes` for each thing that it did, and one of
//! `revisions` for each mesh that it moved on. Collected on the way and written right before the commit, in one statement.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use heddle_model::id::{MeshId, TokenId};
use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;

use super::Work;
use crate::error::Result;

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
}

/// How many objects a revision added, changed and removed in the end: one that it both made and ended counts nowhere.
fn counts(recorded: &[Recorded], mesh: MeshId) -> (i64, i64, i64) {
    let mut objects: BTreeMap<Uuid, (bool, bool)> = BTreeMap::new();
    let rows = recorded
        .iter()
        .filter(|r| r.mesh == Some(mesh) && r.revision.is_some());
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
        };
        self.recorded.push(row);
        Ok(())
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
        fn column<'a, T>(rows: &'a [Recorded], of: impl Fn(&'a Recorded) -> T) -> Vec<T> {
            rows.iter().map(of).collect()
        }
        let rows = recorded.as_slice();
        let query = sqlx::query(
            "with made as ( \
                 insert into heddle.revisions (org_id, mesh_id, revision, actor, client, token_id, message, \
                                               change_group, created_at, rolled_back_to, reverted, added, \
                                               changed, removed) \
                 select $1, r.mesh_id, r.revision, $2, $3, $4, $5, $6, $7, r.rolled_back_to, r.reverted, r.added, \
                        r.changed, r.removed \
                 from unnest($8::uuid[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::int8[]) \
                      as r (mesh_id, revision, rolled_back_to, reverted, added, changed, removed)) \
             insert into heddle.changes (org_id, actor, client, token_id, message, change_group, id, mesh_id, \
                                         revision, action, kind, resource_id, name, before, after, at) \
             select $1, $2, $3, $4, $5, $6, c.id, c.mesh_id, c.revision, c.action, c.kind, c.resource_id, c.name, \
                    c.before, c.after, c.at \
             from unnest($15::uuid[], $16::uuid[], $17::int8[], $18::text[], $19::text[], $20::uuid[], $21::text[], \
                         $22::jsonb[], $23::jsonb[], $24::timestamptz[]) \
                  as c (id, mesh_id, revision, action, kind, resource_id, name, before, after, at)",
        )
        .bind(self.org.uuid())
        .bind(self.actor.clone())
        .bind(self.client.clone())
        .bind(self.origin.token.map(TokenId::uuid))
        .bind(self.origin.note.message.clone())
        .bind(self.origin.note.change_group.clone())
        .bind(self.now())
        .bind(revisions.mesh)
        .bind(revisions.revision)
        .bind(revisions.rolled_back_to)
        .bind(revisions.reverted)
        .bind(revisions.added)
        .bind(revisions.changed)
        .bind(revisions.removed)
        .bind(column(rows, |r| r.row))
        .bind(column(rows, |r| r.mesh.map(MeshId::uuid)))
        .bind(column(rows, |r| r.revision.map(u64::cast_signed)))
        .bind(column(rows, |r| r.action))
        .bind(column(rows, |r| r.kind))
        .bind(column(rows, |r| r.id))
        .bind(column(rows, |r| r.name.as_str()))
        .bind(column(rows, |r| r.before.as_ref().map(Json)))
        .bind(column(rows, |r| r.after.as_ref().map(Json)))
        .bind(column(rows, |r| r.at));
        query.execute(self.conn()).await?;
        Ok(())
    }
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
