//! Declarative objects: creating, replacing, deleting, and what is refused.

use heddle_model::authz::permission::{AccessWrite, ConfigRead, ConfigWrite};
use heddle_model::kind::Kind;
use heddle_model::manager::ManagedBy;
use heddle_store::listing::{Position, Wanted};
use heddle_store::resources::{self, Below, Precondition, Step};
use heddle_store::{Error, meshes};
use serde_json::json;

use crate::build::{
    address, mesh, name, object, put, put_if, route_spec, rule_spec, service, service_spec,
    split_spec,
};
use crate::support::{TestDb, grant};

#[tokio::test]
async fn what_was_sent_comes_back_as_it_was() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = name("payments");
    let at = address(mesh.id, Kind::Service, None, &payments);
    // Not a valid service: the store does not judge content, and does not touch it.
    let sent = object(json!({
        "timeout": "1000ms", "null": null, "empty": {}, "list": [3, 1, 2], "one": 1, "float": 0.5,
        "big": u64::MAX, "text": "Zażółć \u{1f9f5} \\ \" ' ; -- $1", "nested": {"b": [], "a": {"z": null}},
    }));
    let (created, _) = put(&db.store, &owner, &at, &sent).await;
    assert!(created.created && created.changed);
    assert_eq!(created.stored.sent, sent);
    let mut tx = db.store.begin(&grant::<ConfigRead>(&owner)).await.unwrap();
    let by_name = resources::find(&mut tx, mesh.id, Kind::Service, None, "payments")
        .await
        .unwrap();
    assert_eq!(by_name.as_ref(), Some(&created.stored));
    assert_eq!(by_name.unwrap().etag(), created.stored.etag());
    let id = heddle_model::id::ServiceId::from_uuid(created.stored.id).to_string();
    let by_id = resources::find(&mut tx, mesh.id, Kind::Service, None, &id)
        .await
        .unwrap();
    assert_eq!(by_id, Some(created.stored));
    // Of another kind, below another parent, or nothing at all.
    for (kind, text) in [
        (Kind::Route, "payments"),
        (Kind::Route, id.as_str()),
        (Kind::Service, "svc_x"),
    ] {
        assert_eq!(
            resources::find(&mut tx, mesh.id, kind, None, text)
                .await
                .unwrap(),
            None
        );
    }
}

#[tokio::test]
async fn equal_content_makes_no_revision() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = name("payments");
    let at = address(mesh.id, Kind::Service, None, &payments);
    let sent =
        object(json!({"ports": [{"name": "http", "port": 8080}], "labels": {"a": "1", "bb": "2"}}));
    let (first, committed) = put(&db.store, &owner, &at, &sent).await;
    assert_eq!(committed.revision, Some(2));
    // The same with its keys in another order.
    let turned =
        object(json!({"labels": {"bb": "2", "a": "1"}, "ports": [{"port": 8080, "name": "http"}]}));
    let mut hints = db.store.committed();
    let (again, committed) = put(&db.store, &owner, &at, &turned).await;
    assert_eq!(committed.revision, None);
    assert!(!again.changed && !again.created);
    assert_eq!(again.stored, first.stored);
    assert!(hints.try_recv().is_err(), "nobody is woken for nothing");

    let (changed, committed) = put(&db.store, &owner, &at, &service_spec(1)).await;
    assert_eq!(committed.revision, Some(3));
    assert!(changed.changed && !changed.created);
    assert_eq!(changed.stored.revision, 3);
    assert_eq!(changed.stored.id, first.stored.id);
    let moved = hints.try_recv().unwrap();
    assert_eq!((moved.mesh.mesh(), moved.revision), (mesh.id, 3));
}

