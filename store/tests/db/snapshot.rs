//! Snapshots: complete, sorted, and never lost to one bad row.

use heddle_model::authz::permission::{ConfigWrite, MeshWrite};
use heddle_model::id::{MeshId, ServiceId};
use heddle_model::kind::{AccessRule, Kind, Mesh, Spec as _};
use heddle_store::resources::{self, Precondition};
use heddle_store::{Error, meshes};

use crate::build::{
    address, mesh, mesh_ref, name, object, put, route_spec, rule_spec, service, service_spec,
    split_spec,
};
use crate::support::{TestDb, grant};

#[tokio::test]
async fn a_snapshot_has_everything_in_order() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mesh_ref = mesh_ref(&db.store, &owner, &mesh).await;
    let payments = service(&db.store, &owner, mesh.id, "payments").await;
    service(&db.store, &owner, mesh.id, "checkout").await;
    for (route, priority) in [("z", 1), ("b", 30), ("a", 200)] {
        let route = name(route);
        let at = address(mesh.id, Kind::Route, Some(payments.id), &route);
        let (put_route, _) = put(&db.store, &owner, &at, &route_spec(priority)).await;
        if priority == 30 {
            let split = name("split");
            let at = address(mesh.id, Kind::Split, Some(put_route.stored.id), &split);
            put(&db.store, &owner, &at, &split_spec(90, 10)).await;
        }
    }
    for rule in ["two", "one"] {
        let rule = name(rule);
        let at = address(mesh.id, Kind::AccessRule, Some(payments.id), &rule);
        put(&db.store, &owner, &at, &rule_spec("checkout")).await;
    }
    let loaded = db.store.snapshot(&mesh_ref).await.unwrap().unwrap();
    assert!(loaded.skipped.is_empty(), "{:?}", loaded.skipped);
    let snapshot = loaded.snapshot;
    assert_eq!(snapshot.org, owner.org());
    assert_eq!(snapshot.revision, 9);
    assert_eq!(snapshot.trust_domain, mesh.trust_domain);
    assert_eq!((snapshot.mesh.id, snapshot.mesh.revision), (mesh.id, 1));
    assert_eq!(snapshot.mesh.spec.deletion_protection, Some(false));
    let names: Vec<&str> = snapshot
        .services
        .keys()
        .map(heddle_model::name::Name::as_str)
        .collect();
    assert_eq!(names, ["checkout", "payments"]);
    let node = &snapshot.services["payments"];
    assert_eq!(node.service.id, ServiceId::from_uuid(payments.id));
    assert_eq!(node.service.revision, 2);
    let routes: Vec<_> = node
        .routes
        .iter()
        .map(|r| (r.route.name.as_str(), r.split.is_some()))
        .collect();
    assert_eq!(routes, [("z", false), ("b", true), ("a", false)]);
    let rules: Vec<_> = node.access_rules.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(rules, ["one", "two"]);
}

