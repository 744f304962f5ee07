//! Devices that ask to be let in: what each of the two codes opens, when, for whom, and how often.

use chrono::TimeDelta;
use heddle_model::authz::permission::{
    AccountManage, AccountRead, ConfigWrite, MemberRead, MeshRead,
};
use heddle_model::authz::{Action, Role};
use heddle_store::devices::{self, Answer, Asked, NewRequest, State};
use heddle_store::sessions::SignedIn;
use heddle_store::{Caller, Error, Store, admin};
use secrecy::{ExposeSecret as _, SecretString};

use crate::build::name;
use crate::sessions::{PASSWORD, World};
use crate::support::grant;

async fn ask(store: &Store, scopes: Option<Vec<Action>>) -> Asked {
    let new = NewRequest {
        client: "heddle on build-7",
        address: Some("192.0.2.7"),
        scopes,
    };
    devices::ask(store, &new).await.unwrap().unwrap()
}

async fn decide(
    store: &Store,
    caller: &Caller,
    asked: &Asked,
    approve: bool,
) -> Result<State, Error> {
    let own = grant::<AccountManage>(caller);
    let code = asked.user_code.expose_secret();
    let found = devices::find(store, &own, code).await?.unwrap();
    let mut tx = store.begin(&own).await?;
    let row = devices::decide(&mut tx, &found, approve).await?;
    tx.commit().await?;
    Ok(row.state)
}

async fn answer(world: &World, store: &Store, code: &SecretString) -> Answer {
    devices::answer(store, &world.sealer, code).await.unwrap()
}

fn signed_in(answer: Answer) -> SignedIn {
    match answer {
        Answer::SignedIn(signed) => *signed,
        other => panic!("{other:?}"),
    }
}

async fn session(world: &World) -> Caller {
    let signed = world.sign_in().await;
    world.caller(&signed).await.unwrap()
}

#[tokio::test]
async fn sec_a17_a_device_gets_one_session_of_the_member_who_let_it_in() {
    let world = World::new().await;
    let store = &world.db.store;
    let ada = session(&world).await;
    let asked = ask(store, None).await;
    let code = asked.user_code.expose_secret().to_ascii_lowercase();
    let own = grant::<AccountRead>(&ada);
    let found = devices::find(store, &own, &code).await.unwrap().unwrap();
    let mut tx = store.begin(&own).await.unwrap();
    let row = devices::show(&mut tx, &found).await.unwrap();
    assert_eq!(
        (row.client.as_str(), row.state),
        ("heddle on build-7", State::Pending)
    );
    assert_eq!(row.address.as_deref(), Some("192.0.2.7"));
    drop(tx);
    let kept: String = sqlx::query_scalar("select r::text from heddle.device_requests r")
        .fetch_one(&world.db.superuser().await)
        .await
        .unwrap();
    assert!(kept.contains("build-7"), "{kept}");
    for code in [&asked.device_code, &asked.user_code] {
        assert!(!kept.contains(code.expose_secret()));
    }
    let early = answer(&world, store, &asked.device_code).await;
    assert!(matches!(early, Answer::Pending), "{early:?}");

    assert_eq!(
        decide(store, &ada, &asked, true).await.unwrap(),
        State::Approved
    );
    // Many at once, on two replicas: one gets it.
    let asking = (0..16).map(|n| {
        let store = if n % 2 == 0 { store } else { &world.replica };
        answer(&world, store, &asked.device_code)
    });
    let answers = futures::future::join_all(asking).await;
    let mut sessions = Vec::new();
    for answer in answers {
        match answer {
            Answer::SignedIn(signed) => sessions.push(*signed),
            other => assert!(matches!(other, Answer::Unknown), "{other:?}"),
        }
    }
    assert_eq!(sessions.len(), 1);
    let device = world.caller(&sessions[0]).await.unwrap();
    assert_eq!(device.principal(), ada.principal());
    assert_ne!(device.session(), ada.session());
    let mut tx = store.begin(&grant::<AccountRead>(&device)).await.unwrap();
    let row = heddle_store::sessions::find(&mut tx, "current").await;
    let row = row.unwrap().unwrap();
    assert_eq!(row.method, "device");
    assert_eq!(row.client.as_deref(), Some("heddle on build-7"));
    drop(tx);
    // Decided once, whatever the second decision would be.
    for approve in [true, false] {
        let again = decide(store, &ada, &asked, approve).await;
        assert!(matches!(again, Err(Error::NotFound)), "{again:?}");
    }
}

