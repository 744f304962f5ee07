//! What writers were told, to be compared with what the database has in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use sqlx::PgConnection;

use crate::api::Reply;
use crate::writes::Write;

/// What a writer knows of one of its writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It was acknowledged, with the revision that it made or found.
    Done { revision: Option<i64> },
    /// It was refused: nothing was written.
    Refused,
    /// Nobody waited for the answer.
    Unknown,
}

#[derive(Debug)]
struct Line {
    marker: String,
    objects: i64,
    known: Known,
}

/// What became of it all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged, and there as acknowledged.
    pub acknowledged: usize,
    /// Nobody waited for the answer, and it was done.
    pub unknown_done: usize,
    /// Nobody waited for the answer, and it was not done.
    pub unknown_not_done: usize,
    /// Acknowledged, and not there or not as acknowledged.
    pub lost: Vec<String>,
    /// Written more than once.
    pub duplicated: Vec<String>,
    /// Written in part, or as several revisions.
    pub half_written: Vec<String>,
    /// There, though it was refused or nobody asked for it.
    pub invented: Vec<String>,
}

impl Verdict {
    /// Fails unless everything is as it should be.
    #[track_caller]
    pub fn assert_clean(&self) {
        let bad = [
            &self.lost,
            &self.duplicated,
            &self.half_written,
            &self.invented,
        ];
        assert!(bad.iter().all(|list| list.is_empty()), "{self:?}");
    }
}

/// The writes of all writers.
#[derive(Default)]
pub struct Ledger {
    lines: Mutex<Vec<Line>>,
    /// By mesh and name: the marker of what was acknowledged last, or that nothing is there.
    last: Mutex<BTreeMap<Place, Option<String>>>,
    /// By mesh and name: what nobody waited for. The server may still be at it when a later write is acknowledged, and then it
    /// comes after that one.
    under_way: Mutex<BTreeMap<Place, BTreeSet<Option<String>>>>,
}

/// A mesh and a name in it.
type Place = (String, String);

/// The rows of a marker.
#[derive(sqlx::FromRow)]
struct Rows {
    op: String,
    rows: i64,
    revisions: i64,
    revision: i64,
}

impl Ledger {
    /// Notes a write that was answered.
    ///
    /// # Panics
    /// With an answer that the write does not expect.
    #[track_caller]
    pub fn answered(&self, write: &Write, reply: &Reply) {
        assert!(
            write.expected.contains(&reply.status),
            "{} {}: {} {}",
            write.method,
            write.path,
            reply.status,
            reply.text
        );
        let known = match reply.status {
            404 => Known::Refused,
            _ => Known::Done {
                revision: revision(&reply.json),
            },
        };
        if write.deletes() {
            self.settle(write, None);
        } else if reply.status != 404 {
            self.settle(write, Some(&write.marker));
        }
        self.push(write, known);
    }

    /// Notes a write whose answer nobody waited for.
    pub fn abandoned(&self, write: &Write) {
        self.push(write, Known::Unknown);
        let marker = (!write.deletes()).then(|| write.marker.clone());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for name in &write.names {
            let place = (write.mesh.clone(), name.clone());
            last.remove(&place);
            under_way.entry(place).or_default().insert(marker.clone());
        }
    }

    /// Whether this may be at a place where something else was acknowledged last: nobody waited for it, and it came later.
    fn came_late(&self, place: &Place, found: Option<(&str, i64)>, acknowledged: i64) -> bool {
        let under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let marker = found.map(|(marker, _)| marker.to_owned());
        under_way
            .get(place)
            .is_some_and(|markers| markers.contains(&marker))
            && found.is_none_or(|(_, revision)| revision > acknowledged)
    }

    /// How many writes were noted.
    #[must_use]
    pub fn count(&self) -> usize {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.len()
    }

    fn push(&self, write: &Write, known: Known) {
        let line = Line {
            marker: write.marker.clone(),
            objects: write.objects,
            known,
        };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
    }

    fn settle(&self, write: &Write, marker: Option<&str>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &write.names {
            last.insert(
                (write.mesh.clone(), name.clone()),
                marker.map(ToOwned::to_owned),
            );
        }
    }

    /// Compares with what is stored. Everything must be at rest.
    pub async fn verdict(&self, database: &mut PgConnection) -> Verdict {
        let rows: Vec<Rows> = sqlx::query_as(
            "select spec -> 'labels' ->> 'op' as op, count(*) as rows, \
                    count(distinct from_revision) as revisions, min(from_revision) as revision \
             from heddle.resources where spec -> 'labels' ? 'op' group by 1",
        )
        .fetch_all(&mut *database)
        .await
        .expect("the database answers");
        let mut rows: BTreeMap<String, Rows> =
            rows.into_iter().map(|row| (row.op.clone(), row)).collect();
        let made: BTreeMap<String, i64> = rows
            .iter()
            .map(|(marker, rows)| (marker.clone(), rows.revision))
            .collect();
        let mut verdict = Verdict::default();
        for line in &*self.lines.lock().unwrap_or_else(PoisonError::into_inner) {
            judge(&mut verdict, line, rows.remove(&line.marker).as_ref());
        }
        verdict.invented.extend(rows.into_keys());
        let current: Vec<(String, String, Option<String>)> = sqlx::query_as(
            "select m.name, r.name, r.spec -> 'labels' ->> 'op' \
             from heddle.resources r join heddle.meshes m using (mesh_id) \
             where r.to_revision is null and r.kind = 'service'",
        )
        .fetch_all(&mut *database)
        .await
        .expect("the database answers");
        let mut current: BTreeMap<_, _> = current
            .into_iter()
            .map(|(mesh, name, op)| ((mesh, name), op))
            .collect();
        for (place, marker) in &*self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            let found = current.remove(place).flatten();
            let at = |marker: &String| made.get(marker).copied().unwrap_or(0);
            let found_at = found.as_ref().map(|marker| (marker.as_str(), at(marker)));
            let acknowledged = marker.as_ref().map_or(0, at);
            if found != *marker && !self.came_late(place, found_at, acknowledged) {
                verdict
                    .lost
                    .push(format!("{place:?}: {marker:?} became {found:?}"));
            }
        }
        verdict
    }
}

fn judge(verdict: &mut Verdict, line: &Line, found: Option<&Rows>) {
    let (rows, revisions) = found.map_or((0, 0), |found| (found.rows, found.revisions));
    let about = || format!("{line:?}: {rows} rows in {revisions} revisions");
    if rows > line.objects {
        if line.known == Known::Refused {
            verdict.invented.push(about());
        } else {
            verdict.duplicated.push(about());
        }
        return;
    }
    if (rows > 0 && rows < line.objects) || revisions > 1 {
        verdict.half_written.push(about());
        return;
    }
    match line.known {
        Known::Done { revision } => {
            verdict.acknowledged += 1;
            let made = found.map(|found| found.revision);
            if rows < line.objects || (made.is_some() && revision.is_some() && made != revision) {
                verdict.lost.push(about());
            }
        }
        Known::Refused if rows > 0 => verdict.invented.push(about()),
        Known::Refused => {}
        Known::Unknown if rows > 0 => verdict.unknown_done += 1,
        Known::Unknown => verdict.unknown_not_done += 1,
    }
}

/// The revision that an answer names: of an object, or of an apply.
fn revision(answer: &Value) -> Option<i64> {
    let revision = &answer["meta"]["revision"];
    revision.as_i64().or_else(|| answer["revision"].as_i64())
}
