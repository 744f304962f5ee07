//! Two organisations with equal names everywhere: neither sees a row of the other.

use std::collections::BTreeMap;
use std::time::Duration;

use heddle_model::authz::Role;
use heddle_model::authz::permission::{
    AccountManage, CertificateIssue, ConfigRead, ConfigWrite, JoinTokenWrite, MeshWrite, ProxyWrite,
};
use heddle_model::id::{AuthorityId, MeshId};
use heddle_model::kind::Kind;
use heddle_model::quota::{Limit, Quota};
use heddle_store::authorities::{self, AuthorityKind, AuthorityRow, AuthorityState};
use heddle_store::authority_requests::{self, NewAuthorityRequest};
use heddle_store::certificates::{self, CertificateEntry};
use heddle_store::meshes::MeshRow;
use heddle_store::observations::{self, Heard, Observation, What as Seen};
use heddle_store::proxies::AgentSeen;
use heddle_store::resources::{self, Precondition};
use heddle_store::revocations::{self, Revoked};
use heddle_store::rotations::{self, Mode, NewRotation, What};
use heddle_store::{
    Caller, Error, MeshRef, Store, admin, devices, idempotency, join_tokens, meshes, proxies,
    sessions,
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use uuid::Uuid;

use crate::build::{
    address, arriving, join_token, mesh, mesh_ref, name, ousted, put, route_spec, rule_spec,
    service_spec, split_spec,
};
use crate::rotations::Maker;
use crate::sessions::{Glass, PASSWORD};
use crate::support::{TestDb, grant, start};

struct Seeded {
    caller: Caller,
    mesh: MeshRef,
    api_token: SecretString,
    join_token: SecretString,
    refresh_token: SecretString,
    /// The codes of a device that was let in.
    device: devices::Asked,
    /// The secret in the link of an invitation.
    invitation: SecretString,
    proxy: heddle_model::id::ProxyId,
    service: Uuid,
}

/// At least one row in every table.
async fn seed(db: &TestDb, org: &str) -> Seeded {
    let api_token = db.org(org).await;
    let caller = db.caller(&api_token).await.unwrap();
    let store = &db.store;
    let row = mesh(store, &caller, "prod").await;
    let mesh = mesh_ref(store, &caller, &row).await;
    let (payments, all, split, rule) = (name("payments"), name("all"), name("split"), name("rule"));
    let at = address(row.id, Kind::Service, None, &payments);
    let service = put(store, &caller, &at, &service_spec(8080))
        .await
        .0
        .stored
        .id;
    let at = address(row.id, Kind::Route, Some(service), &all);
    let route = put(store, &caller, &at, &route_spec(1)).await.0.stored.id;
    let at = address(row.id, Kind::Split, Some(route), &split);
    put(store, &caller, &at, &split_spec(1, 1)).await;
    let at = address(row.id, Kind::AccessRule, Some(service), &rule);
    put(store, &caller, &at, &rule_spec("payments")).await;
    let join_token = join_token(store, &caller, row.id, "token", "payments", true).await;
    let joined = proxies::join(store, join_token.expose_secret(), arriving("node"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((joined.mesh, joined.org_name.as_str()), (mesh, org));
    let authority = AuthorityRow {
        state: AuthorityState::Active,
        parent: None,
        id: AuthorityId::from_uuid(Uuid::from_u128(7)),
        kind: AuthorityKind::Root,
        certificate_pem: String::from("pem"),
        sealed_key: vec![1, 2, 3],
        serial: String::from("01"),
        not_before: start(),
        not_after: start(),
    };
    let issuing = AuthorityRow {
        id: AuthorityId::from_uuid(Uuid::from_u128(8)),
        kind: AuthorityKind::Issuing,
        parent: Some(authority.id),
        serial: String::from("02"),
        ..authority.clone()
    };
    authorities::create(store, &mesh, &[authority, issuing])
        .await
        .unwrap();
    proxies::checkpoint(store, &mesh, Uuid::from_u128(7), Some(1), &[])
        .await
        .unwrap();
    certificates::record(store, &mesh, &entry(joined.proxy))
        .await
        .unwrap();
    let mut tx = store
        .begin(&grant::<CertificateIssue>(&caller))
        .await
        .unwrap();
    let leaf = entry(joined.proxy);
    let given = certificates::Certified {
        serial: leaf.serial,
        spiffe_id: leaf.spiffe_id,
        chain_pem: String::new(),
        bundle_pem: String::new(),
        not_before: leaf.not_before,
        not_after: leaf.not_after,
        renew_at: leaf.not_after,
    };
    certificates::give(&mut tx, row.id, &leaf.service, &given, 1)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin(&grant::<ProxyWrite>(&caller)).await.unwrap();
    let ghost = name("ghost");
    revocations::create(&mut tx, row.id, &ghost, &Revoked::Service, "x")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    begin_rotation(store, &caller, &row).await;
    let agent = AgentSeen {
        proxy: joined.proxy,
        serial: None,
        revision: Some(1),
    };
    proxies::agents_seen(store, &mesh, &[agent]).await.unwrap();
    let seen = Observation {
        service: name("payments"),
        port: name("http"),
        what: Seen::Permissive,
        caller: String::from("10.0.0.7"),
        requests: 1,
        refused: 0,
    };
    let heard = Heard {
        proxies: vec![joined.proxy],
        with_loss: Vec::new(),
    };
    observations::keep(store, &mesh, &[seen], &heard)
        .await
        .unwrap();
    let mut tx = store.begin(&grant::<MeshWrite>(&caller)).await.unwrap();
    let wanted = NewAuthorityRequest {
        id: AuthorityId::from_uuid(Uuid::from_u128(9)),
        request_pem: String::from("request"),
        sealed_key: vec![4, 5, 6],
    };
    authority_requests::create(&mut tx, row.id, wanted)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let ada = "ada@example.com".parse().unwrap();
    let password = SecretString::from(PASSWORD);
    let hash = store.hash_password(password.clone()).await.unwrap();
    admin::create_member(store, &name(org), &ada, Role::Owner, Some(&hash))
        .await
        .unwrap();
    let who = (org, ada.as_str());
    let signed_in = sessions::sign_in(store, &Glass::default(), who, password, None)
        .await
        .unwrap()
        .unwrap();
    let sessions::Step::In(signed_in) = signed_in else {
        panic!("there is no second factor yet");
    };
    let device = device(store, signed_in.access_token.expose_secret()).await;
    let owner = db.caller(&signed_in.access_token).await.unwrap();
    crate::second_factors::enrolled(db, &Glass::default(), &owner).await;
    // Hers is the way in from now on.
    let password = SecretString::from(PASSWORD);
    let challenged = sessions::sign_in(store, &Glass::default(), who, password, None).await;
    assert!(matches!(
        challenged,
        Ok(Ok(sessions::Step::SecondFactor(_)))
    ));
    let invitation = crate::invitations::invited(store, &caller).await;
    let mut tx = store.begin(&grant::<ConfigWrite>(&caller)).await.unwrap();
    let answer = idempotency::Answer {
        status: 201,
        headers: serde_json::json!({}),
        body: String::new(),
    };
    idempotency::keep(&mut tx, "k", &[0; 32], &answer)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let limit = Some(Limit::AtMost(7));
    admin::set_quota(store, &name(org), Quota::Meshes, limit)
        .await
        .unwrap();
    Seeded {
        caller,
        mesh,
        api_token,
        join_token,
        refresh_token: signed_in.refresh_token,
        device,
        invitation,
        proxy: joined.proxy,
        service,
    }
}

async fn begin_rotation(store: &Store, caller: &Caller, mesh: &MeshRow) {
    let new = NewRotation {
        what: What::Root,
        mode: Mode::Planned,
        manual: true,
        replace_over: Duration::ZERO,
    };
    let mut tx = store.begin(&grant::<MeshWrite>(caller)).await.unwrap();
    let begun = rotations::start(&mut tx, mesh, &new, &Maker::new()).await;
    begun.unwrap().unwrap();
    tx.commit().await.unwrap();
}

async fn device(store: &Store, session: &str) -> devices::Asked {
    let new = devices::NewRequest {
        client: "tool",
        address: None,
        scopes: None,
    };
    let asked = devices::ask(store, &new).await.unwrap().unwrap();
    let member = store.authenticate(session).await.unwrap().unwrap();
    let own = grant::<AccountManage>(&member);
    let code = asked.user_code.expose_secret();
    let found = devices::find(store, &own, code).await.unwrap().unwrap();
    let mut tx = store.begin(&own).await.unwrap();
    devices::decide(&mut tx, &found, true).await.unwrap();
    tx.commit().await.unwrap();
    asked
}

fn entry(proxy: heddle_model::id::ProxyId) -> CertificateEntry {
    CertificateEntry {
        serial: String::from("0a"),
        proxy,
        service: name("payments"),
        spiffe_id: String::from("spiffe://x/service/payments"),
        authority: AuthorityId::from_uuid(Uuid::from_u128(7)),
        not_before: start(),
        not_after: start(),
        issued_at: start(),
        tbs_sha256: "0".repeat(64),
    }
}

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
