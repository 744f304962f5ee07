//! The history of a mesh: who made which revision, what it changed, and what everything was before.

use heddle_model::authz::permission::{ConfigRead, ConfigWrite};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_store::resources::{self, Precondition};
use heddle_store::revisions::{self, Placed, Summary, Wanted};
use heddle_store::{Caller, Note};
use serde_json::json;

use crate::build::{
    address, mesh, name, object, put, route_spec, service, service_spec, split_spec,
};
use crate::support::{TestDb, grant};

async fn differences(
    db: &TestDb,
    caller: &Caller,
    mesh: MeshId,
    from: u64,
    to: u64,
) -> Vec<(String, &'static str)> {
    let mut tx = db.store.begin(&grant::<ConfigRead>(caller)).await.unwrap();
    let rows = revisions::differences(&mut tx, mesh, (from, to), None, None)
        .await
        .unwrap();
    let summary = revisions::summary(&mut tx, mesh, (from, to)).await.unwrap();
    let shown: Vec<(String, &'static str)> = rows
        .iter()
        .map(|Placed { object, parents }| {
            let names = parents.iter().chain([&object.name]);
            let path: Vec<&str> = names.map(heddle_model::name::Name::as_str).collect();
            let what = match (&object.before, &object.after) {
                (None, Some(_)) => "added",
                (Some(_), None) => "removed",
                (before, after) => {
                    assert_ne!(before, after);
                    "changed"
                }
            };
            (path.join("/"), what)
        })
        .collect();
    let count = |what| shown.iter().filter(|(_, w)| *w == what).count() as u64;
    let counted = Summary {
        added: count("added"),
        changed: count("changed"),
        removed: count("removed"),
    };
    assert_eq!(summary, counted);
    shown
}

#[tokio::test]
async fn a_revision_says_who_and_why_and_never_changes() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let note = Note {
        message: Some(String::from("because")),
        change_group: Some(String::from("run-1")),
    };
    let noted = grant::<ConfigWrite>(&owner)
        .with_client("terraform/1.9")
        .with_note(note);
    let mut tx = db.store.begin(&noted).await.unwrap();
    for text in ["a", "b"] {
        let text = name(text);
        let at = address(mesh.id, Kind::Service, None, &text);
        resources::insert(&mut tx, &at, &service_spec(1))
            .await
            .unwrap();
    }
    // Made and gone within the revision: nothing that anybody could see.
    let c = name("c");
    let at = address(mesh.id, Kind::Service, None, &c);
    resources::insert(&mut tx, &at, &service_spec(1))
        .await
        .unwrap();
    resources::delete(&mut tx, &at, &Precondition::None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // Equal content makes none, whatever is said about it.
    let mut tx = db.store.begin(&noted).await.unwrap();
    let a = name("a");
    let at = address(mesh.id, Kind::Service, None, &a);
    resources::put(&mut tx, &at, &service_spec(1), &Precondition::None)
        .await
        .unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, None);

    let mut tx = db.store.begin(&grant::<ConfigRead>(&owner)).await.unwrap();
    let all = revisions::page(&mut tx, mesh.id, None, None, 10)
        .await
        .unwrap();
    assert_eq!(all.iter().map(|r| r.revision).collect::<Vec<_>>(), [2, 1]);
    let second = &all[0];
    assert_eq!(second.message.as_deref(), Some("because"));
    assert_eq!(second.change_group.as_deref(), Some("run-1"));
    assert_eq!(second.client.as_deref(), Some("terraform/1.9"));
    assert_eq!(second.token, owner.token());
    assert_eq!(second.actor, owner.actor());
    assert_eq!(
        second.summary,
        Summary {
            added: 2,
            ..Summary::default()
        }
    );
    assert_eq!(all[1].message, None);
    let found = revisions::find(&mut tx, mesh.id, 2).await.unwrap();
    assert_eq!(found.as_ref(), Some(second));
    for none in [0, 3, u64::MAX] {
        assert_eq!(revisions::find(&mut tx, mesh.id, none).await.unwrap(), None);
    }
    let of_group = async |tx: &mut _, group| {
        revisions::page(tx, mesh.id, Some(group), None, 10)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(of_group(&mut tx, "run-1").await, 1);
    assert_eq!(of_group(&mut tx, "run-2").await, 0);
    let older = revisions::page(&mut tx, mesh.id, None, Some(2), 10)
        .await
        .unwrap();
    assert_eq!(older.len(), 1);
    drop(tx);

    let server = db.server().await;
    for change in [
        "update heddle.revisions set message = 'x'",
        "delete from heddle.revisions",
    ] {
        let mut tx = server.begin().await.unwrap();
        sqlx::query("select set_config('role', 'heddle_tenant', true), set_config('heddle.org_id', $1, true)")
            .bind(owner.org().uuid().to_string())
            .execute(&mut *tx)
            .await
            .unwrap();
        let error = sqlx::query(change).execute(&mut *tx).await.unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap();
        assert_eq!(code, "42501", "{change}");
    }
}

#[tokio::test]
async fn any_two_revisions_can_be_compared_in_either_order() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = service(&db.store, &owner, mesh.id, "payments").await; // 2
    let all = name("all");
    let at_route = address(mesh.id, Kind::Route, Some(payments.id), &all);
    let (route, _) = put(&db.store, &owner, &at_route, &route_spec(1)).await; // 3
    let split = name("split");
    let at_split = address(mesh.id, Kind::Split, Some(route.stored.id), &split);
    put(&db.store, &owner, &at_split, &split_spec(100, 0)).await; // 4
    put(&db.store, &owner, &at_split, &split_spec(50, 50)).await; // 5
    put(&db.store, &owner, &at_split, &split_spec(100, 0)).await; // 6
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    resources::delete(&mut tx, &at_route, &Precondition::None)
        .await
        .unwrap();
    tx.commit().await.unwrap(); // 7

    let seen = async |from, to| differences(&db, &owner, mesh.id, from, to).await;
    let is = |list: &[(&str, &'static str)]| -> Vec<(String, &'static str)> {
        list.iter()
            .map(|(path, what)| ((*path).to_owned(), *what))
            .collect()
    };
    let split = "payments/all/split";
    assert_eq!(seen(0, 1).await, is(&[("prod", "added")]));
    assert_eq!(seen(4, 5).await, is(&[(split, "changed")]));
    assert_eq!(seen(5, 4).await, is(&[(split, "changed")]));
    assert_eq!(seen(3, 6).await, is(&[(split, "added")]));
    assert_eq!(seen(6, 3).await, is(&[(split, "removed")]));
    // There and back again is no difference.
    assert_eq!(seen(4, 6).await, is(&[]));
    assert_eq!(seen(5, 5).await, is(&[]));
    let gone = [("payments/all", "removed"), (split, "removed")];
    assert_eq!(seen(6, 7).await, is(&gone));
    let everything = [
        ("prod", "removed"),
        ("payments", "removed"),
        ("payments/all", "removed"),
        (split, "removed"),
    ];
    assert_eq!(seen(5, 0).await, is(&everything));

    // What is gone can still be read as it was.
    let mut tx = db.store.begin(&grant::<ConfigRead>(&owner)).await.unwrap();
    for (revision, wanted) in [
        (3, None),
        (4, Some(split_spec(100, 0))),
        (5, Some(split_spec(50, 50))),
        (7, None),
    ] {
        let splits = Wanted {
            kind: Some(Kind::Split),
            ..Wanted::default()
        };
        let found = revisions::objects(&mut tx, mesh.id, revision, &splits, None, 10)
            .await
            .unwrap();
        let sent = found.first().map(|p| p.object.sent.clone());
        assert_eq!(sent, wanted, "{revision}");
    }
    let whole = revisions::objects(&mut tx, mesh.id, 6, &Wanted::default(), None, 3)
        .await
        .unwrap();
    assert_eq!(whole.len(), 3);
    let rest = Some(whole[2].object.id);
    let rest = revisions::objects(&mut tx, mesh.id, 6, &Wanted::default(), rest, 3)
        .await
        .unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].object.sent, object(json!(split_spec(100, 0))));
}
