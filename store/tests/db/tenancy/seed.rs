//! An organisation with at least one row in every table.

use std::time::Duration;

use heddle_model::authz::Role;
use heddle_model::authz::permission::{
    AccountManage, CertificateIssue, ConfigWrite, MemberWrite, MeshWrite, ProxyWrite, WebhookWrite,
};
use heddle_model::id::AuthorityId;
use heddle_model::kind::Kind;
use heddle_model::quota::{Limit, Quota};
use heddle_store::authorities::{self, AuthorityKind, AuthorityRow, AuthorityState};
use heddle_store::authority_requests::{self, NewAuthorityRequest};
use heddle_store::certificates::{self, CertificateEntry};
use heddle_store::meshes::MeshRow;
use heddle_store::observations::{self, Heard, Observation, What as Seen};
use heddle_store::proxies::AgentSeen;
use heddle_store::revocations::{self, Revoked};
use heddle_store::rotations::{self, Mode, NewRotation, What};
use heddle_store::sso_connections::{self, NewConnection};
use heddle_store::sso_sign_ins::{self, Vouched};
use heddle_store::webhooks::{self, Topic, Wanted};
use heddle_store::{
    Caller, MeshRef, Store, admin, devices, idempotency, identities, proxies, sessions,
};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::build::{
    address, arriving, join_token, mesh, mesh_ref, name, put, route_spec, rule_spec, service_spec,
    split_spec,
};
use crate::rotations::Maker;
use crate::sessions::{Glass, PASSWORD};
use crate::support::{TestDb, grant, start};

pub(super) struct Seeded {
    pub(super) caller: Caller,
    pub(super) mesh: MeshRef,
    pub(super) api_token: SecretString,
    pub(super) join_token: SecretString,
    pub(super) refresh_token: SecretString,
    /// The codes of a device that was let in.
    pub(super) device: devices::Asked,
    /// The secret in the link of an invitation.
    pub(super) invitation: SecretString,
    pub(super) proxy: heddle_model::id::ProxyId,
    pub(super) service: Uuid,
}

/// At least one row in every table.
pub(super) async fn seed(db: &TestDb, org: &str) -> Seeded {
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
    provider(store, &owner).await;
    webhook(store, &owner).await;
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

/// A webhook with a secret, that waits for a message.
async fn webhook(store: &Store, owner: &Caller) {
    let may = grant::<WebhookWrite>(owner);
    let secret = webhooks::draw(store, &Glass::default(), may.org()).await;
    let wanted = Wanted {
        url: "https://hooks.example.com".to_owned(),
        topics: Topic::ALL.to_vec(),
        enabled: true,
    };
    let mut tx = store.begin(&may).await.unwrap();
    webhooks::create(&mut tx, &name("releases"), &wanted, &secret.unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// A provider that somebody is linked at, and somebody who is on the way to it.
async fn provider(store: &Store, owner: &Caller) {
    let sealer = Glass::default();
    let may = grant::<MemberWrite>(owner);
    let id = sso_connections::draw_id(store);
    let secret = SecretString::from("s3cr3t");
    let secret = sso_connections::seal(&sealer, &may, id, &secret).await;
    let new = NewConnection {
        id,
        name: &name("workforce"),
        display_name: None,
        issuer: "https://id.example.com",
        client_id: "heddle",
        secret: Some(secret.unwrap()),
    };
    let mut tx = store.begin(&may).await.unwrap();
    sso_connections::create(&mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    let own = owner.grant_to_enrol::<AccountManage>("-").unwrap();
    for linked in [true, false] {
        let mut tx = store.begin(&own).await.unwrap();
        let sent = sso_sign_ins::send_to_link(&mut tx, "workforce")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        if linked {
            let taken = sso_sign_ins::take_to_link(store, &sealer, &own, &sent.secret).await;
            let vouched = Vouched {
                subject: "ada",
                email: Some("ada@example.com"),
                name: None,
                authenticated_at: None,
            };
            let mut tx = store.begin(&own).await.unwrap();
            let taken = taken.unwrap().unwrap();
            identities::link(&mut tx, &taken, &vouched).await.unwrap();
            tx.commit().await.unwrap();
        }
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
