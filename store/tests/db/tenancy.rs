//! Two organisations with equal names everywhere: neither sees a row of the other.

mod seed;

use std::collections::BTreeMap;

use heddle_model::authz::permission::{
    ConfigRead, ConfigWrite, JoinTokenWrite, MeshWrite, ProxyWrite,
};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_store::resources::{self, Precondition};
use heddle_store::{Error, join_tokens, meshes, proxies};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use uuid::Uuid;

use crate::build::{address, name, ousted, route_spec};
use crate::sessions::PASSWORD;
use crate::support::{TestDb, grant};
use seed::seed;

async fn tables(db: &TestDb) -> Vec<String> {
    sqlx::query_scalar(
        "select table_name::text from information_schema.columns \
         where table_schema = 'heddle' and column_name = 'org_id' order by 1",
    )
    .fetch_all(&db.superuser().await)
    .await
    .unwrap()
}

/// What a tenant counts in each table: all rows it sees, and those among them that are `whose`.
async fn count(
    pool: &PgPool,
    tables: &[String],
    as_org: Uuid,
    whose: Uuid,
) -> BTreeMap<String, (i64, i64)> {
    let mut counts = BTreeMap::new();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query(
        "select set_config('role', 'heddle_tenant', true), set_config('heddle.org_id', $1, true)",
    )
    .bind(as_org.to_string())
    .execute(&mut *tx)
    .await
    .unwrap();
    for table in tables {
        let sql =
            format!("select count(*), count(*) filter (where org_id = $1) from heddle.{table}");
        let row = sqlx::query_as(&sql)
            .bind(whose)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        counts.insert(table.clone(), row);
    }
    counts
}

#[tokio::test]
async fn sec_t06_two_tenants_with_equal_names_never_meet() {
    let db = TestDb::new().await;
    let acme = seed(&db, "acme").await;
    let rival = seed(&db, "rival").await;
    let tables = tables(&db).await;
    let (a, b) = (acme.caller.org().uuid(), rival.caller.org().uuid());
    // As a superuser who becomes a tenant, too: forced row security and the role bite there as well.
    for pool in [db.server().await, db.superuser().await] {
        for (me, other) in [(a, b), (b, a)] {
            let own = count(&pool, &tables, me, me).await;
            let foreign = count(&pool, &tables, me, other).await;
            for table in &tables {
                let (seen, mine) = own[table];
                assert!(mine > 0, "{table} was seeded");
                assert_eq!(seen, mine, "{table}");
                assert_eq!(foreign[table], (seen, 0), "{table}");
            }
        }
        let nobody = count(&pool, &tables, Uuid::from_u128(99), a).await;
        assert!(nobody.values().all(|seen| *seen == (0, 0)), "{nobody:?}");
    }
    // Credentials lead to their own organisation only.
    assert_eq!(
        db.caller(&acme.api_token).await.unwrap().org(),
        acme.caller.org()
    );
    let scope = proxies::token_scope(&db.store, rival.join_token.expose_secret())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((scope.mesh, scope.org_name.as_str()), (rival.mesh, "rival"));
    assert_eq!(scope.grant().org(), rival.caller.org());
}

#[tokio::test]
async fn sec_t02_foreign_identifiers_are_not_found() {
    let db = TestDb::new().await;
    let acme = seed(&db, "acme").await;
    let rival = seed(&db, "rival").await;
    let store = &db.store;
    let (mesh, service): (MeshId, Uuid) = (acme.mesh.mesh(), acme.service);

    let mut tx = store
        .begin(&grant::<ConfigRead>(&rival.caller))
        .await
        .unwrap();
    assert_eq!(
        meshes::find(&mut tx, &mesh.to_string()).await.unwrap(),
        None
    );
    let found = resources::find(&mut tx, mesh, Kind::Service, None, "payments")
        .await
        .unwrap();
    assert_eq!(found, None);
    assert_eq!(
        resources::all(&mut tx, mesh, Kind::Route, Some(service))
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        resources::service_exists(&mut tx, mesh, &[name("payments")])
            .await
            .unwrap(),
        [false]
    );
    assert_eq!(
        resources::host_owner(&mut tx, mesh, "payments", None)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        join_tokens::find(&mut tx, mesh, "token").await.unwrap(),
        None
    );
    assert_eq!(
        proxies::find(&mut tx, mesh, &acme.proxy.to_string())
            .await
            .unwrap(),
        None
    );
    assert_eq!(proxies::page(&mut tx, mesh, None, 10).await.unwrap(), []);
    drop(tx);

    let before = tables_dump(&db).await;
    let intruder = name("intruder");
    let at = address(mesh, Kind::Service, None, &intruder);
    let below = address(rival.mesh.mesh(), Kind::Route, Some(service), &intruder);
    for at in [at, below] {
        let mut tx = store
            .begin(&grant::<ConfigWrite>(&rival.caller))
            .await
            .unwrap();
        let put = resources::put(&mut tx, &at, &route_spec(9), &Precondition::None).await;
        assert!(matches!(put, Err(Error::NotFound)), "{put:?}");
    }
    let mut tx = store
        .begin(&grant::<ConfigWrite>(&rival.caller))
        .await
        .unwrap();
    let payments = name("payments");
    let at = address(mesh, Kind::Service, None, &payments);
    let deleted = resources::delete(&mut tx, &at, &Precondition::None).await;
    assert!(matches!(deleted, Err(Error::NotFound)), "{deleted:?}");
    drop(tx);
    // Rows that were obtained honestly, in the wrong transaction.
    let mut tx = store
        .begin(&grant::<ConfigRead>(&acme.caller))
        .await
        .unwrap();
    let row = meshes::require(&mut tx, "prod").await.unwrap();
    let proxy = proxies::find(&mut tx, mesh, "node").await.unwrap().unwrap();
    drop(tx);
    let mut tx = store
        .begin(&grant::<MeshWrite>(&rival.caller))
        .await
        .unwrap();
    let deleted = meshes::delete(&mut tx, &row, &Precondition::None).await;
    assert!(matches!(deleted, Err(Error::NotFound)), "{deleted:?}");
    let mut tx = store
        .begin(&grant::<JoinTokenWrite>(&rival.caller))
        .await
        .unwrap();
    let revoked = join_tokens::revoke(&mut tx, mesh, "token").await;
    assert!(matches!(revoked, Err(Error::NotFound)), "{revoked:?}");
    let mut tx = store
        .begin(&grant::<ProxyWrite>(&rival.caller))
        .await
        .unwrap();
    let forgotten = proxies::forget(&mut tx, mesh, &proxy).await;
    assert!(matches!(forgotten, Err(Error::NotFound)), "{forgotten:?}");
    drop(tx);
    assert_eq!(tables_dump(&db).await, before);
    // A proxy of one mesh is none of the other's.
    let gone = ousted(store, &rival.mesh, &[acme.proxy, rival.proxy]).await;
    assert_eq!(gone, [acme.proxy]);
}

