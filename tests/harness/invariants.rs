//! What must hold of the database after any fault, whoever wrote what.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

/// Each selects what breaks a rule, as a text.
const RULES: [(&str, &str); 7] = [
    (
        "the revisions of a mesh are 1, 2, 3 and so on to its own",
        "select format('mesh %s at %s has %s of them, up to %s', m.mesh_id, m.revision, count(r.revision), max(r.revision)) \
         from heddle.meshes m left join heddle.revisions r using (org_id, mesh_id) \
         group by m.mesh_id, m.revision \
         having count(r.revision) <> m.revision or max(r.revision) is distinct from m.revision",
    ),
    (
        // A mesh that is deleted keeps its rows, so that deletion can be taken back.
        "a revision counts what began and ended with it",
        "with began as (select mesh_id, from_revision as revision, id from heddle.resources), \
              ended as (select mesh_id, to_revision as revision, id from heddle.resources where to_revision is not null), \
              seen as ( \
                  select mesh_id, revision, count(*) filter (where e.id is null) as added, \
                         count(*) filter (where b.id is not null and e.id is not null) as changed, \
                         count(*) filter (where b.id is null) as removed \
                  from began b full join ended e using (mesh_id, revision, id) group by mesh_id, revision) \
         select format('mesh %s revision %s says %s, has %s', mesh_id, revision, \
                       (r.added, r.changed, r.removed), (s.added, s.changed, s.removed)) \
         from heddle.revisions r full join seen s using (mesh_id, revision) \
         join (select mesh_id, revision as newest, deleted_at from heddle.meshes) m using (mesh_id) \
         where not (m.deleted_at is not null and revision = m.newest) \
           and (r.added, r.changed, r.removed) is distinct from \
               (coalesce(s.added, 0), coalesce(s.changed, 0), coalesce(s.removed, 0))",
    ),
    (
        "every revision has its changes, and every change its revision",
        "select format('mesh %s revision %s', mesh_id, revision) \
         from heddle.revisions r \
         full join (select distinct mesh_id, revision from heddle.changes where revision is not null) c \
              using (mesh_id, revision) \
         where r.revision is null or c.revision is null",
    ),
    (
        "the changes of a revision are the objects that it counts",
        "select format('mesh %s revision %s', r.mesh_id, r.revision) \
         from heddle.revisions r join heddle.changes c using (mesh_id, revision) \
         group by r.mesh_id, r.revision, r.added, r.changed, r.removed \
         having count(distinct c.resource_id) filter (where c.kind in \
                    ('mesh', 'profile', 'service', 'route', 'split', 'access_rule')) \
                <> r.added + r.changed + r.removed",
    ),
    (
        "the spans of an object do not overlap",
        "select format('object %s from %s', id, from_revision) from ( \
             select id, from_revision, lag(coalesce(to_revision, 9223372036854775807)) \
                    over (partition by mesh_id, id order by from_revision) as before \
             from heddle.resources) spans \
         where before > from_revision",
    ),
    (
        "no object is below one that is gone",
        "select format('object %s', c.id) from heddle.resources c \
         where c.to_revision is null and c.parent_id is not null and not exists ( \
             select from heddle.resources p \
             where p.mesh_id = c.mesh_id and p.id = c.parent_id and p.to_revision is null)",
    ),
    (
        "every row belongs to the organisation of its mesh",
        "select format('object %s', r.id) from heddle.resources r join heddle.meshes m using (mesh_id) \
         where r.org_id <> m.org_id",
    ),
];

/// What is broken, each with the rule that it breaks.
pub async fn broken(database: &mut PgConnection) -> Vec<String> {
    let mut all = Vec::new();
    for (rule, sql) in RULES {
        let found: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&mut *database)
            .await
            .expect("the database answers");
        all.extend(found.into_iter().map(|what| format!("{rule}: {what}")));
    }
    all
}

/// Waits until the server has no transaction open that is older than two seconds, and none at all at some moment.
pub async fn at_rest(database: &mut PgConnection) {
    let started = Instant::now();
    loop {
        let open: Vec<(String, Option<String>)> = sqlx::query_as(
            "select state, query from pg_stat_activity \
             where application_name = 'heddle' and state is distinct from 'idle'",
        )
        .fetch_all(&mut *database)
        .await
        .expect("the database answers");
        if open.is_empty() {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "transactions that nobody ends: {open:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until every transaction of the servers has ended that is under way now, whatever they begin meanwhile.
///
/// # Panics
/// That is not so within half a minute.
pub async fn earlier_ones_end(database: &mut PgConnection) {
    let now: String = sqlx::query_scalar("select now()::text")
        .fetch_one(&mut *database)
        .await
        .expect("the database answers");
    let started = Instant::now();
    loop {
        let open: Vec<(String, Option<String>)> = sqlx::query_as(
            "select state, query from pg_stat_activity \
             where application_name = 'heddle' and xact_start <= $1::timestamptz",
        )
        .bind(&now)
        .fetch_all(&mut *database)
        .await
        .expect("the database answers");
        if open.is_empty() {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "transactions that nobody ends: {open:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
