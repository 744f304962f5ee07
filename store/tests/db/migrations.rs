//! Migrations: twice, at once, by somebody who is no superuser; and what a binary says about a schema that is not its own.

mod load;

use std::sync::Arc;

use heddle_model::clock::TestClock;
use heddle_store::{Error, Migrated, migrate, newest_schema};

use crate::support::{TestDb, cluster, connect, start};

#[tokio::test]
async fn run_twice_and_at_once() {
    let cluster = cluster();
    let name = cluster.database(None).await;
    let url = cluster.url("postgres", &name);
    let (a, b, c) = tokio::join!(migrate(&url), migrate(&url), migrate(&url));
    for result in [a, b, c] {
        result.unwrap();
    }
    migrate(&url).await.unwrap();
    let clock = Arc::new(TestClock::at(start()));
    let store = connect(&cluster.url("heddle_server", &name), 1, clock).await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn an_owner_without_superuser_may_run_them() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    let cluster = cluster();
    let name = cluster.database(None).await;
    sqlx::raw_sql(&format!(
        "create role landlord login createrole; alter database {name} owner to landlord;"
    ))
    .execute(&superuser)
    .await
    .unwrap();
    migrate(&cluster.url("landlord", &name)).await.unwrap();
    migrate(&cluster.url("landlord", &name)).await.unwrap();
    let clock = Arc::new(TestClock::at(start()));
    let store = connect(&cluster.url("heddle_server", &name), 1, clock).await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let cluster = cluster();
    let empty = cluster.database(None).await;
    let clock = Arc::new(TestClock::at(start()));
    let store = connect(&cluster.url("heddle_server", &empty), 1, clock).await;
    let error = store.ping().await.unwrap_err();
    assert!(
        matches!(error, Error::SchemaOlder { have: 0, .. }),
        "{error}"
    );

    let db = TestDb::new().await;
    db.store.ping().await.unwrap();
    let superuser = db.superuser().await;
    let newest: i64 = sqlx::query_scalar("select max(version) from heddle._sqlx_migrations")
        .fetch_one(&superuser)
        .await
        .unwrap();
    let rename = "update heddle._sqlx_migrations set version = $2 where version = $1";
    let future = 99_991_231_000_000_i64;
    sqlx::query(rename)
        .bind(newest)
        .bind(future)
        .execute(&superuser)
        .await
        .unwrap();
    let error = db.store.ping().await.unwrap_err();
    assert!(
        matches!(error, Error::SchemaNewer { have, know } if have == future && know == newest),
        "{error}"
    );
    let error = migrate(&cluster.url("postgres", &db.name))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::SchemaNewer { .. }), "{error}");

    sqlx::query("delete from heddle._sqlx_migrations where version = $1")
        .bind(future)
        .execute(&superuser)
        .await
        .unwrap();
    let error = db.store.ping().await.unwrap_err();
    assert!(
        matches!(error, Error::SchemaOlder { have, need } if have < newest && need == newest),
        "{error}"
    );
    assert!(error.to_string().contains("heddled migrate"), "{error}");
}

#[tokio::test]
async fn a_newer_schema_says_which_versions_may_go_on() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    let owner = cluster().url("postgres", &db.name);
    // As if the next release had been here.
    let next = newest_schema() + 1;
    sqlx::query(
        "insert into heddle._sqlx_migrations (version, description, success, checksum, execution_time) \
         values ($1, 'of the next release', true, '', 0)",
    )
    .bind(next)
    .execute(&superuser)
    .await
    .unwrap();
    db.store.ping().await.unwrap();
    let nothing = Migrated {
        schema: next,
        applied: 0,
    };
    assert_eq!(migrate(&owner).await.unwrap(), nothing);

    let raise = "update heddle.compatibility set since = $1";
    let raised = sqlx::query(raise).bind(next).execute(&superuser).await;
    assert_eq!(raised.unwrap().rows_affected(), 1);
    for refused in [
        db.store.ping().await.unwrap_err(),
        migrate(&owner).await.unwrap_err(),
    ] {
        assert!(
            matches!(refused, Error::SchemaNewer { have, know } if have == next && know < next),
            "{refused}"
        );
    }
}