#[tokio::test]
async fn sec_a17_every_answer_that_is_not_a_session() {
    let world = World::new().await;
    let store = &world.db.store;
    let clock = &world.db.clock;
    let ada = session(&world).await;
    let denied = ask(store, None).await;
    decide(store, &ada, &denied, false).await.unwrap();
    for _ in 0..2 {
        let told = answer(&world, store, &denied.device_code).await;
        assert!(matches!(told, Answer::Denied), "{told:?}");
    }

    let slow = ask(store, None).await;
    let told = async || answer(&world, store, &slow.device_code).await;
    assert!(matches!(told().await, Answer::Pending));
    clock.advance(TimeDelta::seconds(5));
    assert!(matches!(told().await, Answer::Pending));
    // Too early: it waits five seconds more each time.
    clock.advance(TimeDelta::seconds(4));
    assert!(matches!(told().await, Answer::SlowDown(10)));
    clock.advance(TimeDelta::seconds(9));
    assert!(matches!(told().await, Answer::SlowDown(15)));
    clock.advance(TimeDelta::seconds(15));
    assert!(matches!(told().await, Answer::Pending));
    // Of two who ask at once, one asks too early.
    clock.advance(TimeDelta::seconds(15));
    let (a, b) = tokio::join!(told(), answer(&world, &world.replica, &slow.device_code));
    let pending = [&a, &b].map(|one| matches!(one, Answer::Pending));
    assert_eq!(pending.iter().filter(|one| **one).count(), 1, "{a:?} {b:?}");
    // What was let in gets its session however early it asks.
    decide(store, &ada, &slow, true).await.unwrap();
    signed_in(told().await);
    assert!(matches!(told().await, Answer::Unknown));

    // Nobody decided, or the device did not come back, in ten minutes.
    let (late, left) = (ask(store, None).await, ask(store, None).await);
    decide(store, &ada, &left, true).await.unwrap();
    clock.advance(TimeDelta::minutes(10));
    for asked in [&late, &left] {
        let told = answer(&world, store, &asked.device_code).await;
        assert!(matches!(told, Answer::Expired), "{told:?}");
    }
    let too_late = decide(store, &session(&world).await, &late, true).await;
    assert!(matches!(too_late, Err(Error::NotFound)), "{too_late:?}");
    // An hour later nothing is left of them, once somebody asks or decides.
    clock.advance(TimeDelta::minutes(61));
    let fresh = ask(store, None).await;
    decide(store, &session(&world).await, &fresh, true)
        .await
        .unwrap();
    let told = answer(&world, store, &late.device_code).await;
    assert!(matches!(told, Answer::Unknown), "{told:?}");
    let superuser = world.db.superuser().await;
    for table in ["device_requests", "device_decisions"] {
        let rows: i64 = sqlx::query_scalar(&format!("select count(*) from heddle.{table}"))
            .fetch_one(&superuser)
            .await
            .unwrap();
        assert_eq!(rows, 1, "{table}");
    }

    for junk in [
        "",
        "heddle_dev_",
        fresh.user_code.expose_secret(),
        &format!("{}x", fresh.device_code.expose_secret()),
        &fresh.device_code.expose_secret().to_ascii_lowercase(),
    ] {
        let told = answer(&world, store, &SecretString::from(junk)).await;
        assert!(matches!(told, Answer::Unknown), "{junk}: {told:?}");
    }
    // A device's code opens nothing but its session.
    let code = fresh.device_code.expose_secret();
    assert!(store.authenticate(code).await.unwrap().is_none());
}

#[tokio::test]
async fn sec_a17_a_device_does_what_it_asked_for_and_no_more() {
    let world = World::new().await;
    let store = &world.db.store;
    let ada = session(&world).await;
    let narrow = vec![Action::ConfigWrite, Action::AccountManage];
    let asked = ask(store, Some(narrow)).await;
    decide(store, &ada, &asked, true).await.unwrap();
    let first = signed_in(answer(&world, store, &asked.device_code).await);
    // Also after its token was renewed.
    let next = world.refresh(store, &first.refresh_token).await.unwrap();
    for signed in [&first, &next] {
        let device = world.caller(signed).await.unwrap();
        assert!(device.grant::<ConfigWrite>("acme").is_ok());
        assert!(device.grant::<MemberRead>("acme").is_err());
        assert!(device.grant::<MeshRead>("acme").is_err());
    }
    // And it lets nobody in who asks for more.
    let device = world.caller(&next).await.unwrap();
    let more = ask(store, None).await;
    let refused = decide(store, &device, &more, true).await;
    assert!(matches!(refused, Err(Error::Escalation)), "{refused:?}");
    let other = ask(store, Some(vec![Action::MeshRead])).await;
    let refused = decide(store, &device, &other, true).await;
    assert!(matches!(refused, Err(Error::Escalation)), "{refused:?}");
    let same = ask(store, Some(vec![Action::ConfigWrite])).await;
    decide(store, &device, &same, true).await.unwrap();
}

