//! Many at once, and exactly as many as there may be.

use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::{CertificateIssue, MeshRead, ProxyWrite, UsageRead};
use heddle_model::kind::Kind;
use heddle_model::quota::{Limit, Quota};
use heddle_store::certificates::{self, Certified};
use heddle_store::listing::Wanted;
use heddle_store::meshes::{self};
use heddle_store::proxies::{self, JoinRefused};
use heddle_store::resources::Precondition;
use heddle_store::usage::{self, Meter};
use heddle_store::{Caller, Error, Store, admin, authorities};
use secrecy::{ExposeSecret as _, SecretString};

use super::world::{
    World, new_account, new_connection, new_join_token, new_member, new_mesh, new_token,
    new_webhook, put_service,
};
use crate::authorities::{entry, hierarchy};
use crate::build::{address, arriving, join_token, mesh, name, put_if, route_spec, service};
use crate::invitations::invite;
use crate::support::{grant, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d08_of_fifty_at_once_exactly_as_many_are_made_as_there_is_room_for() {
    // The mesh, the owner's token and whatever else is there count, so that one or two are left of each.
    let world = World::new(
        "meshes=3 services=4 routes=2 service_accounts=2 members=3 tokens=3 join_tokens=2 sso_connections=3 webhooks=2",
    )
    .await;
    let mesh = world.mesh.clone();
    let payments = service(&world.here, &world.owner, mesh.id, "payments").await;
    let made = world
        .fifty(Quota::Meshes, |store, owner, n| async move {
            new_mesh(&store, &owner, &format!("m{n}")).await
        })
        .await;
    assert_eq!(made, 2);

    // In one mesh and in two: those of a mesh queue for it anyway, those of two do not.
    let mut tx = world
        .here
        .begin(&grant::<MeshRead>(&world.owner))
        .await
        .unwrap();
    let rows = meshes::search(&mut tx, &Wanted::by_name(10)).await.unwrap();
    drop(tx);
    assert_eq!(rows.len(), 3);
    let made = world
        .fifty(Quota::Services, |store, owner, n| {
            let mesh = rows[n % rows.len()].clone();
            async move { put_service(&store, &owner, &mesh, &format!("s{n}")).await }
        })
        .await;
    assert_eq!(made, 3);
    let made = world
        .fifty(Quota::Routes, |store, owner, n| {
            let (mesh, route) = (mesh.id, name(&format!("r{n}")));
            async move {
                let at = address(mesh, Kind::Route, Some(payments.id), &route);
                let spec = route_spec(u32::try_from(n).unwrap() + 1);
                let put = put_if(&store, &owner, &at, &spec, &Precondition::None);
                put.await.map(drop)
            }
        })
        .await;
    assert_eq!(made, 2);
    new_account(&world.here, &world.owner, "robot")
        .await
        .unwrap();
    let made = world
        .fifty(Quota::ServiceAccounts, |store, owner, n| async move {
            new_account(&store, &owner, &format!("a{n}")).await
        })
        .await;
    assert_eq!(made, 1);
    let made = world
        .fifty(Quota::SsoConnections, |store, owner, n| async move {
            new_connection(&store, &owner, &format!("c{n}")).await
        })
        .await;
    assert_eq!(made, 3);
    let made = world
        .fifty(Quota::Webhooks, |store, owner, n| async move {
            new_webhook(&store, &owner, &format!("w{n}")).await
        })
        .await;
    assert_eq!(made, 2);
    let made = world
        .fifty(Quota::Members, |store, owner, n| async move {
            // Whoever is invited has a place.
            match n % 3 {
                0 => new_member(&store, &owner, &format!("m{n}")).await,
                _ => {
                    let to = format!("i{n}@example.com");
                    invite(&store, &owner, &to, Role::Viewer).await.map(drop)
                }
            }
        })
        .await;
    assert_eq!(made, 3);
    let made = world
        .fifty(Quota::Tokens, |store, owner, n| async move {
            new_token(&store, &owner, &format!("t{n}")).await
        })
        .await;
    assert_eq!(made, 2);
    let made = world
        .fifty(Quota::JoinTokens, |store, owner, n| {
            let mesh = mesh.clone();
            async move { new_join_token(&store, &owner, &mesh, &format!("j{n}")).await }
        })
        .await;
    assert_eq!(made, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d08_of_fifty_new_proxies_as_many_are_bound_as_there_may_be() {
    let world = World::new("proxies=7").await;
    let (store, owner) = (&world.here, &world.owner);
    service(store, owner, world.mesh.id, "payments").await;
    let other = mesh(store, owner, "test").await;
    service(store, owner, other.id, "payments").await;
    let secrets = [
        join_token(store, owner, world.mesh.id, "a", "payments", true).await,
        join_token(store, owner, other.id, "b", "payments", true).await,
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let store = if n % 2 == 0 {
            &world.here
        } else {
            &world.there
        }
        .clone();
        let secret = secrets[n % 3 % 2].clone();
        tasks.spawn(async move {
            let node = format!("node-{n}");
            let joined = proxies::join(&store, secret.expose_secret(), arriving(&node)).await;
            (node, secret, joined.unwrap())
        });
    }
    let (bound, refused): (Vec<_>, Vec<_>) = tasks
        .join_all()
        .await
        .into_iter()
        .partition(|(.., joined)| joined.is_ok());
    assert_eq!((bound.len(), refused.len()), (7, 43));
    let why = |(.., joined): &(_, _, Result<_, JoinRefused>)| joined.as_ref().err().copied();
    assert!(
        refused
            .iter()
            .all(|one| why(one) == Some(JoinRefused::LimitReached))
    );
    assert_eq!(world.used(Quota::Proxies).await, 7);

    // Whoever was here comes back, whatever the limit is now; nobody new comes.
    let org = name("acme");
    admin::set_quota(store, &org, Quota::Proxies, Some(Limit::AtMost(1)))
        .await
        .unwrap();
    let join = async |secret: &SecretString, node: &str| {
        let joined = proxies::join(&world.there, secret.expose_secret(), arriving(node)).await;
        joined.unwrap().map(|joined| joined.proxy)
    };
    for (node, secret, joined) in &bound {
        assert_eq!(join(secret, node).await, Ok(joined.as_ref().unwrap().proxy));
    }
    assert_eq!(
        join(&secrets[0], "new").await,
        Err(JoinRefused::LimitReached)
    );

    // Room for one more, by a higher limit and by one that is forgotten.
    admin::set_quota(store, &org, Quota::Proxies, Some(Limit::AtMost(8)))
        .await
        .unwrap();
    assert!(join(&secrets[0], "new").await.is_ok());
    assert_eq!(
        join(&secrets[0], "newer").await,
        Err(JoinRefused::LimitReached)
    );
    let mut tx = store.begin(&grant::<ProxyWrite>(owner)).await.unwrap();
    let page = proxies::page(&mut tx, world.mesh.id, None, 1)
        .await
        .unwrap();
    proxies::forget(&mut tx, world.mesh.id, &page[0])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(join(&secrets[0], "newer").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d08_certificates_by_the_api_are_limited_by_the_day() {
    let world = World::new("certificates_per_day=4").await;
    let (store, owner, mesh) = (&world.here, &world.owner, &world.mesh);
    let payments = service(store, owner, mesh.id, "payments").await;
    let joined = join_token(store, owner, mesh.id, "a", "payments", true).await;
    let joined = proxies::join(store, joined.expose_secret(), arriving("node")).await;
    let joined = joined.unwrap().unwrap();
    let signs = hierarchy(1);
    authorities::create(store, &joined.mesh, &signs)
        .await
        .unwrap();
    let given = |n: usize| Certified {
        serial: format!("{n:032x}"),
        spiffe_id: "spiffe://x/service/payments".to_owned(),
        chain_pem: String::new(),
        bundle_pem: String::new(),
        not_before: start(),
        not_after: start() + TimeDelta::days(1),
        renew_at: start(),
    };
    for n in 0..52 {
        let entry = entry(&given(n).serial, joined.proxy, signs[1].id);
        assert!(
            certificates::record(store, &joined.mesh, &entry)
                .await
                .unwrap()
        );
    }
    let give = |store: Store, owner: Caller, n: usize| {
        let (mesh, service, given) = (mesh.id, payments.name.clone(), given(n));
        async move {
            let mut tx = store.begin(&grant::<CertificateIssue>(&owner)).await?;
            certificates::require_room(&mut tx).await?;
            certificates::give(&mut tx, mesh, &service, &given, 1).await?;
            tx.commit().await.map(drop)
        }
    };
    assert_eq!(world.fifty(Quota::CertificatesPerDay, give).await, 4);
    let refused = give(store.clone(), owner.clone(), 50).await;
    assert!(
        matches!(refused, Err(Error::LimitReached(_))),
        "{refused:?}"
    );
    // The day ends at midnight in UTC.
    world.db.clock.advance(TimeDelta::hours(12));
    assert_eq!(world.used(Quota::CertificatesPerDay).await, 0);
    give(store.clone(), owner.clone(), 51).await.unwrap();
    let mut tx = store.begin(&grant::<UsageRead>(owner)).await.unwrap();
    let days = usage::days(&mut tx, 2).await.unwrap();
    let asked: Vec<u64> = days
        .iter()
        .map(|day| day.amount(Meter::RequestedCertificates))
        .collect();
    assert_eq!(asked, [4, 1]);
}