#[tokio::test]
async fn api_a10_preconditions() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = name("payments");
    let at = address(mesh.id, Kind::Service, None, &payments);
    let (spec_a, spec_b) = (service_spec(1), service_spec(2));
    let any = Precondition::Match(String::from("*"));

    let error = put_if(&db.store, &owner, &at, &spec_a, &any)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::StaleEtag { current: None }),
        "{error}"
    );
    let (first, _) = put_if(&db.store, &owner, &at, &spec_a, &Precondition::Absent)
        .await
        .unwrap();
    let etag = first.stored.etag();
    // Equal content is no excuse.
    let error = put_if(&db.store, &owner, &at, &spec_a, &Precondition::Absent)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::StaleEtag { current } if *current == Some(etag.clone())),
        "{error}"
    );
    put_if(&db.store, &owner, &at, &spec_b, &any).await.unwrap();
    // sec Z12: what was read is no longer what is there.
    let stale = Precondition::Match(etag);
    let error = put_if(&db.store, &owner, &at, &spec_a, &stale)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::StaleEtag { current: Some(_) }),
        "{error}"
    );
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let error = resources::delete(&mut tx, &at, &stale).await.unwrap_err();
    assert!(
        matches!(error, Error::StaleEtag { current: Some(_) }),
        "{error}"
    );
    drop(tx);

    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let error = resources::insert(&mut tx, &at, &spec_a).await.unwrap_err();
    assert!(
        matches!(&error, Error::AlreadyExists { constraint } if constraint == "resources_name_key"),
        "{error}"
    );
}

#[tokio::test]
async fn priorities_are_unique_within_a_service() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let a = service(&db.store, &owner, mesh.id, "a").await;
    let b = service(&db.store, &owner, mesh.id, "b").await;
    let (first, second, third) = (name("first"), name("second"), name("third"));
    let at = |service, route| address(mesh.id, Kind::Route, Some(service), route);
    put(&db.store, &owner, &at(a.id, &first), &route_spec(10)).await;
    put(&db.store, &owner, &at(a.id, &second), &route_spec(20)).await;
    put(&db.store, &owner, &at(b.id, &first), &route_spec(10)).await;

    for route in [&second, &third] {
        let taken = put_if(
            &db.store,
            &owner,
            &at(a.id, route),
            &route_spec(10),
            &Precondition::None,
        )
        .await;
        assert!(
            matches!(&taken, Err(Error::PriorityTaken { by }) if *by == first),
            "{taken:?}"
        );
    }
    // Its own priority is not taken, and one that was given up is free.
    let mut more = route_spec(10);
    more.insert(String::from("display_name"), json!("x"));
    put(&db.store, &owner, &at(a.id, &first), &more).await;
    put(&db.store, &owner, &at(a.id, &first), &route_spec(30)).await;
    put(&db.store, &owner, &at(a.id, &second), &route_spec(10)).await;
}

