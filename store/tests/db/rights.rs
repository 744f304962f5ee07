//! Roles at meshes: what a caller sees, what it may touch, and that nobody hands on more than they have.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use heddle_model::authz::permission::{
    AccountManage, AccountRead, ConfigRead, ConfigWrite, JoinTokenRead, MemberWrite, MeshRead,
    MeshWrite, ProxyRead, RoleBindingRead, RoleBindingWrite, ServiceAccountWrite,
};
use heddle_model::authz::{Action, Role};
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_store::listing::Wanted;
use heddle_store::resources::{self, Below, Precondition};
use heddle_store::tokens::{self, NewToken};
use heddle_store::{
    Bound, Caller, Denied, Error, PrincipalRow, Store, admin, join_tokens, members, meshes,
    proxies, role_bindings, service_accounts,
};
use secrecy::SecretString;

use crate::build::{address, mesh, name, object, service_spec};
use crate::support::{TestDb, grant};

/// A service account with these roles.
pub(crate) async fn account(
    store: &Store,
    owner: &Caller,
    account: &str,
    bound: &[(Role, Option<MeshId>)],
) -> PrincipalRow {
    let mut tx = store
        .begin(&grant::<ServiceAccountWrite>(owner))
        .await
        .unwrap();
    let row = service_accounts::create(&mut tx, &name(account), None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for (role, mesh) in bound {
        bind(store, owner, &row, *role, *mesh).await.unwrap();
    }
    row
}

pub(crate) async fn bind(
    store: &Store,
    caller: &Caller,
    principal: &PrincipalRow,
    role: Role,
    mesh: Option<MeshId>,
) -> Result<role_bindings::BindingRow, Error> {
    let mut tx = store.begin(&grant::<RoleBindingWrite>(caller)).await?;
    let row = role_bindings::create(&mut tx, principal, Bound { role, mesh }, None).await?;
    tx.commit().await?;
    Ok(row)
}

fn plain(token: &str) -> NewToken {
    NewToken {
        name: name(token),
        scopes: None,
        meshes: None,
        expires_at: None,
    }
}

async fn token(
    store: &Store,
    caller: &Caller,
    account: Option<&PrincipalRow>,
    new: &NewToken,
) -> Result<SecretString, Error> {
    let mut tx = store.begin(&grant::<AccountManage>(caller)).await?;
    let created = tokens::create(&mut tx, account, new).await?;
    tx.commit().await?;
    Ok(created.secret)
}

/// A caller with these roles.
pub(crate) async fn caller_with(
    db: &TestDb,
    owner: &Caller,
    called: &str,
    bound: &[(Role, Option<MeshId>)],
) -> Caller {
    caller_with_token(db, owner, called, bound).await.0
}

/// A caller with these roles, and its token.
pub(crate) async fn caller_with_token(
    db: &TestDb,
    owner: &Caller,
    called: &str,
    bound: &[(Role, Option<MeshId>)],
) -> (Caller, SecretString) {
    let row = account(&db.store, owner, called, bound).await;
    let secret = token(&db.store, owner, Some(&row), &plain(called))
        .await
        .unwrap();
    (db.caller(&secret).await.unwrap(), secret)
}

#[tokio::test]
async fn sec_t01_a_mesh_that_the_caller_may_not_know_of_does_not_exist() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let store = &db.store;
    let a = mesh(store, &owner, "a").await.id;
    let b = mesh(store, &owner, "b").await.id;
    let c = mesh(store, &owner, "c").await.id;
    let roles = [(Role::Viewer, Some(a)), (Role::Developer, Some(b))];
    let caller = caller_with(&db, &owner, "ci", &roles).await;

    let mut tx = store.begin(&grant::<MeshRead>(&caller)).await.unwrap();
    let rows = meshes::search(&mut tx, &Wanted::by_name(10)).await.unwrap();
    let listed: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(listed, ["a", "b"]);
    for hidden in ["c", &c.to_string(), "nowhere"] {
        let found = meshes::find(&mut tx, hidden).await.unwrap();
        assert_eq!(found, None, "{hidden}");
    }
    drop(tx);

    // Reading by an identifier that was obtained elsewhere.
    let mut tx = store.begin(&grant::<ConfigRead>(&caller)).await.unwrap();
    for (mesh, visible) in [(a, true), (b, true), (c, false)] {
        let page = resources::search(
            &mut tx,
            mesh,
            Kind::Service,
            Below::Any,
            &Wanted::by_name(10),
        )
        .await;
        let exists = resources::service_exists(&mut tx, mesh, &[name("x")]).await;
        let host = resources::host_owner(&mut tx, mesh, "x", None).await;
        let found = resources::find(&mut tx, mesh, Kind::Service, None, "x").await;
        let seen = [page.is_ok(), exists.is_ok(), host.is_ok(), found.is_ok()];
        assert_eq!(seen, [visible; 4], "{mesh}");
        assert!(visible || matches!(page, Err(Error::NotFound)), "{page:?}");
    }
    drop(tx);
    let mut tx = store.begin(&grant::<ProxyRead>(&caller)).await.unwrap();
    let hidden = proxies::page(&mut tx, c, None, 10).await;
    assert!(matches!(hidden, Err(Error::NotFound)), "{hidden:?}");
    drop(tx);

    // Writing: not there, seen but not reached, reached.
    let service = name("payments");
    for (mesh, outcome) in [(c, 404), (a, 403), (b, 201)] {
        let mut tx = store.begin(&grant::<ConfigWrite>(&caller)).await.unwrap();
        let at = address(mesh, Kind::Service, None, &service);
        let put = resources::put(&mut tx, &at, &service_spec(80), &Precondition::None).await;
        let status = match put {
            Ok(put) if put.created => 201,
            Err(Error::NotFound) => 404,
            Err(Error::Forbidden {
                scope: "config:write",
            }) => 403,
            other => panic!("{other:?}"),
        };
        assert_eq!(status, outcome);
    }
    // What none of its roles permits anywhere needs no mesh to be refused; what one of them does, is refused at the others.
    let denied = caller.grant::<JoinTokenRead>("-").unwrap_err();
    let scope = "join_tokens:read";
    assert_eq!(denied, Denied::Forbidden { scope });
    let both = [(Role::Viewer, Some(a)), (Role::Operator, Some(b))];
    let caller = caller_with(&db, &owner, "ops", &both).await;
    let mut tx = store.begin(&grant::<JoinTokenRead>(&caller)).await.unwrap();
    let at_a = join_tokens::page(&mut tx, a, None, 10).await;
    assert!(matches!(at_a, Err(Error::Forbidden { .. })), "{at_a:?}");
    assert!(join_tokens::page(&mut tx, b, None, 10).await.is_ok());
    let at_c = join_tokens::page(&mut tx, c, None, 10).await;
    assert!(matches!(at_c, Err(Error::NotFound)), "{at_c:?}");
}

