//! Quotas: as many as there may be, of any number at once, and what is there stays.

use std::future::Future;
use std::sync::Arc;

use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::{
    AccountManage, CertificateIssue, ConfigWrite, JoinTokenWrite, MemberRead, MemberWrite,
    MeshRead, MeshWrite, ProxyWrite, ServiceAccountRead, ServiceAccountWrite, UsageRead,
};
use heddle_model::clock::{Clock as _, SharedClock};
use heddle_model::kind::Kind;
use heddle_model::quota::{Limit, Quota, Quotas};
use heddle_store::certificates::{self, Certified};
use heddle_store::join_tokens::{self, NewJoinToken};
use heddle_store::listing::Wanted;
use heddle_store::members::{self, NewMember};
use heddle_store::meshes::{self, MeshRow};
use heddle_store::proxies::{self, JoinRefused};
use heddle_store::quotas::{self, QuotaRow, Reached};
use heddle_store::resources::{self, Precondition, Step};
use heddle_store::rollbacks::{self, Goal};
use heddle_store::tokens::{self, NewToken};
use heddle_store::usage::{self, Meter};
use heddle_store::{Caller, Error, Store, admin, authorities, invitations, service_accounts};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::authorities::{entry, hierarchy};
use crate::build::{
    address, arriving, join_token, mesh, name, object, put_if, route_spec, service, service_spec,
};
use crate::invitations::{email, invite};
use crate::support::{TestDb, cluster, connect_with, grant, start};

/// Two servers that give organisations this much, and an organisation with a mesh.
struct World {
    db: TestDb,
    here: Store,
    there: Store,
    owner: Caller,
    mesh: MeshRow,
}

impl World {
    async fn new(quotas: &str) -> Self {
        let quotas: Quotas = quotas.parse().unwrap();
        let db = TestDb::new().await;
        let url = cluster().url("heddle_server", &db.name);
        let clock = Arc::clone(&db.clock) as SharedClock;
        let here = connect_with(&url, 12, Arc::clone(&clock), quotas.clone()).await;
        let there = connect_with(&url, 12, clock, quotas).await;
        let owner = db.owner("acme").await;
        let mesh = mesh(&here, &owner, "prod").await;
        Self {
            db,
            here,
            there,
            owner,
            mesh,
        }
    }

    async fn row(&self, quota: Quota) -> QuotaRow {
        row(&self.here, &self.owner, quota).await
    }

    async fn used(&self, quota: Quota) -> u64 {
        self.row(quota).await.used
    }

    /// Fifty at once, at two servers: how many came through. The others were told what there is.
    async fn fifty<F>(&self, quota: Quota, make: impl Fn(Store, Caller, usize) -> F) -> usize
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let limit = self.row(quota).await.limit.number().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..50 {
            let store = if n % 2 == 0 { &self.here } else { &self.there };
            tasks.spawn(make(store.clone(), self.owner.clone(), n));
        }
        let mut made = 0;
        for outcome in tasks.join_all().await {
            match outcome {
                Ok(()) => made += 1,
                Err(Error::LimitReached(reached)) => {
                    let met = Reached {
                        quota,
                        limit,
                        used: limit,
                        wanted: 1,
                    };
                    assert_eq!(reached, [met]);
                }
                Err(other) => panic!("{quota}: {other:?}"),
            }
        }
        assert_eq!(self.used(quota).await, limit, "{quota}");
        made
    }
}

async fn row(store: &Store, caller: &Caller, quota: Quota) -> QuotaRow {
    let mut tx = store.begin(&grant::<UsageRead>(caller)).await.unwrap();
    let rows = quotas::all(&mut tx).await.unwrap();
    rows.into_iter().find(|row| row.quota == quota).unwrap()
}

async fn put_service(store: &Store, caller: &Caller, mesh: &MeshRow, n: &str) -> Result<(), Error> {
    let service = name(n);
    let at = address(mesh.id, Kind::Service, None, &service);
    put_if(store, caller, &at, &service_spec(80), &Precondition::None)
        .await
        .map(drop)
}

async fn new_mesh(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let mut tx = store.begin(&grant::<MeshWrite>(caller)).await?;
    let sent = object(serde_json::json!({"deletion_protection": false}));
    meshes::insert(&mut tx, &name(n), &format!("{n}.example"), &sent).await?;
    tx.commit().await.map(drop)
}