#[tokio::test]
async fn deleting_takes_what_is_below_in_one_revision() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = service(&db.store, &owner, mesh.id, "payments").await;
    let other = service(&db.store, &owner, mesh.id, "other").await;
    let (all, split, rule) = (name("all"), name("split"), name("rule"));
    for parent in [payments.id, other.id] {
        let route = address(mesh.id, Kind::Route, Some(parent), &all);
        let (route, _) = put(&db.store, &owner, &route, &route_spec(1)).await;
        let split = address(mesh.id, Kind::Split, Some(route.stored.id), &split);
        put(&db.store, &owner, &split, &split_spec(1, 1)).await;
        let rule = address(mesh.id, Kind::AccessRule, Some(parent), &rule);
        put(&db.store, &owner, &rule, &rule_spec("x")).await;
    }

    let at = address(mesh.id, Kind::Service, None, &payments.name);
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let gone = resources::delete(&mut tx, &at, &Precondition::Match(payments.etag()))
        .await
        .unwrap();
    assert_eq!(gone, payments);
    let revision = tx.commit().await.unwrap().revision.unwrap();
    assert_eq!(revision, 10);
    let left: Vec<(String, i64)> = sqlx::query_as(
        "select kind, count(*) from heddle.resources where to_revision is null group by 1 order by 1",
    )
    .fetch_all(&db.superuser().await)
    .await
    .unwrap();
    let left: Vec<_> = left.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
    assert_eq!(
        left,
        [
            ("access_rule", 1),
            ("mesh", 1),
            ("route", 1),
            ("service", 1),
            ("split", 1)
        ]
    );
    let recorded: Vec<String> = sqlx::query_scalar(
        "select kind from heddle.changes where revision = $1 and action = 'delete' and before is not null order by 1",
    )
    .bind(revision.cast_signed())
    .fetch_all(&db.superuser().await)
    .await
    .unwrap();
    assert_eq!(recorded, ["access_rule", "route", "service", "split"]);

    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let twice = resources::delete(&mut tx, &at, &Precondition::None).await;
    assert!(matches!(twice, Err(Error::NotFound)), "{twice:?}");
    // Nothing grows below what is gone, or below something of the wrong kind.
    let route = address(mesh.id, Kind::Route, Some(payments.id), &all);
    let orphan = resources::put(&mut tx, &route, &route_spec(1), &Precondition::None).await;
    assert!(matches!(orphan, Err(Error::NotFound)), "{orphan:?}");
    let misplaced = address(mesh.id, Kind::Split, Some(other.id), &split);
    let misplaced =
        resources::put(&mut tx, &misplaced, &split_spec(1, 1), &Precondition::None).await;
    assert!(matches!(misplaced, Err(Error::NotFound)), "{misplaced:?}");
}

#[tokio::test]
async fn created_replaced_and_deleted_within_one_transaction() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let (kept, brief) = (name("kept"), name("brief"));
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    for name in [&kept, &brief] {
        let at = address(mesh.id, Kind::Service, None, name);
        resources::insert(&mut tx, &at, &service_spec(1))
            .await
            .unwrap();
    }
    let at = address(mesh.id, Kind::Service, None, &kept);
    let put = resources::put(&mut tx, &at, &service_spec(2), &Precondition::None)
        .await
        .unwrap();
    assert_eq!(put.stored.revision, 2);
    let at = address(mesh.id, Kind::Service, None, &brief);
    resources::delete(&mut tx, &at, &Precondition::None)
        .await
        .unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, Some(2));
    let rows: Vec<(String, i64, Option<i64>)> = sqlx::query_as(
        "select name, from_revision, to_revision from heddle.resources where kind = 'service'",
    )
    .fetch_all(&db.superuser().await)
    .await
    .unwrap();
    assert_eq!(rows, [(String::from("kept"), 2, None)]);
}

#[tokio::test]
async fn pages_are_in_order_and_belong_to_their_parent() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    for text in ["b", "a-b", "a", "c", "ab"] {
        service(&db.store, &owner, mesh.id, text).await;
    }
    let mut tx = db.store.begin(&grant::<ConfigRead>(&owner)).await.unwrap();
    let mut seen = Vec::new();
    let mut wanted = Wanted::by_name(2);
    loop {
        let below = Below::One(None);
        let page = resources::search(&mut tx, mesh.id, Kind::Service, below, &wanted)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        wanted.after = Some(Position::Name(last.name.clone(), last.id));
        seen.extend(page.into_iter().map(|s| s.name.to_string()));
    }
    assert_eq!(seen, ["a", "a-b", "ab", "b", "c"]);
    let all = resources::all(&mut tx, mesh.id, Kind::Service, None)
        .await
        .unwrap();
    assert_eq!(all.len(), 5);
    let routes = resources::all(&mut tx, mesh.id, Kind::Route, Some(all[0].id))
        .await
        .unwrap();
    assert_eq!(routes, []);
}

#[tokio::test]
async fn text_that_postgres_cannot_store_is_named() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = name("payments");
    let at = address(mesh.id, Kind::Service, None, &payments);
    let sent = object(json!({"display_name": "a\0b"}));
    let refused = put_if(&db.store, &owner, &at, &sent, &Precondition::None).await;
    assert!(matches!(refused, Err(Error::NulCharacter)), "{refused:?}");
}