#[tokio::test]
async fn an_admin_of_a_mesh_rules_there_and_makes_no_others() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let store = &db.store;
    let a = mesh(store, &owner, "a").await;
    let b = mesh(store, &owner, "b").await.id;
    let admin = caller_with(&db, &owner, "admin-of-a", &[(Role::Admin, Some(a.id))]).await;

    let mut tx = store.begin(&grant::<MeshWrite>(&admin)).await.unwrap();
    let sent = object(serde_json::json!({}));
    let made = meshes::insert(&mut tx, &name("new"), "new.example", &sent).await;
    assert!(
        matches!(
            made,
            Err(Error::Forbidden {
                scope: "meshes:write"
            })
        ),
        "{made:?}"
    );
    drop(tx);
    assert!(matches!(
        admin.grant::<MemberWrite>("-"),
        Err(Denied::Forbidden {
            scope: "members:write"
        })
    ));

    // Roles: at its own mesh, up to its own.
    let other = account(store, &owner, "other", &[]).await;
    bind(store, &admin, &other, Role::Admin, Some(a.id))
        .await
        .unwrap();
    let twice = bind(store, &admin, &other, Role::Admin, Some(a.id)).await;
    assert!(
        matches!(twice, Err(Error::AlreadyExists { .. })),
        "{twice:?}"
    );
    let elsewhere = bind(store, &admin, &other, Role::Viewer, Some(b)).await;
    assert!(matches!(elsewhere, Err(Error::NotFound)), "{elsewhere:?}");
    let everywhere = bind(store, &admin, &other, Role::Viewer, None).await;
    assert!(
        matches!(
            everywhere,
            Err(Error::Forbidden {
                scope: "role_bindings:write"
            })
        ),
        "{everywhere:?}"
    );
    let mut tx = store
        .begin(&grant::<RoleBindingRead>(&admin))
        .await
        .unwrap();
    let rows = role_bindings::page(&mut tx, None, None, None, 10)
        .await
        .unwrap();
    assert_eq!(rows.len(), 2, "those at its mesh: its own and the other's");
    drop(tx);

    let mut tx = store.begin(&grant::<MeshWrite>(&admin)).await.unwrap();
    let row = meshes::require(&mut tx, "a").await.unwrap();
    meshes::delete(&mut tx, &row, &Precondition::None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn sec_z11_nobody_hands_on_or_takes_away_more_than_they_have() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let store = &db.store;
    let admin = caller_with(&db, &owner, "admin", &[(Role::Admin, None)]).await;
    let victim = account(store, &owner, "victim", &[(Role::Owner, None)]).await;
    let lackey = account(store, &owner, "lackey", &[]).await;

    let given = bind(store, &admin, &lackey, Role::Owner, None).await;
    assert!(matches!(given, Err(Error::Escalation)), "{given:?}");
    bind(store, &admin, &lackey, Role::Admin, None)
        .await
        .unwrap();
    let mut tx = store
        .begin(&grant::<RoleBindingWrite>(&admin))
        .await
        .unwrap();
    let rows = role_bindings::page(&mut tx, Some(victim.id), None, None, 10)
        .await
        .unwrap();
    let taken = role_bindings::delete(&mut tx, &rows[0]).await;
    assert!(matches!(taken, Err(Error::Escalation)), "{taken:?}");
    drop(tx);
    let mut tx = store
        .begin(&grant::<ServiceAccountWrite>(&admin))
        .await
        .unwrap();
    let removed = service_accounts::remove(&mut tx, &victim).await;
    assert!(matches!(removed, Err(Error::Escalation)), "{removed:?}");
    drop(tx);
    // A token of somebody stronger would be their power.
    let stolen = token(store, &admin, Some(&victim), &plain("stolen")).await;
    assert!(matches!(stolen, Err(Error::Escalation)), "{stolen:?}");
    let narrow = NewToken {
        scopes: Some(BTreeSet::from([Action::ConfigRead])),
        ..plain("narrow")
    };
    // ... unless it is narrowed to what the maker may do anyway.
    token(store, &admin, Some(&victim), &narrow).await.unwrap();

    let developer = caller_with(&db, &owner, "developer", &[(Role::Developer, None)]).await;
    let made = token(store, &developer, Some(&lackey), &plain("made")).await;
    assert!(
        matches!(
            made,
            Err(Error::Forbidden {
                scope: "tokens:write"
            })
        ),
        "{made:?}"
    );
    // A narrowed token makes no wider one, not even of its own owner.
    let narrow = NewToken {
        scopes: Some(BTreeSet::from([Action::AccountManage, Action::ConfigRead])),
        ..plain("own-narrow")
    };
    let secret = token(store, &developer, None, &narrow).await.unwrap();
    let narrow_caller = db.caller(&secret).await.unwrap();
    let wider = token(store, &narrow_caller, None, &plain("wider")).await;
    assert!(matches!(wider, Err(Error::Escalation)), "{wider:?}");
    let same = NewToken {
        name: name("same"),
        ..narrow
    };
    token(store, &narrow_caller, None, &same).await.unwrap();
    // Who is nobody has no tokens of its own.
    let nobody = token(store, &owner, None, &plain("nobody")).await;
    assert!(matches!(nobody, Err(Error::NoPrincipal)), "{nobody:?}");
}