async fn new_account(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let mut tx = store.begin(&grant::<ServiceAccountWrite>(caller)).await?;
    service_accounts::create(&mut tx, &name(n), None).await?;
    tx.commit().await.map(drop)
}

async fn new_member(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let new = NewMember {
        email: email(&format!("{n}@example.com")),
        display_name: None,
        password_hash: None,
        role: None,
    };
    let mut tx = store.begin(&grant::<MemberWrite>(caller)).await?;
    members::create(&mut tx, &new).await?;
    tx.commit().await.map(drop)
}

async fn new_join_token(
    store: &Store,
    caller: &Caller,
    mesh: &MeshRow,
    n: &str,
) -> Result<(), Error> {
    let new = NewJoinToken {
        name: name(n),
        service: name("payments"),
        reusable: true,
        bounds: join_tokens::Bounds::default(),
        expires_at: Some(start() + TimeDelta::hours(1)),
    };
    let mut tx = store.begin(&grant::<JoinTokenWrite>(caller)).await?;
    join_tokens::create(&mut tx, mesh.id, &new).await?;
    tx.commit().await.map(drop)
}

async fn new_token(store: &Store, caller: &Caller, n: &str) -> Result<(), Error> {
    let mut tx = store.begin(&grant::<ServiceAccountRead>(caller)).await?;
    let account = service_accounts::find(&mut tx, "robot").await?.unwrap();
    drop(tx);
    let new = NewToken {
        name: name(n),
        scopes: None,
        meshes: None,
        expires_at: Some(start() + TimeDelta::hours(1)),
    };
    let mut tx = store.begin(&grant::<AccountManage>(caller)).await?;
    tokens::create(&mut tx, Some(&account), &new).await?;
    tx.commit().await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d08_of_fifty_at_once_exactly_as_many_are_made_as_there_is_room_for() {
    // The mesh, the owner's token and whatever else is there count, so that one or two are left of each.
    let world = World::new(
        "meshes=3 services=4 routes=2 service_accounts=2 members=3 tokens=3 join_tokens=2",
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

#[tokio::test]
async fn what_is_counted_is_added_up_by_the_day_and_by_organisation() {
    let world = World::new("").await;
    let (acme, rival) = (&world.owner, world.db.owner("rival").await);
    let days = async |caller: &Caller| {
        let grant = grant::<UsageRead>(caller);
        let mut tx = world.there.begin(&grant).await.unwrap();
        let days = usage::days(&mut tx, 3).await.unwrap();
        let told = |day: &usage::UsageDay| (day.amount(Meter::Requests), day.amount(Meter::Pushes));
        days.iter().map(told).collect::<Vec<_>>()
    };
    for store in [&world.here, &world.there] {
        store.count(acme.org(), Meter::Requests, 2);
        store.count(acme.org(), Meter::Pushes, 0);
        store.count(rival.org(), Meter::Pushes, 7);
    }
    assert_eq!(days(acme).await, [(0, 0), (0, 0), (0, 0)]);
    world.here.write_usage().await.unwrap();
    world.there.write_usage().await.unwrap();
    // Nothing twice.
    world.here.write_usage().await.unwrap();
    assert_eq!(days(acme).await, [(0, 0), (0, 0), (4, 0)]);
    assert_eq!(days(&rival).await, [(0, 0), (0, 0), (0, 14)]);

    // What was counted before midnight is of that day, also when it is written after it.
    world.here.count(acme.org(), Meter::Requests, 1);
    world.db.clock.advance(TimeDelta::hours(12));
    world.here.count(acme.org(), Meter::Requests, 10);
    world.here.write_usage().await.unwrap();
    assert_eq!(days(acme).await, [(0, 0), (5, 0), (10, 0)]);

    // A database that is away costs nothing but time.
    world.here.count(acme.org(), Meter::Requests, 100);
    world.here.count(rival.org(), Meter::Pushes, 100);
    let superuser = world.db.superuser().await;
    let lock = "alter table heddle.usage_days rename to away";
    sqlx::query(lock).execute(&superuser).await.unwrap();
    assert!(world.here.write_usage().await.is_err());
    let back = "alter table heddle.away rename to usage_days";
    sqlx::query(back).execute(&superuser).await.unwrap();
    world.here.write_usage().await.unwrap();
    assert_eq!(days(acme).await[2], (110, 0));
    assert_eq!(days(&rival).await[2], (0, 100));
}
