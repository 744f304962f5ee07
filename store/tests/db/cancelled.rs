//! Cancelled rollbacks: whoever drops one at whatever moment has done all of it or nothing, and spoils no connection.

use heddle_model::authz::permission::ConfigWrite;
use heddle_model::kind::Kind;
use heddle_store::resources::{self, Precondition};
use heddle_store::rollbacks::{self, Goal};
use heddle_store::{Caller, Error, Store, meshes};
use sqlx::PgPool;

use crate::build::{address, mesh, name, put, route_spec, service, service_spec};
use crate::pool::cancel_after;
use crate::support::{TestDb, grant};

async fn go_back(store: &Store, caller: &Caller, goal: Goal) -> Result<Option<u64>, Error> {
    let mut tx = store.begin(&grant::<ConfigWrite>(caller)).await?;
    let mesh = meshes::require(&mut tx, "prod").await?;
    let plan = rollbacks::plan(&mut tx, &mesh, goal).await?;
    assert!(plan.obstacles.is_empty(), "{:?}", plan.obstacles);
    rollbacks::apply(&mut tx, &plan).await?;
    Ok(tx.commit().await?.revision)
}

/// The revision of the mesh and all that is in it, having looked whether that is whole.
async fn state(database: &PgPool) -> (u64, String) {
    let (revision, last, recorded): (i64, i64, i64) = sqlx::query_as(
        "select m.revision, (select max(r.revision) from heddle.revisions r where r.mesh_id = m.mesh_id), \
                (select max(c.revision) from heddle.changes c where c.mesh_id = m.mesh_id) \
         from heddle.meshes m where m.name = 'prod'",
    )
    .fetch_one(database)
    .await
    .unwrap();
    assert_eq!((revision, revision), (last, recorded));
    let broken: i64 = sqlx::query_scalar(
        "select count(*) from heddle.resources r join heddle.meshes m using (org_id, mesh_id) \
         where m.name = 'prod' and (r.from_revision > $1 or r.to_revision > $1 or r.to_revision is null and exists ( \
             select from heddle.resources o where o.id = r.id and o.to_revision is null and o.ctid <> r.ctid))",
    )
    .bind(revision)
    .fetch_one(database)
    .await
    .unwrap();
    assert_eq!(broken, 0);
    let live = "select string_agg(r.kind || ' ' || r.name || ' ' || r.spec, E'\\n' order by r.kind, r.name) \
                from heddle.resources r join heddle.meshes m using (org_id, mesh_id) \
                where m.name = 'prod' and r.to_revision is null";
    let live = sqlx::query_scalar(live).fetch_one(database).await.unwrap();
    (revision.unsigned_abs(), live)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t11_a_cancelled_rollback_is_done_or_not_and_spoils_no_connection() {
    // The next borrower gets the very connection that was left.
    let db = TestDb::with_connections(1).await;
    let (store, database) = (&db.store, db.superuser().await);
    let owner = db.owner("acme").await;
    let rival = db.owner("rival").await;
    let prod = mesh(store, &owner, "prod").await.id;
    let elsewhere = mesh(store, &rival, "elsewhere").await.id;
    let payments = service(store, &owner, prod, "payments").await.id;
    let route = name("all");
    let at = address(prod, Kind::Route, Some(payments), &route);
    put(store, &owner, &at, &route_spec(1)).await;
    let early = state(&database).await;
    service(store, &owner, prod, "checkout").await;
    put(store, &owner, &at, &route_spec(2)).await;
    let payments = name("payments");
    let at = address(prod, Kind::Service, None, &payments);
    put(store, &owner, &at, &service_spec(81)).await;
    let late = state(&database).await;
    assert_ne!(early.1, late.1);

    let (mut done, mut undone, mut acknowledged) = (0, 0, 0_u16);
    // Where it waits differs from time to time: what the database has answered already takes no waiting.
    for round in 0..12 {
        let (to_revision, at_once) = (round % 2 == 0, round % 4 < 2);
        for polls in 1.. {
            let (revision, before) = state(&database).await;
            let after = if before == early.1 { &late } else { &early };
            let goal = match to_revision || revision == late.0 {
                true => Goal::To(after.0),
                // The newest one went the other way.
                false => Goal::Without(revision),
            };
            let finished = cancel_after(go_back(store, &owner, goal), polls, at_once).await;
            // Somebody else's turn, on the same connection.
            acknowledged += 1;
            let service = name(&format!("s{acknowledged}"));
            let at = address(elsewhere, Kind::Service, None, &service);
            let mut tx = store.begin(&grant::<ConfigWrite>(&rival)).await.unwrap();
            resources::put(&mut tx, &at, &service_spec(1), &Precondition::None)
                .await
                .unwrap();
            tx.commit().await.unwrap();

            let now = state(&database).await;
            if now == (revision, before) {
                undone += 1;
                assert!(
                    finished.is_none(),
                    "not done, and not cancelled: {finished:?}"
                );
            } else {
                done += 1;
                assert_eq!(now, (revision + 1, after.1.clone()));
            }
            if let Some(finished) = finished {
                assert_eq!(finished.unwrap(), Some(revision + 1));
                break;
            }
        }
    }
    assert!(done >= 12 && undone > 20, "{done} {undone}");
    let kept: i64 = sqlx::query_scalar(
        "select count(*) from heddle.resources r join heddle.meshes m using (org_id, mesh_id) \
         where m.name = 'elsewhere' and r.kind = 'service' and r.to_revision is null",
    )
    .fetch_one(&database)
    .await
    .unwrap();
    assert_eq!(kept, i64::from(acknowledged));
    store.close().await;
    let open: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity \
         where datname = current_database() and application_name = 'heddle' and state like 'idle in transaction%'",
    )
    .fetch_one(&database)
    .await
    .unwrap();
    assert_eq!(open, 0);
}