/// After each write, the mesh as it is read from what was known before, one step back and from the very beginning, is the mesh as it is
/// read whole.
#[tokio::test]
async fn what_is_read_on_is_what_is_read_whole() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mesh_ref = mesh_ref(&db.store, &owner, &mesh).await;
    let whole = async || {
        let loaded = db.store.snapshot(&mesh_ref).await.unwrap().unwrap();
        assert!(loaded.skipped.is_empty(), "{:?}", loaded.skipped);
        loaded.snapshot
    };
    let first = whole().await;
    let mut last = first.clone();
    let mut same = async |what: &str| {
        let now = whole().await;
        assert_eq!(now.revision, last.revision + 1, "{what}");
        for known in [&first, &last, &now] {
            let after = db.store.snapshot_after(&mesh_ref, known).await;
            let after = after.unwrap().unwrap();
            assert!(after.skipped.is_empty(), "{what}: {:?}", after.skipped);
            assert_eq!(after.snapshot, now, "{what}");
        }
        last = now;
    };
    let written = async |kind, parent, text: &str, sent: &serde_json::Map<_, _>| {
        let text = name(text);
        let at = address(mesh.id, kind, parent, &text);
        put(&db.store, &owner, &at, sent).await.0.stored.id
    };
    let deleted = async |kind, parent, text: &str| {
        let text = name(text);
        let at = address(mesh.id, kind, parent, &text);
        let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
        let gone = resources::delete(&mut tx, &at, &Precondition::None).await;
        gone.unwrap();
        tx.commit().await.unwrap();
    };
    let mut services = Vec::new();
    for text in ["payments", "checkout", "orders"] {
        services.push(service(&db.store, &owner, mesh.id, text).await.id);
        same("a service comes").await;
    }
    let [payments, checkout, _] = services[..] else {
        unreachable!("three were made")
    };
    let route = written(Kind::Route, Some(payments), "all", &route_spec(1)).await;
    same("a route comes").await;
    written(Kind::Split, Some(route), "split", &split_spec(90, 10)).await;
    same("a split comes").await;
    written(Kind::Split, Some(route), "split", &split_spec(50, 50)).await;
    same("a split changes").await;
    written(
        Kind::AccessRule,
        Some(checkout),
        "one",
        &rule_spec("payments"),
    )
    .await;
    same("a rule comes").await;
    written(
        Kind::Profile,
        None,
        "p",
        &object(heddle_model::kind::Profile::sample()),
    )
    .await;
    same("a profile comes").await;
    written(Kind::Service, None, "orders", &service_spec(9090)).await;
    same("a service changes").await;
    let mut tx = db.store.begin(&grant::<MeshWrite>(&owner)).await.unwrap();
    let sample = object(Mesh::sample());
    let replaced = meshes::replace(&mut tx, &mesh, &sample, &Precondition::None).await;
    replaced.unwrap();
    tx.commit().await.unwrap();
    same("the mesh itself changes").await;
    deleted(Kind::Split, Some(route), "split").await;
    same("a split goes").await;
    deleted(Kind::Route, Some(payments), "all").await;
    same("a route goes").await;
    deleted(Kind::Profile, None, "p").await;
    same("a profile goes").await;
    deleted(Kind::Service, None, "payments").await;
    same("a service goes").await;
    service(&db.store, &owner, mesh.id, "payments").await;
    same("another one of its name comes").await;
    // Of a database that lost the last commits and went on under their numbers, everything is read.
    let mut lost = whole().await;
    let now = lost.clone();
    lost.made_at = lost.made_at.map(|at| at - chrono::TimeDelta::seconds(1));
    lost.services.clear();
    let after = db.store.snapshot_after(&mesh_ref, &lost).await;
    assert_eq!(after.unwrap().unwrap().snapshot, now);
}

#[tokio::test]
async fn the_sample_of_every_kind_survives_the_journey() {
    use heddle_model::kind::{AccessRule, Profile, Route, Service, Split};
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mesh_ref = mesh_ref(&db.store, &owner, &mesh).await;
    let text = name("sample");
    let at = address(mesh.id, Kind::Profile, None, &text);
    put(&db.store, &owner, &at, &object(Profile::sample())).await;
    let at = address(mesh.id, Kind::Service, None, &text);
    let (service, _) = put(&db.store, &owner, &at, &object(Service::sample())).await;
    let at = address(mesh.id, Kind::Route, Some(service.stored.id), &text);
    let (route, _) = put(&db.store, &owner, &at, &object(Route::sample())).await;
    let at = address(mesh.id, Kind::Split, Some(route.stored.id), &text);
    put(&db.store, &owner, &at, &object(Split::sample())).await;
    let at = address(mesh.id, Kind::AccessRule, Some(service.stored.id), &text);
    put(&db.store, &owner, &at, &object(AccessRule::sample())).await;

    let loaded = db.store.snapshot(&mesh_ref).await.unwrap().unwrap();
    assert!(loaded.skipped.is_empty(), "{:?}", loaded.skipped);
    let profile = &loaded.snapshot.profiles["sample"];
    assert_eq!(
        profile.spec,
        serde_json::from_value(Profile::sample()).unwrap()
    );
    let node = &loaded.snapshot.services["sample"];
    assert_eq!(
        node.service.spec,
        serde_json::from_value(Service::sample()).unwrap()
    );
    assert_eq!(
        node.routes[0].route.spec,
        serde_json::from_value(Route::sample()).unwrap()
    );
    let split = node.routes[0].split.as_ref().unwrap();
    assert_eq!(split.spec, serde_json::from_value(Split::sample()).unwrap());
    assert_eq!(
        node.access_rules[0].spec,
        serde_json::from_value(AccessRule::sample()).unwrap()
    );
}

