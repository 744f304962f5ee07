//! What one object says about others, and which permission writes which kind.

use heddle_model::authz::permission::{AccessWrite, ConfigWrite};
use heddle_model::kind::Kind;
use heddle_store::Error;
use heddle_store::resources::{self, Precondition};
use serde_json::json;

use crate::build::{address, mesh, name, put, rule_spec, service, service_spec};
use crate::support::{TestDb, grant};

#[tokio::test]
async fn references_and_hosts() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = name("payments");
    let mut sent = service_spec(1);
    sent.insert(String::from("hostnames"), json!(["pay.internal", "pay"]));
    let at = address(mesh.id, Kind::Service, None, &payments);
    let (stored, _) = put(&db.store, &owner, &at, &sent).await;
    service(&db.store, &owner, mesh.id, "ledger").await;

    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let names = [
        name("ledger"),
        name("nobody"),
        name("payments"),
        name("ledger"),
    ];
    let exist = resources::service_exists(&mut tx, mesh.id, &names)
        .await
        .unwrap();
    assert_eq!(exist, [true, false, true, true]);
    for (host, owner) in [
        ("pay.internal", Some("payments")),
        ("pay", Some("payments")),
        ("payments", Some("payments")),
        ("payments.prod.mesh", Some("payments")),
        ("ledger", Some("ledger")),
        ("payments.dev.mesh", None),
        ("internal", None),
        ("hostnames", None),
    ] {
        let found = resources::host_owner(&mut tx, mesh.id, host, None)
            .await
            .unwrap();
        assert_eq!(
            found.as_ref().map(heddle_model::name::Name::as_str),
            owner,
            "{host}"
        );
    }
    let own = resources::host_owner(&mut tx, mesh.id, "pay", Some(stored.stored.id))
        .await
        .unwrap();
    assert_eq!(own, None);
}

#[tokio::test]
async fn a_permission_writes_its_own_kinds_only() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = service(&db.store, &owner, mesh.id, "payments").await;
    let rule = name("rule");
    let at_rule = address(mesh.id, Kind::AccessRule, Some(payments.id), &rule);
    let at_service = address(mesh.id, Kind::Service, None, &rule);
    let at_mesh = address(mesh.id, Kind::Mesh, None, &mesh.name);

    let mut config = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let refused = resources::insert(&mut config, &at_rule, &rule_spec("x")).await;
    assert!(matches!(
        refused,
        Err(Error::NotGranted {
            scope: "config:write",
            kind: "access_rule"
        })
    ));
    let refused = resources::delete(&mut config, &at_mesh, &Precondition::None).await;
    assert!(
        matches!(refused, Err(Error::NotGranted { kind: "mesh", .. })),
        "{refused:?}"
    );
    drop(config);
    let mut access = db.store.begin(&grant::<AccessWrite>(&owner)).await.unwrap();
    let refused = resources::put(
        &mut access,
        &at_service,
        &service_spec(1),
        &Precondition::None,
    )
    .await;
    assert!(
        matches!(
            refused,
            Err(Error::NotGranted {
                scope: "access:write",
                ..
            })
        ),
        "{refused:?}"
    );
    resources::insert(&mut access, &at_rule, &rule_spec("x"))
        .await
        .unwrap();
}

#[tokio::test]
async fn objects_of_several_kinds_come_with_their_places() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let shop = mesh(&db.store, &owner, "shop").await;
    let other = mesh(&db.store, &owner, "other").await;
    let (std, rule) = (name("std"), name("rule"));
    for mesh in [shop.id, other.id] {
        let payments = service(&db.store, &owner, mesh, "payments").await;
        let at = address(mesh, Kind::AccessRule, Some(payments.id), &rule);
        put(&db.store, &owner, &at, &rule_spec("payments")).await;
        let at = address(mesh, Kind::Profile, None, &std);
        put(&db.store, &owner, &at, &service_spec(1)).await;
    }
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let kinds = [Kind::Profile, Kind::AccessRule];
    let placed = resources::placed(&mut tx, shop.id, &kinds).await.unwrap();
    let paths: Vec<_> = placed.iter().map(|placed| placed.path.as_str()).collect();
    assert_eq!(paths, ["payments/rule", "std"]);
}
