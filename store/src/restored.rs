//! After a restore: what the database says is moved past everything that anybody may have seen before.
//!
//! A restored database has forgotten revisions that people, programs and proxies have seen. The next writes would give their numbers
//! to other content, so that who notes revision 50 as what it knows, or asks for a write on top of it, would be believed. So every mesh
//! gets a revision in a million of its own, with the same content: no number is given twice. Which million, the clock says: a backup
//! may be restored again, and nobody knows what its last life came to.

use chrono::{DateTime, Utc};
use heddle_model::id::{MeshId, OrgId};
use heddle_model::name::Name;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::{Result, inconsistent};
use crate::store::Store;
use crate::tx::{Change, Mode, Work};

/// Who acts.
const ACTOR: &str = "heddled restore";
/// What revisions of different lives of a database differ by.
const EPOCH: u64 = 1_000_000;
/// As many may have been forgotten.
const ROOM: u64 = EPOCH / 2;
/// The minute since 1970 that the millions are counted from: no database is older.
const FIRST_MINUTE: u64 = 29_453_760;
/// What is said of mail that waits: whether it was sent after the backup, nobody knows.
const UNKNOWN: &str = "the database was restored from a backup; it may have been sent before";

/// What was done for one organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its name.
    pub org: Name,
    /// Its meshes, with the revision that each was at and the one that it is at now.
    pub meshes: Vec<(Name, u64, u64)>,
    /// How many mails were given up.
    pub mails: u64,
}

/// Moves every mesh of an organisation into the next million of revisions, gives mail up that waits, and says so in the audit log,
/// with `facts` about the restore. Done twice, it does it twice; nothing is wrong then.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`]. Nothing was done for this organisation.
pub async fn settle(store: &Store, org: OrgId, facts: &Map<String, Value>) -> Result<Settled> {
    let mut work = store.work(org, ACTOR, Mode::Write).await?;
    work.explain("the database was restored from a backup");
    let name: String = sqlx::query_scalar("select name from heddle.orgs where org_id = $1")
        .bind(org.uuid())
        .fetch_one(work.conn())
        .await?;
    let parse = |table, id: Uuid, text: &str| {
        text.parse::<Name>()
            .map_err(|error| inconsistent(table, "name", id, error))
    };
    work.record(Change {
        mesh: None,
        revision: None,
        action: "restore",
        kind: "backup",
        id: org.uuid(),
        name: &name,
        before: None,
        after: Some(facts),
    })
    .await?;
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select mesh_id, name from heddle.meshes where deleted_at is null order by mesh_id",
    )
    .fetch_all(work.conn())
    .await?;
    let mut meshes = Vec::with_capacity(rows.len());
    for (id, mesh) in rows {
        let (from, to) = advance(&mut work, MeshId::from_uuid(id), &mesh).await?;
        meshes.push((parse("meshes", id, &mesh)?, from, to));
    }
    let mails = give_up(&mut work).await?;
    work.commit().await?;
    Ok(Settled {
        org: parse("orgs", org.uuid(), &name)?,
        meshes,
        mails,
    })
}

async fn advance(work: &mut Work, mesh: MeshId, name: &str) -> Result<(u64, u64)> {
    work.lock(mesh).await?;
    let from = work.locked_at(mesh).unwrap_or_default();
    let to = beyond(from, work.now());
    sqlx::query("update heddle.meshes set revision = $2 where mesh_id = $1")
        .bind(mesh.uuid())
        .bind(to.cast_signed())
        .execute(work.conn())
        .await?;
    work.made(mesh, to);
    let (before, after) = (json!({"revision": from}), json!({"revision": to}));
    work.record(Change {
        mesh: Some(mesh),
        revision: Some(to),
        action: "restore",
        kind: "backup",
        id: mesh.uuid(),
        name,
        before: before.as_object(),
        after: after.as_object(),
    })
    .await?;
    Ok((from, to))
}

/// The first revision of the next life: far enough that the last one did not get there, and in the million of this minute, so that another
/// life that began with the same backup is in another one. Below 2^53 for centuries.
fn beyond(revision: u64, now: DateTime<Utc>) -> u64 {
    let minute = now.timestamp().unsigned_abs() / 60;
    let of_clock = minute.saturating_sub(FIRST_MINUTE);
    (revision + ROOM).div_ceil(EPOCH).max(of_clock) * EPOCH
}

async fn give_up(work: &mut Work) -> Result<u64> {
    let now = work.now();
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(
        "update heddle.mails set failed_at = $1 where sent_at is null and failed_at is null returning id, kind, recipient",
    )
    .bind(now)
    .fetch_all(work.conn())
    .await?;
    for (id, kind, recipient) in &rows {
        let after = json!({"about": kind, "reason": UNKNOWN});
        work.record_refused(&Change {
            mesh: None,
            revision: None,
            action: "send",
            kind: "mail",
            id: *id,
            name: recipient,
            before: None,
            after: after.as_object(),
        });
    }
    Ok(rows.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        let first = DateTime::from_timestamp(60 * FIRST_MINUTE.cast_signed(), 0).unwrap();
        assert_eq!(first.to_rfc3339(), "2026-01-01T00:00:00+00:00");
        first + chrono::TimeDelta::minutes(minute)
    }

    #[test]
    fn every_life_of_a_database_has_a_million_of_its_own() {
        // By a clock that stands still, and one that is wrong.
        for now in [at(0), at(-1000)] {
            assert_eq!(beyond(1, now), 1_000_000);
            assert_eq!(beyond(499_999, now), 1_000_000);
            assert_eq!(
                beyond(999_999, now),
                2_000_000,
                "one more write is too near"
            );
            assert_eq!(beyond(1_000_000, now), 2_000_000);
            assert_eq!(beyond(1_000_042, now), 2_000_000);
        }
        for revision in [1, 7, 499_999, 500_000, 500_001, 999_999, 41_000_123] {
            for now in [at(0), at(41), at(42), at(2_000_000)] {
                let next = beyond(revision, now);
                assert!(
                    next - revision >= ROOM && next.is_multiple_of(EPOCH),
                    "{revision}"
                );
            }
        }
    }

    #[test]
    fn a_backup_that_is_restored_again_begins_another_life() {
        let lives: Vec<u64> = (480_000..480_003).map(|now| beyond(42, at(now))).collect();
        assert_eq!(lives, [480_000_000_000, 480_001_000_000, 480_002_000_000]);
        let century = beyond(42, at(100 * 366 * 24 * 60));
        assert!(century < 1 << 53, "a JSON number");
    }
}