#[tokio::test]
async fn sec_i16_a_bad_row_is_reported_and_costs_only_itself() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mesh_ref = mesh_ref(&db.store, &owner, &mesh).await;
    let mut ids = Vec::new();
    for text in ["bad", "future", "good", "odd"] {
        ids.push(service(&db.store, &owner, mesh.id, text).await.id);
    }
    let route = name("all");
    let at = address(mesh.id, Kind::Route, Some(ids[0]), &route);
    put(&db.store, &owner, &at, &route_spec(1)).await;
    let superuser = db.superuser().await;
    for sql in [
        "update heddle.resources set spec = '{\"ports\": \"none\"}' where name = 'bad'",
        "update heddle.resources set spec_version = 9 where name = 'future'",
        "update heddle.resources set kind = 'oddity' where name = 'odd'",
        "update heddle.resources set spec = '{\"access_default\": \"perhaps\"}' where kind = 'mesh'",
    ] {
        assert_eq!(
            sqlx::query(sql)
                .execute(&superuser)
                .await
                .unwrap()
                .rows_affected(),
            1
        );
    }
    let loaded = db.store.snapshot(&mesh_ref).await.unwrap().unwrap();
    let names: Vec<&str> = loaded
        .snapshot
        .services
        .keys()
        .map(heddle_model::name::Name::as_str)
        .collect();
    assert_eq!(names, ["good"]);
    assert_eq!(loaded.snapshot.mesh.spec, Mesh::default());
    let mut skipped: Vec<(String, &str)> = loaded
        .skipped
        .iter()
        .map(|error| match error {
            Error::Inconsistent {
                table: "resources",
                column,
                row,
                ..
            } => (row.clone(), *column),
            other => panic!("{other}"),
        })
        .collect();
    skipped.sort();
    let mut wanted = [
        (ids[0].to_string(), "spec"),
        (ids[1].to_string(), "spec_version"),
        (ids[3].to_string(), "kind"),
        (MeshId::uuid(mesh.id).to_string(), "spec"),
    ];
    wanted.sort();
    assert_eq!(skipped, wanted);
}

/// A rule that cannot be read opens nothing: neither by what it allows nor by what it denies.
#[tokio::test]
async fn sec_z04_a_rule_that_cannot_be_read_refuses() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mesh_ref = mesh_ref(&db.store, &owner, &mesh).await;
    let service = service(&db.store, &owner, mesh.id, "pay").await.id;
    for action in ["allow", "deny"] {
        let rule = name(action);
        let at = address(mesh.id, Kind::AccessRule, Some(service), &rule);
        let spec = serde_json::json!({"action": action, "from": [{"spiffe": "spiffe://td/x"}]});
        let serde_json::Value::Object(spec) = spec else {
            panic!("not an object")
        };
        put(&db.store, &owner, &at, &spec).await;
    }
    let newer = "update heddle.resources set spec = spec || '{\"moon_phase\": \"full\"}' where kind = 'access_rule'";
    let superuser = db.superuser().await;
    sqlx::query(newer).execute(&superuser).await.unwrap();
    let loaded = db.store.snapshot(&mesh_ref).await.unwrap().unwrap();
    assert_eq!(loaded.skipped.len(), 2);
    let rules = &loaded.snapshot.services[&name("pay")].access_rules;
    let specs: Vec<_> = rules.iter().map(|rule| &rule.spec).collect();
    assert_eq!(specs, [&AccessRule::deny_all()]);
}