#[tokio::test]
async fn sec_a17_only_who_signed_in_decides_and_only_for_itself() {
    let world = World::new().await;
    let store = &world.db.store;
    let ada = session(&world).await;
    // Another organisation's member of the same name.
    let rival = world.db.owner("rival").await;
    let hash = store.hash_password(SecretString::from(PASSWORD)).await;
    let (hash, email) = (hash.unwrap(), "ada@example.com".parse().unwrap());
    admin::create_member(store, &name("rival"), &email, Role::Viewer, Some(&hash))
        .await
        .unwrap();
    let other = world
        .try_sign_in("rival", "ada@example.com", PASSWORD)
        .await;
    let other = world.caller(&other.unwrap()).await.unwrap();

    let asked = ask(store, None).await;
    let token = decide(store, &rival, &asked, true).await;
    assert!(matches!(token, Err(Error::NotSignedIn)), "{token:?}");
    // Both at once: one of them, and the device is that one's.
    let (a, b) = tokio::join!(
        decide(store, &ada, &asked, true),
        decide(&world.replica, &other, &asked, true)
    );
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1, "{a:?} {b:?}");
    let signed = signed_in(answer(&world, store, &asked.device_code).await);
    let whose = if a.is_ok() { &ada } else { &other };
    let device = world.caller(&signed).await.unwrap();
    assert_eq!(
        (device.org(), device.principal()),
        (whose.org(), whose.principal())
    );

    // What the one decided the other does not see, and cannot change.
    let asked = ask(store, None).await;
    decide(store, &ada, &asked, false).await.unwrap();
    let refused = decide(store, &other, &asked, true).await;
    assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
    let told = answer(&world, store, &asked.device_code).await;
    assert!(matches!(told, Answer::Denied), "{told:?}");

    // Who is removed in between lets nobody in.
    world.member("bea@example.com", Role::Admin).await;
    let bea = world.try_sign_in("acme", "bea@example.com", PASSWORD).await;
    let bea = world.caller(&bea.unwrap()).await.unwrap();
    let asked = ask(store, None).await;
    decide(store, &bea, &asked, true).await.unwrap();
    let write = grant::<heddle_model::authz::permission::MemberWrite>(&ada);
    let mut tx = store.begin(&write).await.unwrap();
    let row = heddle_store::members::find(&mut tx, "bea@example.com").await;
    heddle_store::members::remove(&mut tx, &row.unwrap().unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let told = answer(&world, store, &asked.device_code).await;
    assert!(matches!(told, Answer::Unknown), "{told:?}");
}

#[tokio::test]
async fn sec_a10_guesses_at_codes_are_counted_and_requests_too() {
    let world = World::new().await;
    let store = &world.db.store;
    let own = grant::<AccountRead>(&session(&world).await);
    let asked = ask(store, None).await;
    let right = asked.user_code.expose_secret();
    let wrong = if right == "BBBB-BBBB" {
        "BBBB-BBBC"
    } else {
        "BBBB-BBBB"
    };
    let mut tried = 0;
    // Codes that exist between guesses do not make up for them.
    for _ in 0..30 {
        if let Ok(found) = devices::find(store, &own, right).await {
            tried += u32::from(found.is_err());
        }
        match devices::find(store, &own, wrong).await {
            Err(Error::NotFound) => {}
            Ok(Err(wait)) => assert!(wait.0 > TimeDelta::zero()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        tried, 20,
        "after ten guesses not even the right code is looked at"
    );
    // A minute later two more.
    world.db.clock.advance(TimeDelta::minutes(1));
    let mut looked_at = 0;
    for _ in 0..9 {
        looked_at += u32::from(devices::find(store, &own, wrong).await.is_err());
    }
    assert_eq!(looked_at, 2);

    // Requests: from one address, and from all.
    let ask_from = async |address: &str| {
        let new = NewRequest {
            client: "x",
            address: Some(address),
            scopes: None,
        };
        devices::ask(store, &new).await.unwrap()
    };
    let mut taken = 0;
    for _ in 0..70 {
        taken += u32::from(ask_from("198.51.100.1").await.is_ok());
    }
    assert_eq!(taken, 60);
    assert!(ask_from("198.51.100.2").await.is_ok());
    for n in 0..700 {
        taken += u32::from(ask_from(&format!("2001:db8:{n}::1")).await.is_ok());
    }
    assert!((598..=600).contains(&taken), "{taken}");
}
