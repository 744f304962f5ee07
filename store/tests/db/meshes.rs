//! Meshes: names, trust domains, revisions, deletion.

use heddle_model::authz::permission::{MeshRead, MeshWrite};
use heddle_store::listing::{Position, Wanted};
use heddle_store::meshes::{self, MeshRow};
use heddle_store::resources::Precondition;
use heddle_store::{Caller, Error};
use serde_json::json;

use crate::build::{arriving, join_token, mesh, mesh_ref, name, object, ousted, service};
use crate::support::{TestDb, grant};

async fn delete(db: &TestDb, caller: &Caller, mesh: &MeshRow) -> Result<(), Error> {
    let mut tx = db.store.begin(&grant::<MeshWrite>(caller)).await?;
    meshes::delete(&mut tx, mesh, &Precondition::Match(mesh.spec.etag())).await?;
    tx.commit().await.map(drop)
}

#[tokio::test]
async fn a_mesh_is_found_by_name_and_id_and_listed_in_order() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mut made = Vec::new();
    for text in ["prod", "dev", "test"] {
        made.push(mesh(&db.store, &owner, text).await);
    }
    let mut tx = db.store.begin(&grant::<MeshRead>(&owner)).await.unwrap();
    let by_name = meshes::require(&mut tx, "prod").await.unwrap();
    assert_eq!(by_name, made[0]);
    assert_eq!(by_name.trust_domain, made[0].trust_domain);
    assert_eq!((by_name.revision, by_name.spec.revision), (1, 1));
    assert_eq!(by_name.spec.sent["display_name"], "prod");
    let by_id = meshes::find(&mut tx, &made[0].id.to_string())
        .await
        .unwrap();
    assert_eq!(by_id, Some(by_name));
    for other in ["nope", "", "tok_00000000000000000000000000", "mesh_junk"] {
        assert_eq!(meshes::find(&mut tx, other).await.unwrap(), None, "{other}");
    }
    assert!(matches!(
        meshes::require(&mut tx, "nope").await,
        Err(Error::NotFound)
    ));
    let names = |rows: Vec<MeshRow>| -> Vec<String> {
        rows.into_iter().map(|row| row.name.to_string()).collect()
    };
    assert_eq!(
        names(meshes::search(&mut tx, &Wanted::by_name(2)).await.unwrap()),
        ["dev", "prod"]
    );
    let prod = meshes::require(&mut tx, "prod").await.unwrap();
    let after = Wanted {
        after: Some(Position::Name(prod.name, prod.spec.id)),
        ..Wanted::by_name(2)
    };
    assert_eq!(
        names(meshes::search(&mut tx, &after).await.unwrap()),
        ["test"]
    );
}

#[tokio::test]
async fn names_are_unique_within_an_organisation_and_trust_domains_everywhere() {
    let db = TestDb::new().await;
    let (acme, rival) = (db.owner("acme").await, db.owner("rival").await);
    let first = mesh(&db.store, &acme, "prod").await;
    // sec T13: the same name elsewhere is nobody's business.
    mesh(&db.store, &rival, "prod").await;

    let empty = object(json!({}));
    let mut tx = db.store.begin(&grant::<MeshWrite>(&acme)).await.unwrap();
    let error = meshes::insert(&mut tx, &name("prod"), "new.example", &empty).await;
    assert!(
        matches!(&error, Err(Error::AlreadyExists { constraint }) if constraint == "meshes_name_key"),
        "{error:?}"
    );
    drop(tx);

    // sec T16: nobody gets somebody's trust domain.
    let mut tx = db.store.begin(&grant::<MeshWrite>(&rival)).await.unwrap();
    let error = meshes::insert(&mut tx, &name("copy"), &first.trust_domain, &empty).await;
    assert!(
        matches!(&error, Err(Error::AlreadyExists { constraint }) if constraint == "meshes_trust_domain_key"),
        "{error:?}"
    );
}

#[tokio::test]
async fn sec_t15_a_deleted_mesh_frees_its_name_but_never_its_trust_domain() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let old = mesh(&db.store, &owner, "prod").await;
    service(&db.store, &owner, old.id, "payments").await;
    let secret = join_token(&db.store, &owner, old.id, "token", "payments", true).await;
    let old_ref = mesh_ref(&db.store, &owner, &old).await;
    use secrecy::ExposeSecret as _;
    let join = |node: &'static str| {
        heddle_store::proxies::join(&db.store, secret.expose_secret(), arriving(node))
    };
    let proxy = join("a").await.unwrap().unwrap().proxy;
    assert!(db.store.snapshot(&old_ref).await.unwrap().is_some());

    delete(&db, &owner, &old).await.unwrap();
    assert!(matches!(
        delete(&db, &owner, &old).await,
        Err(Error::NotFound)
    ));
    assert!(db.store.snapshot(&old_ref).await.unwrap().is_none());
    // Its join tokens are dead, also for those that were bound; its proxies lose their streams.
    for node in ["a", "b"] {
        let refused = join(node).await.unwrap().unwrap_err();
        assert_eq!(refused, heddle_store::proxies::JoinRefused::Unknown);
    }
    let gone = ousted(&db.store, &old_ref, &[proxy]).await;
    assert_eq!(gone, [proxy]);

    let mut tx = db.store.begin(&grant::<MeshWrite>(&owner)).await.unwrap();
    assert_eq!(meshes::find(&mut tx, "prod").await.unwrap(), None);
    assert_eq!(
        meshes::find(&mut tx, &old.id.to_string()).await.unwrap(),
        None
    );
    let sent = object(json!({}));
    let new = meshes::insert(&mut tx, &name("prod"), "fresh.example", &sent)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_ne!(new.id, old.id);
    let mut tx = db.store.begin(&grant::<MeshWrite>(&owner)).await.unwrap();
    let error = meshes::insert(&mut tx, &name("again"), &old.trust_domain, &sent).await;
    assert!(
        matches!(error, Err(Error::AlreadyExists { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn replacing_a_mesh_honours_preconditions_and_equal_content() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let first = mesh(&db.store, &owner, "prod").await;
    let sent = object(json!({"display_name": "Production"}));

    let mut tx = db.store.begin(&grant::<MeshWrite>(&owner)).await.unwrap();
    let stale = Precondition::Match(String::from("\"r0-00000000\""));
    let error = meshes::replace(&mut tx, &first, &sent, &stale)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::StaleEtag { current: Some(etag) } if *etag == first.spec.etag()),
        "{error}"
    );
    let same = meshes::replace(&mut tx, &first, &first.spec.sent, &Precondition::None)
        .await
        .unwrap();
    assert_eq!(same, first);
    assert_eq!(tx.commit().await.unwrap().revision, None);

    let mut tx = db.store.begin(&grant::<MeshWrite>(&owner)).await.unwrap();
    let current = Precondition::Match(first.spec.etag());
    let second = meshes::replace(&mut tx, &first, &sent, &current)
        .await
        .unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, Some(2));
    assert_eq!((second.revision, second.spec.revision), (2, 2));
    assert_eq!(second.spec.sent, sent);
    assert_eq!(second.spec.created_at, first.spec.created_at);
    assert_ne!(second.spec.etag(), first.spec.etag());
    assert!(
        second.spec.etag().starts_with("\"r2-"),
        "{}",
        second.spec.etag()
    );

    // Deleting, too, only what was meant.
    assert!(matches!(
        delete(&db, &owner, &first).await,
        Err(Error::StaleEtag { .. })
    ));
    delete(&db, &owner, &second).await.unwrap();
}
