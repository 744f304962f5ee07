//! Revisions: dense, atomic, and readable afterwards.

use heddle_model::authz::permission::{ConfigRead, ConfigWrite};
use heddle_model::kind::Kind;
use heddle_store::resources::{self, Precondition};
use heddle_store::{Error, MeshRef};

use crate::build::{
    address, mesh, mesh_ref, name, put, put_if, route_spec, service, service_spec, split_spec,
};
use crate::support::{TestDb, grant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_make_dense_revisions() {
    const WRITERS: u16 = 16;
    const WRITES: u16 = 12;
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, owner, mesh) = (db.store.clone(), owner.clone(), mesh.id);
        tasks.spawn(async move {
            let mut revisions = Vec::new();
            let service = name(&format!("s{writer}"));
            let at = address(mesh, Kind::Service, None, &service);
            for write in 1..=WRITES {
                let (put, committed) = put(&store, &owner, &at, &service_spec(write)).await;
                assert_eq!(committed.revision, Some(put.stored.revision));
                revisions.push(put.stored.revision);
            }
            assert!(revisions.is_sorted());
            revisions
        });
    }
    let mut revisions: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
    revisions.sort_unstable();
    let last = 1 + u64::from(WRITERS * WRITES);
    assert_eq!(revisions, (2..=last).collect::<Vec<_>>());

    let superuser = db.superuser().await;
    let recorded: Vec<i64> = sqlx::query_scalar(
        "select revision from heddle.changes where revision is not null order by 1",
    )
    .fetch_all(&superuser)
    .await
    .unwrap();
    assert_eq!(recorded, (1..=last.cast_signed()).collect::<Vec<_>>());
    // The spans of each object follow each other without gap or overlap.
    let broken: i64 = sqlx::query_scalar(
        "select count(*) from (select to_revision, lead(from_revision) over (partition by id order by from_revision) as next \
         from heddle.resources) spans where to_revision is distinct from next",
    )
    .fetch_one(&superuser)
    .await
    .unwrap();
    assert_eq!(broken, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_z12_of_concurrent_writers_that_read_the_same_state_one_wins() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = service(&db.store, &owner, mesh.id, "payments").await;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 1..=16 {
        let (store, owner, mesh, etag) =
            (db.store.clone(), owner.clone(), mesh.id, payments.etag());
        tasks.spawn(async move {
            let payments = name("payments");
            let at = address(mesh, Kind::Service, None, &payments);
            let unchanged = Precondition::Match(etag);
            put_if(&store, &owner, &at, &service_spec(writer), &unchanged).await
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{won:?}");
    for result in lost {
        let error = result.unwrap_err();
        assert!(
            matches!(error, Error::StaleEtag { current: Some(_) }),
            "{error}"
        );
    }
}

async fn everything(db: &TestDb) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["meshes", "resources", "changes"] {
        let rows: Vec<String> =
            sqlx::query_scalar(&format!("select t::text from heddle.{table} t order by 1"))
                .fetch_all(&db.superuser().await)
                .await
                .unwrap();
        all.extend(rows);
    }
    all
}

#[tokio::test]
async fn a_failed_second_write_leaves_nothing() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let payments = service(&db.store, &owner, mesh.id, "payments").await;
    let (a, b) = (name("a"), name("b"));
    let at = |route| address(mesh.id, Kind::Route, Some(payments.id), route);
    put(&db.store, &owner, &at(&a), &route_spec(1)).await;
    let before = everything(&db).await;
    let mut hints = db.store.committed();

    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let changed = resources::put(&mut tx, &at(&a), &route_spec(2), &Precondition::None)
        .await
        .unwrap();
    assert!(changed.changed);
    let failed = resources::put(&mut tx, &at(&b), &route_spec(2), &Precondition::None).await;
    assert!(
        matches!(failed, Err(Error::PriorityTaken { .. })),
        "{failed:?}"
    );
    drop(tx);
    assert_eq!(everything(&db).await, before);
    assert!(hints.try_recv().is_err());

    // The next one does not skip the revision that never was.
    let (_, committed) = put(&db.store, &owner, &at(&b), &route_spec(2)).await;
    assert_eq!(committed.revision, Some(4));
}

#[tokio::test]
async fn several_writes_of_one_transaction_are_one_revision() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    for text in ["a", "b", "c"] {
        let text = name(text);
        let at = address(mesh.id, Kind::Service, None, &text);
        let stored = resources::insert(&mut tx, &at, &service_spec(1))
            .await
            .unwrap();
        assert_eq!(stored.revision, 2);
    }
    assert_eq!(tx.commit().await.unwrap().revision, Some(2));
}

async fn weights(db: &TestDb, mesh: &MeshRef, at: u64) -> Option<Vec<u32>> {
    let loaded = db.store.snapshot_at(mesh, at).await.unwrap()?;
    assert_eq!(loaded.snapshot.revision, at);
    let service = loaded.snapshot.services.get("payments")?;
    let split = service.routes.first()?.split.as_ref()?;
    Some(split.spec.weights.iter().map(|w| w.weight).collect())
}

#[tokio::test]
async fn history_is_readable() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mesh = mesh(&db.store, &owner, "prod").await;
    let mesh_ref = mesh_ref(&db.store, &owner, &mesh).await;
    let payments = service(&db.store, &owner, mesh.id, "payments").await;
    let all = name("all");
    let at_route = address(mesh.id, Kind::Route, Some(payments.id), &all);
    let (route, _) = put(&db.store, &owner, &at_route, &route_spec(1)).await;
    let split = name("split");
    let at_split = address(mesh.id, Kind::Split, Some(route.stored.id), &split);
    for share in [0, 10, 50] {
        put(
            &db.store,
            &owner,
            &at_split,
            &split_spec(100 - share, share),
        )
        .await;
    }
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let at_service = address(mesh.id, Kind::Service, None, &payments.name);
    resources::delete(&mut tx, &at_service, &Precondition::None)
        .await
        .unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, Some(7));

    assert_eq!(weights(&db, &mesh_ref, 3).await, None);
    assert_eq!(weights(&db, &mesh_ref, 4).await, Some(vec![100, 0]));
    assert_eq!(weights(&db, &mesh_ref, 5).await, Some(vec![90, 10]));
    assert_eq!(weights(&db, &mesh_ref, 6).await, Some(vec![50, 50]));
    assert_eq!(weights(&db, &mesh_ref, 7).await, None);
    let services = |at| {
        let (db, mesh) = (&db, &mesh_ref);
        async move {
            db.store
                .snapshot_at(mesh, at)
                .await
                .unwrap()
                .map(|l| l.snapshot.services.len())
        }
    };
    assert_eq!(services(1).await, Some(0));
    assert_eq!(services(2).await, Some(1));
    assert_eq!(services(7).await, Some(0));
    // Never was, and is not yet.
    assert_eq!(services(0).await, None);
    assert_eq!(services(8).await, None);
}

#[tokio::test]
async fn a_transaction_is_its_organisations_and_writes_only_with_a_writing_permission() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let tenant = || String::from("heddle_tenant");
    let org = owner.org().uuid().to_string();
    // That a reading one has no writing functions is the compiler's business; this is the database behind it.
    let mut tx = db.store.begin(&grant::<ConfigRead>(&owner)).await.unwrap();
    assert_eq!(
        tx.seen_by_postgres().await.unwrap(),
        (tenant(), org.clone(), true)
    );
    let mut tx = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    assert_eq!(tx.seen_by_postgres().await.unwrap(), (tenant(), org, false));
}