#[tokio::test]
async fn the_last_owner_stays_also_when_two_owners_remove_each_other() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let (store, acme) = (&db.store, name("acme"));
    let mut ids = Vec::new();
    for email in ["ada@example.com", "bea@example.com"] {
        let email = email.parse().unwrap();
        let id = admin::create_member(store, &acme, &email, Role::Owner, None).await;
        ids.push(id.unwrap().to_string());
    }
    let remove = async |id: &str| {
        let mut tx = store.begin(&grant::<MemberWrite>(&owner)).await?;
        let row = members::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
        members::remove(&mut tx, &row).await?;
        tx.commit().await?;
        Ok::<(), Error>(())
    };
    let (a, b) = tokio::join!(remove(&ids[0]), remove(&ids[1]));
    let refused = [a, b]
        .into_iter()
        .filter_map(Result::err)
        .collect::<Vec<_>>();
    assert!(matches!(refused[..], [Error::LastOwner]), "{refused:?}");
    let mut tx = store
        .begin(&grant::<RoleBindingWrite>(&owner))
        .await
        .unwrap();
    let rows = role_bindings::page(&mut tx, None, None, None, 10)
        .await
        .unwrap();
    let left = rows.iter().find(|row| row.role == Role::Owner).unwrap();
    let taken = role_bindings::delete(&mut tx, left).await;
    assert!(matches!(taken, Err(Error::LastOwner)), "{taken:?}");
}

