//! Organisations that ask for a second factor, members who have lost theirs, and keys that are sealed anew.

use heddle_model::authz::Role;
use heddle_model::authz::permission::{
    AccountManage, ConfigRead, MemberWrite, MeshRead, ServiceAccountWrite,
};
use heddle_store::mails::Notice;
use heddle_store::reseal::{self, Place, Resealed, Resealer};
use heddle_store::second_factors;
use heddle_store::tokens::{self, NewToken};
use heddle_store::{
    Caller, Cause, Denied, Error, admin, members, service_accounts, sign_in_policy,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{actions, enrolled, told, world};
use crate::build::name;
use crate::sessions::{Glass, PASSWORD, World};
use crate::support::grant;

async fn require(world: &World, caller: &Caller, require_mfa: bool) -> Result<i64, Error> {
    let mut tx = world.db.store.begin(&grant::<MemberWrite>(caller)).await?;
    let changed = sign_in_policy::Changed {
        require_mfa: Some(require_mfa),
        require_sso: None,
    };
    let policy = sign_in_policy::set(&mut tx, changed).await?;
    tx.commit().await?;
    assert_eq!(policy.require_mfa, require_mfa);
    Ok(policy.members_without)
}

async fn new_token(world: &World, caller: &Caller, called: &str) -> SecretString {
    let new = NewToken {
        name: name(called),
        scopes: None,
        meshes: None,
        expires_at: None,
    };
    let mut tx = world
        .db
        .store
        .begin(&grant::<AccountManage>(caller))
        .await
        .unwrap();
    let made = tokens::create(&mut tx, None, &new).await.unwrap();
    tx.commit().await.unwrap();
    made.secret
}

#[tokio::test]
async fn sec_a19_where_a_second_factor_is_asked_for_who_has_none_sets_one_up_and_nothing_else() {
    let world = World::new().await;
    let db = &world.db;
    let signed = world.sign_in().await;
    let ada = world.caller(&signed).await.unwrap();
    world.member("bea@example.com", Role::Admin).await;
    let bea = world
        .try_sign_in("acme", "bea@example.com", PASSWORD)
        .await
        .unwrap();
    let token = new_token(&world, &world.caller(&bea).await.unwrap(), "laptop").await;
    let mut tx = db
        .store
        .begin(&grant::<ServiceAccountWrite>(&ada))
        .await
        .unwrap();
    let robot = service_accounts::create(&mut tx, &name("robot"), None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let script = db.token("acme", Role::Viewer, "script").await;

    // Nobody asks of others what they do not have, and no program asks at all.
    let refused = require(&world, &ada, true).await;
    assert!(matches!(refused, Err(Error::NoSecondFactor)), "{refused:?}");
    let owner = db.token("acme", Role::Owner, "owner-script").await;
    let owner = db.caller(&owner).await.unwrap();
    let refused = require(&world, &owner, true).await;
    assert!(matches!(refused, Err(Error::NotSignedIn)), "{refused:?}");
    enrolled(db, &world.sealer, &ada).await;
    assert_eq!(require(&world, &ada, true).await.unwrap(), 1);

    // With the next request: her session, her token, and whatever else reads who asks.
    let bea_now = world.caller(&bea).await.unwrap();
    for caller in [&bea_now, &db.caller(&token).await.unwrap()] {
        assert!(caller.lacks_second_factor());
        assert_eq!(
            caller.grant::<MeshRead>("-").unwrap_err(),
            Denied::SecondFactor
        );
        assert_eq!(
            caller.grant::<AccountManage>("-").unwrap_err(),
            Denied::SecondFactor
        );
        assert_eq!(
            caller.grant::<MeshRead>("rival").unwrap_err(),
            Denied::NotFound
        );
    }
    let bearer = token.expose_secret();
    let (reading, _) = db
        .store
        .authenticate_reading(bearer)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        reading.grant::<ConfigRead>("-").unwrap_err(),
        Denied::SecondFactor
    );
    // Programs and who has one go on.
    for caller in [&ada, &owner, &db.caller(&script).await.unwrap()] {
        assert!(caller.grant::<MeshRead>("-").is_ok());
    }
    let again = world.caller(&signed).await.unwrap();
    assert!(again.grant::<MeshRead>("-").is_ok());
    let robots = robot_token(&world, &again, &robot.name).await;
    assert!(!db.caller(&robots).await.unwrap().lacks_second_factor());
    // A device that she let in before is hers, too.
    // She signs in with her password, sets one up, and is in; her token works again.
    let bea = world
        .try_sign_in("acme", "bea@example.com", PASSWORD)
        .await
        .unwrap();
    let bea_now = world.caller(&bea).await.unwrap();
    assert!(bea_now.lacks_second_factor());
    enrolled(db, &world.sealer, &bea_now).await;
    let bea_now = world.caller(&bea).await.unwrap();
    assert!(bea_now.grant::<MeshRead>("-").is_ok());
    assert!(!db.caller(&token).await.unwrap().lacks_second_factor());
    assert_eq!(require(&world, &bea_now, false).await.unwrap(), 0);
    let log = actions(&world).await;
    assert_eq!(log.iter().filter(|a| *a == "replace done").count(), 2);
}

async fn robot_token(world: &World, caller: &Caller, robot: &str) -> SecretString {
    let new = NewToken {
        name: name("robot-token"),
        scopes: None,
        meshes: None,
        expires_at: None,
    };
    let mut tx = world
        .db
        .store
        .begin(&grant::<AccountManage>(caller))
        .await
        .unwrap();
    let row = service_accounts::find(&mut tx, robot)
        .await
        .unwrap()
        .unwrap();
    let made = tokens::create(&mut tx, Some(&row), &new).await.unwrap();
    tx.commit().await.unwrap();
    made.secret
}

#[tokio::test]
async fn sec_a18_who_has_lost_it_all_is_helped_by_who_may_do_as_much() {
    let (world, signed, _) = world().await;
    let db = &world.db;
    let ada = world.caller(&signed).await.unwrap();
    world.member("bea@example.com", Role::Admin).await;
    let bea = world
        .try_sign_in("acme", "bea@example.com", PASSWORD)
        .await
        .unwrap();
    let bea = world.caller(&bea).await.unwrap();
    let reset = async |caller: &Caller, email: &str| {
        let mut tx = db.store.begin(&grant::<MemberWrite>(caller)).await?;
        let row = members::find(&mut tx, email).await?.unwrap();
        second_factors::reset(&mut tx, &row).await?;
        tx.commit().await
    };
    // An admin does not do so to an owner.
    let refused = reset(&bea, "ada@example.com").await;
    assert!(matches!(refused, Err(Error::Escalation)), "{refused:?}");
    let none = reset(&ada, "bea@example.com").await;
    assert!(matches!(none, Err(Error::NoSecondFactor)), "{none:?}");
    // Whoever runs the installation does.
    let (acme, email) = (name("acme"), "ada@example.com".parse().unwrap());
    admin::reset_second_factor(&db.store, &acme, &email)
        .await
        .unwrap();
    let none = admin::reset_second_factor(&db.store, &acme, &email).await;
    assert!(matches!(none, Err(Error::NoSecondFactor)), "{none:?}");
    assert!(world.caller(&signed).await.is_none());
    world.sign_in().await;
    assert_eq!(
        told(&world).await,
        [Notice::SecondFactorAdded, Notice::SecondFactorRemoved]
    );
    assert!(
        actions(&world)
            .await
            .contains(&"reset_second_factor done".to_owned())
    );
    // A member who is removed leaves nothing behind.
    enrolled(db, &Glass::default(), &bea).await;
    let again = world.sign_in().await;
    let ada = world.caller(&again).await.unwrap();
    let mut tx = db.store.begin(&grant::<MemberWrite>(&ada)).await.unwrap();
    let row = members::find(&mut tx, "bea@example.com")
        .await
        .unwrap()
        .unwrap();
    assert!(row.has_second_factor);
    members::remove(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from heddle.second_factors")
        .fetch_one(&db.superuser().await)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

/// Says which places it was shown, and turns each around.
struct Turning;

impl Resealer for Turning {
    fn reseal(&self, place: Place, sealed: &[u8]) -> Result<Option<Vec<u8>>, Cause> {
        let second = matches!(place, Place::SecondFactor { .. });
        Ok(second.then(|| sealed.iter().rev().copied().collect()))
    }
}

#[tokio::test]
async fn sec_c14_the_keys_of_second_factors_are_sealed_anew_in_organisations_without_a_mesh() {
    let (world, ..) = world().await;
    let key = "select sealed_key from heddle.second_factors";
    let pool = world.db.superuser().await;
    let before: Vec<u8> = sqlx::query_scalar(key).fetch_one(&pool).await.unwrap();
    let done = reseal::reseal(&world.db.store, &Turning).await.unwrap();
    // The key that signs sessions was looked at as well.
    assert_eq!(
        done,
        Resealed {
            seen: 2,
            replaced: 1
        }
    );
    let after: Vec<u8> = sqlx::query_scalar(key).fetch_one(&pool).await.unwrap();
    assert_eq!(after, before.into_iter().rev().collect::<Vec<u8>>());
}
