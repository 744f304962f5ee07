//! What only a member does who signed in a moment ago.

use chrono::TimeDelta;
use heddle_model::authz::permission::{
    AccountManage, ConfigWrite, MemberWrite, MeshWrite, RoleBindingWrite, ServiceAccountWrite,
};
use heddle_model::authz::{Permission, Role};
use heddle_model::clock::Clock as _;
use heddle_store::devices::{self, NewRequest};
use heddle_store::resources::Precondition;
use heddle_store::sessions::FRESH;
use heddle_store::tokens::{self, NewToken};
use heddle_store::{
    Bound, Caller, Error, Result, Tx, members, meshes, role_bindings, service_accounts,
};

use crate::build::{mesh, name};
use crate::sessions::World;
use crate::support::grant;

const ACTS: [&str; 9] = [
    "delete a mesh",
    "add a member",
    "give a member a password",
    "remove a member",
    "remove a service account",
    "give a role",
    "make a token",
    "rotate a token",
    "let a device in",
];

/// Does one of [`ACTS`] in a transaction that is given up.
async fn act(world: &World, caller: &Caller, what: &str) -> Result<()> {
    let store = &world.db.store;
    match what {
        "delete a mesh" => {
            let mut tx = begin::<MeshWrite>(world, caller).await?;
            let row = meshes::require(&mut tx, "shop").await?;
            meshes::delete(&mut tx, &row, &Precondition::None).await
        }
        "add a member" => {
            let mut tx = begin::<MemberWrite>(world, caller).await?;
            let new = members::NewMember {
                email: "eve@example.com".parse().unwrap(),
                display_name: None,
                password_hash: None,
                role: None,
            };
            members::create(&mut tx, &new).await.map(drop)
        }
        "give a member a password" | "remove a member" => {
            let mut tx = begin::<MemberWrite>(world, caller).await?;
            let bea = members::find(&mut tx, "bea@example.com").await?.unwrap();
            if what == "remove a member" {
                members::remove(&mut tx, &bea).await
            } else {
                members::set_password(&mut tx, &bea, "hash").await
            }
        }
        "remove a service account" => {
            let mut tx = begin::<ServiceAccountWrite>(world, caller).await?;
            let robot = service_accounts::find(&mut tx, "robot").await?.unwrap();
            service_accounts::remove(&mut tx, &robot).await
        }
        "give a role" => {
            let mut tx = begin::<ServiceAccountWrite>(world, caller).await?;
            let robot = service_accounts::find(&mut tx, "robot").await?.unwrap();
            drop(tx);
            let mut tx = begin::<RoleBindingWrite>(world, caller).await?;
            let bound = Bound {
                role: Role::Viewer,
                mesh: None,
            };
            role_bindings::create(&mut tx, &robot, bound, None)
                .await
                .map(drop)
        }
        "make a token" => {
            let mut tx = begin::<AccountManage>(world, caller).await?;
            tokens::create(&mut tx, None, &token("mine"))
                .await
                .map(drop)
        }
        "rotate a token" => {
            let mut tx = begin::<AccountManage>(world, caller).await?;
            let now = world.db.clock.now();
            tokens::rotate(&mut tx, "old", None, true, now)
                .await
                .map(drop)
        }
        "let a device in" => {
            let new = NewRequest {
                client: "heddle",
                address: None,
                scopes: None,
            };
            let asked = devices::ask(store, &new).await?.unwrap();
            let own = grant::<AccountManage>(caller);
            let code = secrecy::ExposeSecret::expose_secret(&asked.user_code);
            let found = devices::find(store, &own, code).await?.unwrap();
            let mut tx = store.begin(&own).await?;
            devices::decide(&mut tx, &found, true).await.map(drop)
        }
        other => panic!("{other}"),
    }
}

async fn begin<P: Permission>(world: &World, caller: &Caller) -> Result<Tx<P>> {
    world.db.store.begin(&grant::<P>(caller)).await
}

fn token(called: &str) -> NewToken {
    NewToken {
        name: name(called),
        scopes: None,
        meshes: None,
        expires_at: None,
    }
}

#[tokio::test]
async fn sec_w08_what_cannot_be_taken_back_needs_a_fresh_sign_in() {
    let world = World::new().await;
    let store = &world.db.store;
    world.member("bea@example.com", Role::Viewer).await;
    let signed = world.sign_in().await;
    let ada = world.caller(&signed).await.unwrap();
    let _ = mesh(store, &ada, "shop").await;
    let mut tx = begin::<ServiceAccountWrite>(&world, &ada).await.unwrap();
    let created = service_accounts::create(&mut tx, &name("robot"), None).await;
    created.unwrap();
    tx.commit().await.unwrap();
    let mut tx = begin::<AccountManage>(&world, &ada).await.unwrap();
    let made = tokens::create(&mut tx, None, &token("old")).await.unwrap();
    tx.commit().await.unwrap();

    world.db.clock.advance(FRESH);
    for what in ACTS {
        act(&world, &ada, what)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    world.db.clock.advance(TimeDelta::seconds(1));
    for what in ACTS {
        let refused = act(&world, &ada, what).await;
        assert!(
            matches!(refused, Err(Error::SignInAgain)),
            "{what}: {refused:?}"
        );
    }
    // A refresh shows that the session is still somebody's, and not that it is hers.
    let refreshed = world.refresh(store, &signed.refresh_token).await.unwrap();
    let still = world.caller(&refreshed).await.unwrap();
    let refused = act(&world, &still, "delete a mesh").await;
    assert!(matches!(refused, Err(Error::SignInAgain)), "{refused:?}");
    // What can be taken back goes on, and so does a program.
    drop(begin::<ConfigWrite>(&world, &ada).await.unwrap());
    let program = world.db.caller(&made.secret).await.unwrap();
    for what in ACTS.into_iter().filter(|what| *what != "let a device in") {
        act(&world, &program, what)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    let again = world.sign_in().await;
    let ada = world.caller(&again).await.unwrap();
    for what in ACTS {
        act(&world, &ada, what)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}
