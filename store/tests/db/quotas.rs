//! Quotas: as many as there may be, of any number at once, and what is there stays.

mod exact;
pub(crate) mod world;

use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::{AccountManage, ConfigWrite, MemberRead, MeshWrite};
use heddle_model::clock::Clock as _;
use heddle_model::kind::Kind;
use heddle_model::quota::{Limit, Quota};
use heddle_store::meshes::{self};
use heddle_store::quotas::{QuotaRow, Reached};
use heddle_store::resources::{self, Precondition, Step};
use heddle_store::rollbacks::{self, Goal};
use heddle_store::tokens::{self};
use heddle_store::{Error, admin, invitations};
use uuid::Uuid;

use crate::build::{address, name, object, put_if, service, service_spec};
use crate::invitations::invite;
use crate::support::grant;
use world::{World, new_account, new_join_token, new_member, new_token, put_service, row};

#[tokio::test]
async fn what_is_there_stays_and_what_goes_makes_room() {
    let world = World::new("services=3").await;
    let (store, owner, mesh) = (&world.here, &world.owner, &world.mesh);
    let rival = world.db.owner("rival").await;
    let other = crate::build::mesh(store, &rival, "prod").await;
    for n in ["a", "b", "c"] {
        put_service(store, owner, mesh, n).await.unwrap();
    }
    // What others have is nobody else's concern, and neither is what they may have.
    put_service(store, &rival, &other, "a").await.unwrap();
    let org = name("acme");
    let lowered = admin::set_quota(store, &org, Quota::Services, Some(Limit::AtMost(1))).await;
    let expected = QuotaRow {
        quota: Quota::Services,
        used: 3,
        limit: Limit::AtMost(1),
        own: true,
    };
    assert_eq!(lowered.unwrap(), expected);
    let theirs = row(&world.there, &rival, Quota::Services).await;
    assert_eq!(
        (theirs.limit, theirs.own, theirs.used),
        (Limit::AtMost(3), false, 1)
    );

    // It can be changed and goes on; it does not get more.
    let service = name("a");
    let at = address(mesh.id, Kind::Service, None, &service);
    put_if(store, owner, &at, &service_spec(81), &Precondition::None)
        .await
        .unwrap();
    let refused = put_service(store, owner, mesh, "d").await;
    assert!(
        matches!(refused, Err(Error::LimitReached(_))),
        "{refused:?}"
    );
    put_service(store, &rival, &other, "b").await.unwrap();

    // Also not by deleting as many as are over, but by one more.
    let delete = async |n: &str| {
        let service = name(n);
        let at = address(mesh.id, Kind::Service, None, &service);
        let mut tx = store.begin(&grant::<ConfigWrite>(owner)).await.unwrap();
        resources::delete(&mut tx, &at, &Precondition::None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    for n in ["a", "b"] {
        delete(n).await;
        let refused = put_service(store, owner, mesh, "d").await;
        assert!(
            matches!(refused, Err(Error::LimitReached(_))),
            "{refused:?}"
        );
    }
    delete("c").await;
    put_service(store, owner, mesh, "d").await.unwrap();

    // As much as others again, and then as many as they like.
    let back = admin::set_quota(store, &org, Quota::Services, None)
        .await
        .unwrap();
    assert_eq!((back.limit, back.own), (Limit::AtMost(3), false));
    admin::set_quota(store, &org, Quota::Services, Some(Limit::Unlimited))
        .await
        .unwrap();
    for n in ["e", "f", "g", "h"] {
        put_service(store, owner, mesh, n).await.unwrap();
    }
    assert_eq!(world.used(Quota::Services).await, 5);
    // A mesh that is deleted takes with it what is in it.
    let mut tx = store.begin(&grant::<MeshWrite>(owner)).await.unwrap();
    meshes::delete(&mut tx, mesh, &Precondition::None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.used(Quota::Services).await, 0);
    assert_eq!(world.used(Quota::Meshes).await, 0);

    let gone = admin::set_quota(store, &name("nobody"), Quota::Services, None).await;
    assert!(matches!(gone, Err(Error::NotFound)), "{gone:?}");
    // The organisation sees in its audit log what was allowed, each change once.
    let said: Vec<(String, serde_json::Value)> = sqlx::query_as(
        "select actor, after from heddle.changes where kind = 'org' and action = 'replace' order by seq",
    )
    .fetch_all(&world.db.superuser().await)
    .await
    .unwrap();
    let limits: Vec<_> = said.iter().map(|(_, after)| &after["limit"]).collect();
    assert_eq!(
        limits,
        [
            &serde_json::json!(1),
            &serde_json::json!(3),
            &serde_json::Value::Null
        ]
    );
    assert!(said.iter().all(|(actor, _)| actor == "installation admin"));
}

#[tokio::test]
async fn of_several_at_once_all_limits_that_are_met_are_told_and_nothing_is_written() {
    let world = World::new("services=2 profiles=1 routes=9").await;
    let (store, owner, mesh) = (&world.here, &world.owner, &world.mesh);
    put_service(store, owner, mesh, "a").await.unwrap();
    let mut tx = store.begin(&grant::<ConfigWrite>(owner)).await.unwrap();
    let there = resources::everything(&mut tx, mesh.id).await.unwrap();
    let (names, spec) = (["s", "t", "u"].map(name), service_spec(80));
    let empty = object(serde_json::json!({}));
    let create = |id: Uuid, kind: Kind, n: usize| Step::Create {
        id,
        address: address(mesh.id, kind, None, &names[n]),
        sent: if kind == Kind::Service { &spec } else { &empty },
        owner: None,
    };
    let id = |tx: &_| resources::new_id::<ConfigWrite>(tx);
    let (kind, other) = (Kind::Service, Kind::Profile);
    let mut steps = vec![
        create(id(&tx), kind, 0),
        create(id(&tx), other, 0),
        create(id(&tx), kind, 1),
        create(id(&tx), other, 1),
        create(id(&tx), kind, 2),
        // Makes room for one of the three.
        Step::Delete { before: &there[0] },
    ];
    let refused = resources::write_all(&mut tx, mesh.id, &steps).await;
    let Err(Error::LimitReached(reached)) = refused else {
        panic!("{refused:?}");
    };
    let met = |quota, limit, used, wanted| Reached {
        quota,
        limit,
        used,
        wanted,
    };
    assert_eq!(
        reached,
        [met(Quota::Profiles, 1, 0, 2), met(Quota::Services, 2, 1, 2)]
    );
    drop(tx);
    assert_eq!(world.used(Quota::Services).await, 1);
    // One less of each, and all of it goes through.
    let mut tx = store.begin(&grant::<ConfigWrite>(owner)).await.unwrap();
    resources::everything(&mut tx, mesh.id).await.unwrap();
    steps.remove(4);
    steps.remove(3);
    resources::write_all(&mut tx, mesh.id, &steps)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.used(Quota::Services).await, 2);

    // Going back is no way round: the mesh had one service, and the other one cannot come back beside a new one elsewhere.
    let mut tx = store.begin(&grant::<ConfigWrite>(owner)).await.unwrap();
    let now = meshes::require(&mut tx, "prod").await.unwrap();
    for n in &names[..2] {
        let at = address(mesh.id, kind, None, n);
        resources::delete(&mut tx, &at, &Precondition::None)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let second = crate::build::mesh(store, owner, "test").await;
    put_service(store, owner, &second, "x").await.unwrap();
    let mut tx = store.begin(&grant::<ConfigWrite>(owner)).await.unwrap();
    let row = meshes::require(&mut tx, "prod").await.unwrap();
    let plan = rollbacks::plan(&mut tx, &row, Goal::To(now.revision)).await;
    let plan = plan.unwrap();
    assert!(plan.obstacles.is_empty(), "{:?}", plan.obstacles);
    let refused = rollbacks::apply(&mut tx, &plan).await;
    let Err(Error::LimitReached(reached)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(reached, [met(Quota::Services, 2, 1, 2)]);
}

#[tokio::test]
async fn what_ended_counts_no_more_until_somebody_begins_it_anew() {
    let world = World::new("members=1 tokens=2 join_tokens=1 service_accounts=1").await;
    let (store, owner, mesh) = (&world.here, &world.owner, &world.mesh);
    service(store, owner, mesh.id, "payments").await;
    new_account(store, owner, "robot").await.unwrap();
    let first = invite(store, owner, "ada@example.com", Role::Viewer)
        .await
        .unwrap();
    new_token(store, owner, "one").await.unwrap();
    new_join_token(store, owner, mesh, "one").await.unwrap();
    world.db.clock.advance(TimeDelta::days(8));
    assert_eq!(world.used(Quota::Members).await, 0);
    // That of the owner has no end.
    assert_eq!(world.used(Quota::Tokens).await, 1);
    assert_eq!(world.used(Quota::JoinTokens).await, 0);
    new_member(store, owner, "bea").await.unwrap();
    let again = crate::invitations::again(store, owner, first.id).await;
    assert!(matches!(again, Err(Error::LimitReached(_))), "{again:?}");
    // Whoever is invited and is made a member by hand takes one place, not two.
    let org = name("acme");
    admin::set_quota(store, &org, Quota::Members, Some(Limit::AtMost(2)))
        .await
        .unwrap();
    crate::invitations::again(store, owner, first.id)
        .await
        .unwrap();
    new_member(store, owner, "ada").await.unwrap();
    assert_eq!(world.used(Quota::Members).await, 2);
    let third = invite(store, owner, "eve@example.com", Role::Viewer).await;
    assert!(matches!(third, Err(Error::LimitReached(_))), "{third:?}");

    // Whoever runs the server gets in all the same.
    let mut tx = store.begin(&grant::<AccountManage>(owner)).await.unwrap();
    let later = world.db.clock.now() + TimeDelta::hours(1);
    tokens::rotate(&mut tx, "one", Some(later), false, later)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.used(Quota::Tokens).await, 2);
    admin::create_token(store, &org, Role::Admin, &name("rescue"), None)
        .await
        .unwrap();
    assert_eq!(world.used(Quota::Tokens).await, 3);
    world.db.clock.advance(TimeDelta::days(1));
    let mut tx = store.begin(&grant::<AccountManage>(owner)).await.unwrap();
    let later = world.db.clock.now() + TimeDelta::hours(1);
    let refused = tokens::rotate(&mut tx, "one", Some(later), false, later).await;
    assert!(
        matches!(refused, Err(Error::LimitReached(_))),
        "{refused:?}"
    );
    let mut tx = store.begin(&grant::<MemberRead>(owner)).await.unwrap();
    let first = invitations::find(&mut tx, &first.id.to_string()).await;
    let first = first.unwrap().unwrap();
    assert_eq!(first.state, invitations::State::Withdrawn);
}
