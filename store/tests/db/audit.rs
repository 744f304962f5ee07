//! The audit log: complete, append-only, and a chain that shows what was done to it.

use heddle_model::authz::Role;
use heddle_model::authz::permission::{AuditRead, ConfigWrite, JoinTokenWrite};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_store::audit::{self, AuditFilter, Fault, Head, Verified};
use heddle_store::sessions::{self, Refused};
use heddle_store::{Caller, Visitor, admin, join_tokens, resources};
use secrecy::SecretString;
use uuid::Uuid;

use crate::build::{address, join_token, mesh, name, put, service, service_spec};
use crate::rights::caller_with;
use crate::sessions::{Glass, PASSWORD};
use crate::support::{TestDb, grant};

async fn verify(db: &TestDb, noted: &[Head]) -> Verified {
    audit::verify(&db.store, &name("acme"), noted)
        .await
        .unwrap()
}

/// A mesh with some history, and an organisation with a little.
async fn world(db: &TestDb) -> (Caller, Uuid) {
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    for text in ["a", "b", "c"] {
        service(&db.store, &owner, mesh.id, text).await;
    }
    (owner, mesh.id.uuid())
}

async fn rows(db: &TestDb, filter: &AuditFilter) -> Vec<String> {
    let acme = db.token("acme", Role::Auditor, "auditor").await;
    let auditor = db.caller(&acme).await.unwrap();
    let mut tx = db.store.begin(&grant::<AuditRead>(&auditor)).await.unwrap();
    let rows = audit::page(&mut tx, filter, None, 100).await.unwrap();
    rows.iter()
        .map(|row| {
            let outcome = row.outcome.as_deref().unwrap_or("?");
            format!("{} {} {} {outcome}", row.action, row.kind, row.name)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_hold_however_many_append_at_once() {
    const WRITERS: u16 = 12;
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let (one, two) = (
        mesh(&db.store, &owner, "one").await.id,
        mesh(&db.store, &owner, "two").await.id,
    );
    for text in ["one", "two"] {
        service(
            &db.store,
            &owner,
            if text == "one" { one } else { two },
            "s",
        )
        .await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, owner) = (db.store.clone(), owner.clone());
        tasks.spawn(async move {
            for write in 1..=5 {
                // The mesh's own row is no lock for join tokens, nor for the organisation's.
                let mesh = if writer % 2 == 0 { one } else { two };
                let token = format!("t{writer}-{write}");
                join_token(&store, &owner, mesh, &token, "s", true).await;
                let service = name(&format!("s{writer}"));
                let at = address(mesh, Kind::Service, None, &service);
                put(&store, &owner, &at, &service_spec(write)).await;
                let acme = name("acme");
                admin::create_token(&store, &acme, Role::Viewer, &name(&token), None)
                    .await
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
    let verified = verify(&db, &[]).await;
    assert_eq!(verified.broken, []);
    assert_eq!(verified.unchained, 0);
    let mut lengths: Vec<u64> = verified.heads.iter().map(|head| head.seq).collect();
    lengths.sort_unstable();
    let each = u64::from(WRITERS / 2) * 5 * 2;
    assert_eq!(lengths, [2 + each, 2 + each, 2 + u64::from(WRITERS) * 5]);
}

#[tokio::test]
async fn one_transaction_appends_many_rows_in_their_order() {
    let db = TestDb::new().await;
    let (owner, mesh) = world(&db).await;
    let mesh = MeshId::from_uuid(mesh);
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    for n in 0..200 {
        let text = name(&format!("many-{n:03}"));
        let at = address(mesh, Kind::Service, None, &text);
        // Whatever numbers look like, and whatever text holds.
        let mut spec = service_spec(8080);
        spec.insert(
            String::from("labels"),
            serde_json::json!({"x": "\u{1F980} \"\\ \u{7f}", "n": 1.50, "e": 1e300, "z": -0.0, "b": 18_446_744_073_709_551_615_u64}),
        );
        resources::insert(&mut tx, &at, &spec).await.unwrap();
    }
    tx.commit().await.unwrap();
    let verified = verify(&db, &[]).await;
    assert_eq!(verified.broken, []);
    let superuser = db.superuser().await;
    let names: Vec<String> =
        sqlx::query_scalar("select name from heddle.changes where name like 'many-%' order by seq")
            .fetch_all(&superuser)
            .await
            .unwrap();
    assert_eq!(names.len(), 200);
    assert!(names.is_sorted());
}

#[tokio::test]
async fn what_is_not_committed_is_not_in_the_chain() {
    let db = TestDb::new().await;
    let (owner, mesh) = world(&db).await;
    let before = verify(&db, &[]).await;
    let mut tx = db
        .store
        .begin(&grant::<JoinTokenWrite>(&owner))
        .await
        .unwrap();
    let new = join_tokens::NewJoinToken {
        name: name("t"),
        service: name("a"),
        reusable: true,
        expires_at: None,
        bounds: join_tokens::Bounds::default(),
    };
    let mesh = MeshId::from_uuid(mesh);
    join_tokens::create(&mut tx, mesh, &new).await.unwrap();
    tx.roll_back().await.unwrap();
    assert_eq!(verify(&db, &[]).await, before);
}

/// Whatever is done to a row by somebody who may do anything is found, and where.
#[tokio::test]
async fn altering_deleting_reordering_and_truncating_are_found() {
    let db = TestDb::new().await;
    let (owner, mesh) = world(&db).await;
    let superuser = db.superuser().await;
    let whole = verify(&db, &[]).await;
    assert_eq!(whole.broken, []);
    assert_eq!(whole.heads.iter().map(|h| h.seq).max(), Some(4));
    let altered = |seq| Fault::Altered { seq };
    let columns = [
        "actor = 'somebody else'",
        "at = at + interval '1 microsecond'",
        "client = 'x'",
        "ip = '10.0.0.1'",
        "token_id = gen_random_uuid()",
        "message = 'x'",
        "change_group = 'x'",
        "revision = 77",
        "action = 'replace'",
        "kind = 'route'",
        "resource_id = gen_random_uuid()",
        "name = 'z'",
        "outcome = 'refused'",
        "before = '{}'",
        "after = jsonb_set(after, '{ports,0,port}', '1')",
        "id = gen_random_uuid()",
    ];
    let mut cases: Vec<(String, Fault)> = columns
        .iter()
        .map(|column| {
            let sql = format!("update heddle.changes set {column} where chain = $1 and seq = 2");
            (sql, altered(2))
        })
        .collect();
    let more = [
        (
            "update heddle.changes set hash = sha256('x') where chain = $1 and seq = 2",
            altered(2),
        ),
        (
            "update heddle.changes set previous_hash = sha256('x') where chain = $1 and seq = 2",
            Fault::Unlinked { seq: 2 },
        ),
        (
            "delete from heddle.changes where chain = $1 and seq = 1",
            Fault::Missing { seq: 1 },
        ),
        (
            "delete from heddle.changes where chain = $1 and seq = 3",
            Fault::Missing { seq: 3 },
        ),
        (
            "update heddle.changes set chain = null, seq = null, hash = null, previous_hash = null, outcome = null \
             where chain = $1 and seq = 3",
            Fault::Missing { seq: 3 },
        ),
        (
            "delete from heddle.changes where chain = $1 and seq = 2; \
             update heddle.changes set seq = 2 where chain = $1 and seq = 3; \
             update heddle.changes set seq = 3 where chain = $1 and seq = 4",
            Fault::Unlinked { seq: 2 },
        ),
        // Two rows change places, hashes and all, or only what they say.
        (
            "update heddle.changes set seq = 9 where chain = $1 and seq = 2; \
             update heddle.changes set seq = 2 where chain = $1 and seq = 3; \
             update heddle.changes set seq = 3 where chain = $1 and seq = 9",
            Fault::Unlinked { seq: 2 },
        ),
        (
            "update heddle.changes c set name = o.name, resource_id = o.resource_id, after = o.after, revision = o.revision \
             from heddle.changes o where c.chain = $1 and o.chain = $1 and (c.seq, o.seq) in ((2, 3), (3, 2))",
            altered(2),
        ),
        (
            "delete from heddle.changes where chain = $1 and seq = 4",
            Fault::CutOff {
                expected: 4,
                found: 3,
            },
        ),
        (
            "delete from heddle.changes where chain = $1",
            Fault::CutOff {
                expected: 4,
                found: 0,
            },
        ),
        (
            "delete from heddle.audit_heads where chain = $1",
            Fault::NoHead,
        ),
        (
            "delete from heddle.audit_heads where chain = $1; delete from heddle.changes where chain = $1",
            Fault::NoHead,
        ),
    ];
    cases.extend(more.map(|(sql, fault)| (sql.to_owned(), fault)));
    for (sql, fault) in cases {
        keep(&superuser).await;
        let mut tx = superuser.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica")
            .execute(&mut *tx)
            .await
            .unwrap();
        for one in sql.split("; ") {
            let done = sqlx::query(one).bind(mesh).execute(&mut *tx).await;
            assert!(done.unwrap().rows_affected() > 0, "{one}");
        }
        tx.commit().await.unwrap();
        assert_eq!(verify(&db, &[]).await.broken, [(mesh, fault)], "{sql}");
        put_back(&superuser).await;
        assert_eq!(verify(&db, &[]).await, whole, "{sql}");
    }

    // Who rewrites the whole chain, hashes, end and all, is found by an end that was kept elsewhere.
    keep(&superuser).await;
    let mut tx = superuser.begin().await.unwrap();
    for sql in [
        "set local session_replication_role = replica",
        "delete from heddle.changes c using heddle.meshes m where c.chain = m.mesh_id",
        "update heddle.audit_heads h set seq = 0, hash = decode(repeat('00', 32), 'hex') from heddle.meshes m where h.chain = m.mesh_id",
    ] {
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(verify(&db, &[]).await.broken, []);
    let noted = whole.heads.clone();
    let cut = Fault::CutOff {
        expected: 4,
        found: 0,
    };
    assert_eq!(verify(&db, &noted).await.broken, [(mesh, cut)]);
    let id = MeshId::from_uuid(mesh);
    for text in ["a", "b", "c", "d"] {
        service(&db.store, &owner, id, &format!("new-{text}")).await;
    }
    let rewritten = Fault::Rewritten { seq: 4 };
    assert_eq!(verify(&db, &noted).await.broken, [(mesh, rewritten)]);
    put_back(&superuser).await;
    assert_eq!(verify(&db, &noted).await, whole);
}

/// Takes a copy of the log.
async fn keep(superuser: &sqlx::PgPool) {
    sqlx::raw_sql(
        "drop table if exists public.kept_changes, public.kept_heads; \
         create table public.kept_changes as select * from heddle.changes; \
         create table public.kept_heads as select * from heddle.audit_heads",
    )
    .execute(superuser)
    .await
    .unwrap();
}

async fn put_back(superuser: &sqlx::PgPool) {
    sqlx::raw_sql(
        "begin; set local session_replication_role = replica; \
         delete from heddle.changes; insert into heddle.changes select * from public.kept_changes; \
         delete from heddle.audit_heads; insert into heddle.audit_heads select * from public.kept_heads; commit",
    )
    .execute(superuser)
    .await
    .unwrap();
}

#[tokio::test]
async fn the_server_can_append_and_nothing_else() {
    let db = TestDb::new().await;
    let (owner, mesh) = world(&db).await;
    let server = db.server().await;
    for (sql, code) in [
        ("update heddle.changes set actor = 'x'", "42501"),
        ("delete from heddle.changes", "42501"),
        ("truncate heddle.changes", "42501"),
        ("delete from heddle.audit_heads", "42501"),
        ("truncate heddle.audit_heads", "42501"),
        (
            "alter table heddle.audit_heads disable trigger all",
            "42501",
        ),
        ("update heddle.audit_heads set seq = 0", "P0001"),
        ("update heddle.audit_heads set hash = sha256('x')", "P0001"),
        (
            "update heddle.audit_heads set chain = gen_random_uuid(), seq = seq + 1",
            "P0001",
        ),
    ] {
        let mut tx = server.begin().await.unwrap();
        let org = owner.org().uuid();
        let enter = format!("set local role heddle_tenant; set local heddle.org_id = '{org}'");
        sqlx::raw_sql(&enter).execute(&mut *tx).await.unwrap();
        let error = sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap_err();
        let found = error.as_database_error().unwrap().code().unwrap();
        assert_eq!(found, code, "{sql}: {error}");
    }
    // A row that takes a place that is taken is refused, whoever writes it.
    let sql = "insert into heddle.changes (org_id, id, actor, action, kind, resource_id, name, at, outcome, chain, mesh_id, seq, previous_hash, hash) \
               select org_id, gen_random_uuid(), actor, action, kind, resource_id, name, at, outcome, chain, mesh_id, seq, previous_hash, hash \
               from heddle.changes where chain = $1 and seq = 2";
    let again = sqlx::query(sql)
        .bind(mesh)
        .execute(&db.superuser().await)
        .await
        .unwrap_err();
    let constraint = again.as_database_error().unwrap().constraint();
    assert_eq!(constraint, Some("changes_chain_key"));
}

#[tokio::test]
async fn signing_in_is_in_the_log_also_when_it_fails() {
    let db = TestDb::new().await;
    db.org("acme").await;
    let hash = db.store.hash_password(SecretString::from(PASSWORD)).await;
    let (acme, ada) = (name("acme"), "ada@example.com".parse().unwrap());
    admin::create_member(&db.store, &acme, &ada, Role::Viewer, Some(&hash.unwrap()))
        .await
        .unwrap();
    let sealer = Glass::default();
    let from = Visitor {
        client: Some("curl"),
        ip: Some("192.0.2.7".parse().unwrap()),
    };
    let attempt = async |org: &str, email: &str, password: &str| {
        let password = SecretString::from(password);
        let signed = sessions::sign_in(&db.store, &sealer, (org, email), password, from).await;
        signed.unwrap().map(|_| ())
    };
    let wrong = Err(Refused::Credentials);
    assert_eq!(attempt("acme", "ada@example.com", PASSWORD).await, Ok(()));
    assert_eq!(attempt("acme", "ada@example.com", "no").await, wrong);
    assert_eq!(attempt("acme", "eve@example.com", "no").await, wrong);
    // Typed into the wrong field.
    assert_eq!(attempt("acme", PASSWORD, "no").await, wrong);
    assert_eq!(attempt("nowhere", "ada@example.com", "no").await, wrong);
    let filter = AuditFilter {
        action: Some(String::from("sign_in")),
        ..AuditFilter::default()
    };
    let seen = rows(&db, &filter).await;
    assert_eq!(
        seen,
        [
            "sign_in member (no address) refused",
            "sign_in member eve@example.com refused",
            "sign_in member ada@example.com refused",
            "sign_in session ada@example.com done",
        ]
    );
    let from: Vec<String> = sqlx::query_scalar(
        "select host(ip) || ' ' || client from heddle.changes where action = 'sign_in'",
    )
    .fetch_all(&db.superuser().await)
    .await
    .unwrap();
    assert_eq!(from, ["192.0.2.7 curl"; 4]);
    assert_eq!(verify(&db, &[]).await.broken, []);
}

#[tokio::test]
async fn who_reads_one_mesh_reads_its_chain_alone() {
    let db = TestDb::new().await;
    let (owner, prod) = world(&db).await;
    let filter = AuditFilter {
        kind: Some(String::from("service")),
        ..AuditFilter::default()
    };
    assert_eq!(
        rows(&db, &filter).await,
        [
            "create service c done",
            "create service b done",
            "create service a done"
        ]
    );
    let roles = [(Role::Auditor, Some(MeshId::from_uuid(prod)))];
    let auditor = caller_with(&db, &owner, "ci", &roles).await;
    let mut tx = db.store.begin(&grant::<AuditRead>(&auditor)).await.unwrap();
    let all = audit::page(&mut tx, &AuditFilter::default(), None, 100)
        .await
        .unwrap();
    // The mesh, its services, and the role at it.
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|row| row.mesh_id == Some(prod)));
    let heads = audit::heads(&mut tx).await.unwrap();
    assert_eq!(heads.iter().map(|h| h.chain).collect::<Vec<_>>(), [prod]);
    let links = audit::links(&mut tx, &heads[0], 1, 2).await.unwrap();
    assert_eq!(links.iter().map(|l| l.seq).collect::<Vec<_>>(), [2, 3]);
    let other = Head {
        chain: auditor.org().uuid(),
        ..heads[0].clone()
    };
    let refused = audit::links(&mut tx, &other, 0, 2).await;
    assert!(
        matches!(refused, Err(heddle_store::Error::Forbidden { .. })),
        "{refused:?}"
    );
}