async fn tables_dump(db: &TestDb) -> Vec<String> {
    let superuser = db.superuser().await;
    let mut dump = Vec::new();
    for table in tables(db).await {
        let sql = format!("select t::text from heddle.{table} t order by 1");
        let rows: Vec<String> = sqlx::query_scalar(&sql)
            .fetch_all(&superuser)
            .await
            .unwrap();
        dump.extend(rows);
    }
    dump
}

#[tokio::test]
async fn sec_t12_writing_a_foreign_row_is_refused_and_foreign_keys_stay_at_home() {
    let db = TestDb::new().await;
    let acme = seed(&db, "acme").await;
    let rival = seed(&db, "rival").await;
    let server = db.server().await;
    let (me, other) = (rival.caller.org().uuid(), acme.caller.org().uuid());
    let mesh = acme.mesh.mesh().uuid();
    // insufficient_privilege: the policy's check. foreign_key_violation: the mesh exists, but not for this organisation.
    for (org, code) in [(other, "42501"), (me, "23503")] {
        let mut tx = server.begin().await.unwrap();
        sqlx::query("select set_config('role', 'heddle_tenant', true), set_config('heddle.org_id', $1, true)")
            .bind(me.to_string())
            .execute(&mut *tx)
            .await
            .unwrap();
        let error = sqlx::query(
            "insert into heddle.resources (org_id, mesh_id, id, kind, name, spec, spec_version, from_revision, \
                                           created_at, updated_at) \
             values ($1, $2, $2, 'service', 'intruder', '{}', 1, 1, now(), now())",
        )
        .bind(org)
        .bind(mesh)
        .execute(&mut *tx)
        .await
        .unwrap_err();
        assert_eq!(
            error.as_database_error().unwrap().code().unwrap(),
            code,
            "{error}"
        );
    }
}

#[tokio::test]
async fn sec_k01_no_secret_in_the_audit_log_or_anywhere_in_plain() {
    let db = TestDb::new().await;
    let acme = seed(&db, "acme").await;
    let dump = tables_dump(&db).await.join("\n");
    assert!(dump.contains("payments"), "the dump has the rows");
    let password = SecretString::from(format!("_{PASSWORD}"));
    for secret in [
        &acme.api_token,
        &acme.join_token,
        &acme.refresh_token,
        &acme.device.device_code,
        &acme.device.user_code,
        &acme.invitation,
        &password,
    ] {
        let text = secret.expose_secret();
        let body = &text[text.rfind('_').map_or(0, |at| at + 1)..];
        assert!(!dump.contains(text) && !dump.contains(body));
    }
    let log: Vec<String> = sqlx::query_scalar("select c::text from heddle.changes c")
        .fetch_all(&db.superuser().await)
        .await
        .unwrap();
    let log = log.join("\n");
    for kind in [
        "token",
        "join_token",
        "authority",
        "proxy",
        "org",
        "mesh",
        "split",
    ] {
        assert!(log.contains(&format!(",{kind},")), "{kind} is in the log");
    }
    assert!(!log.contains("hash") && !log.contains("sealed"), "{log}");
    let hashes: Vec<String> = sqlx::query_scalar(
        "select encode(hash, 'hex') from heddle.tokens union all select encode(hash, 'hex') from heddle.join_tokens",
    )
    .fetch_all(&db.superuser().await)
    .await
    .unwrap();
    assert_eq!(hashes.len(), 2);
    assert!(hashes.iter().all(|hash| !log.contains(hash)));
}
