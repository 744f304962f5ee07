//! Cancelled requests: no connection carries a transaction, or a tenant, to the next borrower.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use heddle_model::authz::permission::{ConfigRead, ConfigWrite, MeshRead};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_store::listing::Wanted;
use heddle_store::resources::{self, Precondition};
use heddle_store::{Caller, Error, Options, Store, meshes};
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::build::{address, mesh, name, service_spec};
use crate::support::{TestDb, cluster, grant};

async fn write(
    store: &Store,
    owner: &Caller,
    mesh: MeshId,
    service: &str,
    port: u16,
) -> Result<(), Error> {
    let service = name(service);
    let at = address(mesh, Kind::Service, None, &service);
    let mut tx = store.begin(&grant::<ConfigWrite>(owner)).await?;
    resources::put(&mut tx, &at, &service_spec(port), &Precondition::None).await?;
    tx.commit().await.map(drop)
}

/// Drops a future after it was polled `polls` times: at once, while the database is still busy, or when the
/// answer has come and nobody took it.
pub(crate) async fn cancel_after<T>(
    future: impl Future<Output = T>,
    polls: u32,
    at_once: bool,
) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 && at_once => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn services(store: &Store, caller: &Caller, mesh: MeshId) -> Vec<String> {
    let mut tx = store.begin(&grant::<ConfigRead>(caller)).await.unwrap();
    let all = resources::all(&mut tx, mesh, Kind::Service, None)
        .await
        .unwrap();
    all.into_iter().map(|s| s.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t10_t11_cancelled_begins_lose_no_write_and_leak_no_tenant() {
    const ROUNDS: u32 = 600;
    let db = TestDb::with_connections(2).await;
    let (acme, rival) = (db.owner("acme").await, db.owner("rival").await);
    let mesh_a = mesh(&db.store, &acme, "prod").await.id;
    let mesh_b = mesh(&db.store, &rival, "prod").await.id;
    let mut acknowledged = [Vec::new(), Vec::new()];
    let mut cancelled = 0;
    for round in 0..ROUNDS {
        let (which, owner, mesh) = if round % 2 == 0 {
            (0, &acme, mesh_a)
        } else {
            (1, &rival, mesh_b)
        };
        let port = u16::try_from(round + 1).unwrap();
        // One that is cancelled somewhere on its way: at every await point there is, over and over.
        if cancel_after(
            // Another content each time, so that it would write all that a write writes.
            write(&db.store, owner, mesh, "cancelled", port),
            round / 2 % 7 + 1,
            round % 4 < 2,
        )
        .await
        .is_none()
        {
            cancelled += 1;
        }
        // One that is not, of the other tenant, on whatever connection comes back first.
        let (other, owner, mesh) = if which == 1 {
            (0, &acme, mesh_a)
        } else {
            (1, &rival, mesh_b)
        };
        let service = format!("s{round}");
        write(&db.store, owner, mesh, &service, 1).await.unwrap();
        acknowledged[other].push(service);
    }
    // The rest was done before its turn came.
    assert!(cancelled > 200, "{cancelled} were cancelled");

    for (which, owner, mesh) in [(0, &acme, mesh_a), (1, &rival, mesh_b)] {
        acknowledged[which].sort();
        let mut found = services(&db.store, owner, mesh).await;
        found.retain(|name| name != "cancelled");
        assert_eq!(found, acknowledged[which]);
    }
    assert_eq!(services(&db.store, &acme, mesh_b).await, [] as [&str; 0]);

    // With both connections in hand nothing is left open behind them.
    let open = async || -> i64 {
        sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() \
               and application_name = 'heddle' and state like 'idle in transaction%'",
        )
        .fetch_one(&db.superuser().await)
        .await
        .unwrap()
    };
    let first = db.store.begin(&grant::<MeshRead>(&acme)).await.unwrap();
    let second = db.store.begin(&grant::<MeshRead>(&rival)).await.unwrap();
    assert_eq!(open().await, 2);
    drop((first, second));
    db.store.close().await;
    assert_eq!(open().await, 0);
}

#[tokio::test]
async fn sec_t11_the_guard_closes_a_connection_that_comes_back_in_a_transaction() {
    let db = TestDb::new().await;
    let options: PgConnectOptions = cluster().url("postgres", &db.name).parse().unwrap();
    let pool = heddle_store::guarded(PgPoolOptions::new().max_connections(1))
        .connect_with(options)
        .await
        .unwrap();
    let pid = async |then: &str| -> i32 {
        let mut connection = pool.acquire().await.unwrap();
        let pid = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        // Behind the driver's back, the way a cancelled BEGIN does it.
        let _ = sqlx::raw_sql(then).execute(&mut *connection).await;
        pid
    };
    let clean = pid("select 1").await;
    let mut last = pid("begin").await;
    assert_eq!(clean, last, "a clean connection is kept");
    for dirty in [
        "begin; select set_config('heddle.org_id', 'x', true)",
        "begin; select fail",
        "set role heddle_tenant",
        "set heddle.org_id = 'x'",
        "select 1",
    ] {
        let next = pid(dirty).await;
        assert_ne!(next, last, "before {dirty}");
        last = next;
    }
    assert_eq!(pid("select 1").await, last);
}

#[tokio::test]
async fn a_pool_without_a_free_connection_is_unavailable_and_recovers() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let options = Options {
        url: SecretString::from(cluster().url("heddle_server", &db.name)),
        max_connections: 1,
        acquire_timeout: Duration::from_millis(50),
        quotas: heddle_model::quota::Quotas::default(),
    };
    let clock = Arc::clone(&db.clock) as heddle_model::clock::SharedClock;
    let store = Store::connect(options, clock, Arc::new(heddle_model::clock::SystemIds))
        .await
        .unwrap();
    let held = store.begin(&grant::<MeshRead>(&owner)).await.unwrap();
    let error = store.begin(&grant::<MeshRead>(&owner)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    drop(held);
    store.begin(&grant::<MeshRead>(&owner)).await.unwrap();
}

#[tokio::test]
async fn a_killed_connection_is_unavailable_and_the_next_one_works() {
    let db = TestDb::with_connections(1).await;
    let owner = db.owner("acme").await;
    let mut tx = db.store.begin(&grant::<MeshRead>(&owner)).await.unwrap();
    sqlx::query(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
         where datname = current_database() and application_name = 'heddle'",
    )
    .execute(&db.superuser().await)
    .await
    .unwrap();
    let error = meshes::search(&mut tx, &Wanted::by_name(1))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    drop(tx);
    let mut tx = db.store.begin(&grant::<MeshRead>(&owner)).await.unwrap();
    meshes::search(&mut tx, &Wanted::by_name(1)).await.unwrap();
}
