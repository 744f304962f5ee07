//! Rights that are lost while a transaction waits.

use chrono::TimeDelta;
use heddle_model::authz::permission::{AccountManage, ConfigWrite};
use heddle_model::authz::{Action, Role};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_store::resources::{self, Precondition};
use heddle_store::tokens::{self, NewToken};
use heddle_store::{Caller, Error, PrincipalRow, Store};
use sqlx::{PgPool, Postgres, Transaction};

use crate::build::{address, mesh, name, service_spec};
use crate::rights::{account, bind, caller_with};
use crate::support::{TestDb, grant, start};

fn plain(token: &str) -> NewToken {
    NewToken {
        name: name(token),
        scopes: None,
        meshes: None,
        expires_at: None,
    }
}

async fn put(store: &Store, caller: &Caller, mesh: MeshId) -> Result<Option<u64>, Error> {
    let service = name("payments");
    let at = address(mesh, Kind::Service, None, &service);
    let mut tx = store.begin(&grant::<ConfigWrite>(caller)).await?;
    resources::put(&mut tx, &at, &service_spec(80), &Precondition::None).await?;
    Ok(tx.commit().await?.revision)
}

async fn make_token(store: &Store, caller: &Caller, whose: &PrincipalRow) -> Result<(), Error> {
    let mut tx = store.begin(&grant::<AccountManage>(caller)).await?;
    tokens::create(&mut tx, Some(whose), &plain("made")).await?;
    tx.commit().await.map(drop)
}

/// Runs `work` while something holds a lock that it needs, and `meanwhile` once it waits.
pub(crate) async fn after<T>(
    database: &PgPool,
    held: Transaction<'_, Postgres>,
    work: impl Future<Output = T>,
    meanwhile: impl Future<Output = ()>,
) -> T {
    let waits = async {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
                         and application_name = 'heddle' and wait_event_type = 'Lock'";
        loop {
            let waiting: i64 = sqlx::query_scalar(waiting)
                .fetch_one(database)
                .await
                .unwrap();
            if waiting == 1 {
                break;
            }
            tokio::task::yield_now().await;
        }
        meanwhile.await;
        held.rollback().await.unwrap();
    };
    tokio::join!(work, waits).0
}

async fn hold(database: &PgPool, table: &str) -> Transaction<'static, Postgres> {
    let mut held = database.begin().await.unwrap();
    sqlx::query(&format!("select from heddle.{table} for no key update"))
        .execute(&mut *held)
        .await
        .unwrap();
    held
}

#[tokio::test]
async fn sec_z11_a_secret_that_was_replaced_while_a_write_waits_is_none() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let (store, database) = (&db.store, db.superuser().await);
    let mesh = mesh(store, &owner, "prod").await.id;
    let ci = caller_with(&db, &owner, "ci", &[(Role::Developer, Some(mesh))]).await;
    let rotate = async |until| {
        let mut tx = store.begin(&grant::<AccountManage>(&owner)).await.unwrap();
        tokens::rotate(&mut tx, "ci", None, true, until)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    // With an overlap the old one goes on for a while.
    let overlap = rotate(start() + TimeDelta::hours(1));
    let held = hold(&database, "meshes").await;
    let written = after(&database, held, put(store, &ci, mesh), overlap).await;
    assert_eq!(written.unwrap(), Some(2));
    db.clock.advance(TimeDelta::hours(1));
    let late = put(store, &ci, mesh).await;
    // Nothing changes, so nothing was done with it either.
    assert_eq!(late.unwrap(), None);

    let ci = caller_with(&db, &owner, "cd", &[(Role::Developer, Some(mesh))]).await;
    let expire = async { db.clock.advance(TimeDelta::days(400)) };
    let mut tx = store.begin(&grant::<AccountManage>(&owner)).await.unwrap();
    let until = Some(start() + TimeDelta::days(1));
    tokens::rotate(&mut tx, "cd", until, false, start() + TimeDelta::days(500))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let held = hold(&database, "meshes").await;
    let other = name("other");
    let at = address(mesh, Kind::Service, None, &other);
    let write = async {
        let mut tx = store.begin(&grant::<ConfigWrite>(&ci)).await?;
        resources::put(&mut tx, &at, &service_spec(80), &Precondition::None).await?;
        tx.commit().await
    };
    let expired = after(&database, held, write, expire).await;
    assert!(matches!(expired, Err(Error::Revoked)), "{expired:?}");
}

#[tokio::test]
async fn sec_z11_a_second_permission_of_a_transaction_must_hold_as_well() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let (store, database) = (&db.store, db.superuser().await);
    let mesh = mesh(store, &owner, "prod").await.id;
    let roles = [(Role::Operator, Some(mesh)), (Role::Developer, None)];
    let ci = caller_with(&db, &owner, "ci", &roles).await;
    let write = async {
        use heddle_model::authz::permission::AccessWrite;
        let mut tx = store.begin(&grant::<ConfigWrite>(&ci)).await?;
        tx.also(&grant::<AccessWrite>(&ci), mesh)?;
        let service = name("payments");
        let at = address(mesh, Kind::Service, None, &service);
        resources::put(&mut tx, &at, &service_spec(80), &Precondition::None).await?;
        tx.commit().await
    };
    let meanwhile = async {
        let taken = "delete from heddle.role_bindings where role = 'operator'";
        sqlx::query(taken).execute(&database).await.unwrap();
    };
    let held = hold(&database, "meshes").await;
    let refused = after(&database, held, write, meanwhile).await;
    let scope = Action::AccessWrite.scope();
    assert!(
        matches!(refused, Err(Error::Forbidden { scope: missing }) if missing == scope),
        "{refused:?}"
    );
    // What the other role permits goes on.
    assert_eq!(put(store, &ci, mesh).await.unwrap(), Some(2));
}

#[tokio::test]
async fn sec_z11_who_lost_a_right_while_waiting_does_not_hand_it_on() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let (store, database) = (&db.store, db.superuser().await);
    let lackey = account(store, &owner, "lackey", &[]).await;
    let strong = account(store, &owner, "strong", &[(Role::Admin, None)]).await;
    for (i, which) in ["bind", "token", "demoted"].into_iter().enumerate() {
        let called = format!("admin-{i}");
        let mut roles = vec![(Role::Admin, None)];
        if which == "demoted" {
            roles.push((Role::Developer, None));
        }
        let admin = caller_with(&db, &owner, &called, &roles).await;
        let meanwhile = async {
            let taken = "delete from heddle.role_bindings b using heddle.principals p \
                         where p.id = b.principal_id and p.name = $1 and b.role = 'admin'";
            sqlx::query(taken)
                .bind(&called)
                .execute(&database)
                .await
                .unwrap();
        };
        let held = hold(&database, "orgs").await;
        let refused = if which == "bind" {
            let given = async {
                bind(store, &admin, &lackey, Role::Admin, None)
                    .await
                    .map(drop)
            };
            after(&database, held, given, meanwhile).await
        } else {
            after(
                &database,
                held,
                make_token(store, &admin, &strong),
                meanwhile,
            )
            .await
        };
        assert!(
            matches!(refused, Err(Error::Forbidden { .. })),
            "{which}: {refused:?}"
        );
    }
    let handed_on: i64 = sqlx::query_scalar(
        "select (select count(*) from heddle.tokens where name = 'made') \
              + (select count(*) from heddle.role_bindings where principal_id = $1)",
    )
    .bind(lackey.id.uuid())
    .fetch_one(&database)
    .await
    .unwrap();
    assert_eq!(handed_on, 0);
}