#[tokio::test]
async fn what_is_rolled_back_leaves_nothing() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let count =
        "select (select count(*) from heddle.resources) + (select count(*) from heddle.changes)";
    let before: i64 = sqlx::query_scalar(count)
        .fetch_one(&db.superuser().await)
        .await
        .unwrap();
    let mut committed = db.store.committed();
    let tried = name("tried");
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let at = address(mesh.id, Kind::Service, None, &tried);
    let stored = resources::insert(&mut tx, &at, &service_spec(1))
        .await
        .unwrap();
    assert_eq!(stored.revision, 2);
    tx.roll_back().await.unwrap();
    let after: i64 = sqlx::query_scalar(count)
        .fetch_one(&db.superuser().await)
        .await
        .unwrap();
    assert_eq!(after, before);
    assert!(committed.try_recv().is_err(), "nobody is told of it");
    let mut tx = db.store.begin(&grant::<ConfigRead>(&owner)).await.unwrap();
    let found = meshes::require(&mut tx, "prod").await.unwrap();
    assert_eq!(found.revision, 1);
}

#[tokio::test]
async fn several_writes_are_one_revision_and_what_is_unique_changes_hands() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = service(&db.store, &owner, mesh.id, "payments").await;
    let (a, b) = (name("a"), name("b"));
    let terraform: ManagedBy = "terraform; ref=\"x\"".parse().unwrap();
    let (one, two) = (route_spec(1), route_spec(2));
    let at = |name| address(mesh.id, Kind::Route, Some(payments.id), name);
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let create = |id, name, sent| Step::Create {
        id,
        address: at(name),
        sent,
        owner: Some(&terraform),
    };
    let steps = [
        create(resources::new_id(&tx), &a, &one),
        create(resources::new_id(&tx), &b, &two),
    ];
    let made = resources::write_all(&mut tx, mesh.id, &steps)
        .await
        .unwrap();
    let revision = tx.commit().await.unwrap().revision;
    let made: Vec<_> = made.into_iter().flatten().collect();
    assert!(made.iter().all(|one| Some(one.revision) == revision));
    assert_eq!(made[0].managed_by.as_ref(), Some(&terraform));

    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let current = resources::everything(&mut tx, mesh.id).await.unwrap();
    assert_eq!(current.len(), 3);
    let pairs = [(&one, &made[0].sent), (&one, &two)];
    assert_eq!(
        resources::equal(&mut tx, &pairs).await.unwrap(),
        [true, false]
    );
    let swap = |before, sent| Step::Replace {
        before,
        sent,
        owner: None,
    };
    let steps = [swap(&made[0], &two), swap(&made[1], &one)];
    let swapped = resources::write_all(&mut tx, mesh.id, &steps)
        .await
        .unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, revision.map(|r| r + 1));
    let mut swapped: Vec<_> = swapped.into_iter().flatten().collect();
    assert!(swapped.iter().all(|one| one.managed_by.is_none()));

    // To adopt makes no revision, and another ETag.
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let etag = swapped[0].etag();
    resources::own(&mut tx, mesh.id, &mut swapped[0], Some(&terraform), false)
        .await
        .unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, None);
    assert_ne!(swapped[0].etag(), etag);
    // A rule needs another permission, and the mistake costs the whole.
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let (rule, sent) = (name("rule"), rule_spec("payments"));
    let step = Step::Create {
        id: resources::new_id(&tx),
        address: address(mesh.id, Kind::AccessRule, Some(payments.id), &rule),
        sent: &sent,
        owner: None,
    };
    let steps = [
        Step::Delete {
            before: &swapped[1],
        },
        step,
    ];
    let refused = resources::write_all(&mut tx, mesh.id, &steps).await;
    assert!(
        matches!(refused, Err(Error::NotGranted { .. })),
        "{refused:?}"
    );
    tx.also(&grant::<AccessWrite>(&owner), mesh.id).unwrap();
    resources::write_all(&mut tx, mesh.id, &steps)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}