#[tokio::test]
async fn sec_a11_a_token_has_what_its_owner_has_left() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let store = &db.store;
    let a = mesh(store, &owner, "a").await.id;
    let b = mesh(store, &owner, "b").await.id;
    let row = account(store, &owner, "ci", &[]).await;
    let binding = bind(store, &owner, &row, Role::Developer, None)
        .await
        .unwrap();
    let new = NewToken {
        scopes: Some(BTreeSet::from([Action::MeshRead, Action::ConfigWrite])),
        meshes: Some(BTreeSet::from([a])),
        ..plain("narrow")
    };
    let narrow = token(store, &owner, Some(&row), &new).await.unwrap();
    let caller = db.caller(&narrow).await.unwrap();
    assert!(caller.rights().reach(Action::ConfigWrite).has(a));
    assert!(!caller.rights().reach(Action::ConfigWrite).has(b));
    assert!(caller.grant::<ConfigRead>("-").is_err());

    let mut tx = store
        .begin(&grant::<RoleBindingWrite>(&owner))
        .await
        .unwrap();
    role_bindings::delete(&mut tx, &binding).await.unwrap();
    tx.commit().await.unwrap();
    let caller = db.caller(&narrow).await.unwrap();
    assert!(caller.grant::<ConfigWrite>("-").is_err());
    assert!(caller.grant::<MeshRead>("-").is_err());

    let mut tx = store
        .begin(&grant::<ServiceAccountWrite>(&owner))
        .await
        .unwrap();
    service_accounts::remove(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    assert!(db.caller(&narrow).await.is_none());
    // The name is free again, and the new one has nothing of the old one.
    let again = account(store, &owner, "ci", &[]).await;
    assert_ne!(again.id, row.id);
    let mut tx = store.begin(&grant::<AccountRead>(&owner)).await.unwrap();
    let rows = tokens::page(&mut tx, Some(again.id), None, 10)
        .await
        .unwrap();
    assert_eq!(rows, []);
}

#[tokio::test]
async fn a_rotated_token_works_on_for_the_overlap_and_no_longer() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let store = &db.store;
    let row = account(store, &owner, "ci", &[(Role::Viewer, None)]).await;
    let first = token(store, &owner, Some(&row), &plain("ci"))
        .await
        .unwrap();
    let rotate = async |hours| {
        let mut tx = store.begin(&grant::<AccountManage>(&owner)).await.unwrap();
        let until = crate::support::start() + TimeDelta::hours(hours);
        let created = tokens::rotate(&mut tx, "ci", None, true, until)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        created
    };
    let second = rotate(1).await;
    let old = db.caller(&first).await.unwrap();
    let new = db.caller(&second.secret).await.unwrap();
    assert_eq!((old.token(), old.rights()), (new.token(), new.rights()));
    db.clock.advance(TimeDelta::hours(1));
    assert!(db.caller(&first).await.is_none());
    assert!(db.caller(&second.secret).await.is_some());
    // Rotated twice: of three secrets the oldest is dead at once.
    let third = rotate(3).await;
    let fourth = rotate(3).await;
    assert!(db.caller(&second.secret).await.is_none());
    assert!(db.caller(&third.secret).await.is_some());
    let mut tx = store.begin(&grant::<AccountManage>(&owner)).await.unwrap();
    tokens::revoke(&mut tx, "ci").await.unwrap();
    tx.commit().await.unwrap();
    for secret in [&third.secret, &fourth.secret] {
        assert!(db.caller(secret).await.is_none());
    }
}

#[tokio::test]
async fn other_peoples_tokens_are_not_found_without_the_permission() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let store = &db.store;
    let one = caller_with(&db, &owner, "one", &[(Role::Developer, None)]).await;
    caller_with(&db, &owner, "two", &[(Role::Developer, None)]).await;
    let auditor = caller_with(&db, &owner, "eyes", &[(Role::Auditor, None)]).await;
    let names = async |caller: &Caller| {
        let mut tx = store.begin(&grant::<AccountRead>(caller)).await.unwrap();
        let rows = tokens::page(&mut tx, None, None, 10).await.unwrap();
        rows.into_iter()
            .map(|row| row.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&one).await, ["one"]);
    assert_eq!(names(&auditor).await, ["eyes", "one", "owner", "two"]);
    for caller in [&one, &auditor] {
        let mut tx = store.begin(&grant::<AccountManage>(caller)).await.unwrap();
        let revoked = tokens::revoke(&mut tx, "two").await;
        assert!(matches!(revoked, Err(Error::NotFound)), "{revoked:?}");
    }
}
