//! Second factors: setting one up, signing in with it, and with a recovery code.

mod required;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::Role;
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_store::mails::{self, About, Notice};
use heddle_store::second_factors::{self, Shown};
use heddle_store::sessions::{self, Challenge, Refused, SignedIn, Step};
use heddle_store::{Caller, Error, KeySealer, Visitor};
use secrecy::{ExposeSecret as _, SecretString};

use crate::sessions::{PASSWORD, World};
use crate::support::{TestDb, grant};

/// What an authenticator shows, so many steps after now.
fn code_at(secret: &SecretString, now: DateTime<Utc>, steps: i64) -> SecretString {
    let key = totp_rs::Secret::try_from_base32(secret.expose_secret()).unwrap();
    let totp = totp_rs::Builder::new().with_secret(key).build().unwrap();
    let at = u64::try_from(now.timestamp() + 30 * steps).unwrap();
    SecretString::from(totp.generate(at).to_string())
}

/// A member's second factor: its key, and its recovery codes.
pub(crate) struct Enrolled {
    pub(crate) secret: SecretString,
    pub(crate) codes: Vec<SecretString>,
}

async fn begin(
    db: &TestDb,
    sealer: &dyn KeySealer,
    caller: &Caller,
) -> Result<SecretString, Error> {
    let own = caller.grant_to_enrol::<AccountManage>("-").unwrap();
    let drawn = second_factors::draw(&db.store, sealer, &own).await?;
    let mut tx = db.store.begin(&own).await?;
    let enrolment = second_factors::enrol(&mut tx, &drawn).await?;
    tx.commit().await?;
    Ok(enrolment.secret)
}

async fn look(
    db: &TestDb,
    sealer: &dyn KeySealer,
    caller: &Caller,
    code: &SecretString,
) -> Result<Shown, Refused> {
    let own = caller.grant_to_enrol::<AccountManage>("-").unwrap();
    second_factors::check(&db.store, sealer, &own, code)
        .await
        .unwrap()
}

async fn confirm(
    db: &TestDb,
    sealer: &dyn KeySealer,
    caller: &Caller,
    code: &SecretString,
) -> Result<Vec<SecretString>, Refused> {
    let shown = look(db, sealer, caller, code).await?;
    let own = caller.grant_to_enrol::<AccountManage>("-").unwrap();
    let mut tx = db.store.begin(&own).await.unwrap();
    let codes = second_factors::confirm(&mut tx, &shown).await.unwrap()?;
    tx.commit().await.unwrap();
    Ok(codes)
}

/// Sets one up for a member who signed in.
pub(crate) async fn enrolled(db: &TestDb, sealer: &dyn KeySealer, caller: &Caller) -> Enrolled {
    use heddle_model::clock::Clock as _;
    let secret = begin(db, sealer, caller).await.unwrap();
    let code = code_at(&secret, db.clock.now(), 0);
    let codes = confirm(db, sealer, caller, &code).await.unwrap();
    Enrolled { secret, codes }
}

/// A world in which Ada has a second factor, and what it was set up with.
async fn world() -> (World, SignedIn, Enrolled) {
    let world = World::new().await;
    let signed = world.sign_in().await;
    let ada = world.caller(&signed).await.unwrap();
    let enrolled = enrolled(&world.db, &world.sealer, &ada).await;
    // So that the code of now was not used yet.
    world.db.clock.advance(TimeDelta::seconds(60));
    (world, signed, enrolled)
}

async fn challenge(world: &World) -> Challenge {
    let step = world.first_step("acme", "ada@example.com", PASSWORD).await;
    let Step::SecondFactor(challenge) = step.unwrap() else {
        panic!("the password alone is not enough");
    };
    challenge
}

async fn answer(
    world: &World,
    org: &str,
    challenge: &SecretString,
    code: &SecretString,
) -> Result<SignedIn, Refused> {
    let from = Visitor {
        client: Some("curl"),
        ip: None,
    };
    let (store, challenge) = (&world.db.store, (org, challenge));
    sessions::answer(store, &world.sealer, challenge, code, &from)
        .await
        .unwrap()
}

async fn told(world: &World) -> Vec<Notice> {
    let store = &world.db.store;
    let mut told = Vec::new();
    while let Some(turn) = mails::take(store).await.unwrap() {
        let letter = mails::open(store, &turn).await.unwrap().unwrap();
        mails::sent(store, &turn).await.unwrap();
        if let About::Notice { what, .. } = letter.about {
            told.push(what);
        }
    }
    told
}

async fn actions(world: &World) -> Vec<String> {
    sqlx::query_scalar("select action || ' ' || outcome from heddle.changes where kind in ('member', 'org', 'session') order by at, id")
        .fetch_all(&world.db.superuser().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn sec_a18_a_second_factor_is_set_up_by_who_signed_in_just_now_and_shows_a_code() {
    let world = World::new().await;
    let (one, two) = (world.sign_in().await, world.sign_in().await);
    let ada = world.caller(&one).await.unwrap();
    let (db, sealer) = (&world.db, &world.sealer);
    world
        .db
        .clock
        .advance(sessions::FRESH + TimeDelta::seconds(1));
    let late = begin(db, sealer, &ada).await;
    assert!(matches!(late, Err(Error::SignInAgain)), "{late:?}");
    let one = world.sign_in().await;
    let ada = world.caller(&one).await.unwrap();
    let first = begin(db, sealer, &ada).await.unwrap();
    let secret = begin(db, sealer, &ada).await.unwrap();
    assert_ne!(first.expose_secret(), secret.expose_secret());
    // Until it is confirmed, it is asked for nowhere.
    let three = world.sign_in().await;
    // A code of the one that was replaced, one of tomorrow, and what is none.
    for wrong in [
        code_at(&first, world.now(), 0),
        code_at(&secret, world.now(), 2880),
        "123".into(),
    ] {
        assert!(confirm(db, sealer, &ada, &wrong).await.is_err());
    }
    let code = code_at(&secret, world.now(), 0);
    let codes = confirm(db, sealer, &ada, &code).await.unwrap();
    assert_eq!(codes.len(), 10);
    let mut tx = db.store.begin(&grant::<AccountRead>(&ada)).await.unwrap();
    let status = second_factors::status(&mut tx).await.unwrap();
    assert_eq!(
        (status.confirmed_at, status.recovery_codes_left),
        (Some(world.now()), 10)
    );
    drop(tx);
    // Whoever began without it is out, but for who confirmed it.
    assert!(world.caller(&one).await.is_some());
    assert!(world.caller(&two).await.is_none());
    assert!(world.caller(&three).await.is_none());
    let again = begin(db, sealer, &ada).await;
    assert!(matches!(again, Err(Error::SecondFactorExists)), "{again:?}");
    assert_eq!(told(&world).await, [Notice::SecondFactorAdded]);

    // Not with a program's credential, nor later than a quarter of an hour.
    let token = db.token("acme", Role::Owner, "script").await;
    let script = db.caller(&token).await.unwrap();
    let refused = begin(db, sealer, &script).await;
    assert!(matches!(refused, Err(Error::NotSignedIn)), "{refused:?}");
    world.member("bea@example.com", Role::Viewer).await;
    let bea = world.try_sign_in("acme", "bea@example.com", PASSWORD).await;
    let bea = world.caller(&bea.unwrap()).await.unwrap();
    let secret = begin(db, sealer, &bea).await.unwrap();
    world.db.clock.advance(TimeDelta::minutes(15));
    let code = code_at(&secret, world.now(), 0);
    let shown = look(db, sealer, &bea, &code).await.unwrap();
    let mut tx = db.store.begin(&grant::<AccountManage>(&bea)).await.unwrap();
    let late = second_factors::confirm(&mut tx, &shown).await;
    assert!(matches!(late, Err(Error::NoSecondFactor)));
}

#[tokio::test]
async fn sec_a18_a_code_works_once_and_so_does_a_challenge() {
    let (world, _, ada) = world().await;
    let first = challenge(&world).await;
    let now = code_at(&ada.secret, world.now(), 0);
    world.db.org("rival").await;
    for (org, secret) in [
        ("rival", &first.secret),
        ("nowhere", &first.secret),
        ("acme", &SecretString::from("heddle_mfa_")),
        ("acme", &SecretString::from(PASSWORD)),
    ] {
        let refused = answer(&world, org, secret, &now).await.unwrap_err();
        assert_eq!(refused, Refused::Challenge, "{org}");
    }
    // What is shown with a challenge is no token.
    assert!(world.db.caller(&first.secret).await.is_none());
    let signed = answer(&world, "acme", &first.secret, &now).await.unwrap();
    let caller = world.caller(&signed).await.unwrap();
    let mut tx = world
        .db
        .store
        .begin(&grant::<AccountRead>(&caller))
        .await
        .unwrap();
    let row = sessions::find(&mut tx, "current").await.unwrap().unwrap();
    assert_eq!(
        (row.method.as_str(), row.second_factor.as_deref()),
        ("password", Some("totp"))
    );
    drop(tx);
    let used = answer(&world, "acme", &first.secret, &now)
        .await
        .unwrap_err();
    assert_eq!(used, Refused::Challenge);

    // The same code again, and the one before it; the next one works, although it is early.
    let second = challenge(&world).await;
    for (steps, works) in [(0, false), (-1, false), (1, true)] {
        let code = code_at(&ada.secret, world.now(), steps);
        let answered = answer(&world, "acme", &second.secret, &code).await;
        assert_eq!(answered.is_ok(), works, "{steps}: {answered:?}");
    }
    // Minutes later it is worth nothing.
    let third = challenge(&world).await;
    world.db.clock.advance(TimeDelta::minutes(5));
    let code = code_at(&ada.secret, world.now(), 0);
    let late = answer(&world, "acme", &third.secret, &code)
        .await
        .unwrap_err();
    assert_eq!(late, Refused::Challenge);
    // And with it the password that it was given for.
    let fourth = challenge(&world).await;
    let own = grant::<AccountManage>(&caller);
    let (old, new) = (PASSWORD.into(), "another password".into());
    let changed = sessions::change_password(&world.db.store, &own, old, new).await;
    changed.unwrap().unwrap().commit().await.unwrap();
    let void = answer(&world, "acme", &fourth.secret, &code)
        .await
        .unwrap_err();
    assert_eq!(void, Refused::Challenge);
    let refused = actions(&world)
        .await
        .into_iter()
        .filter(|a| a == "sign_in refused");
    assert_eq!(
        refused.count(),
        2,
        "a code that was used, and one before it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_a18_of_many_who_show_a_code_at_once_one_is_let_in() {
    let (world, _, ada) = world().await;
    let code = code_at(&ada.secret, world.now(), 0);
    let mut challenges = Vec::new();
    for _ in 0..4 {
        challenges.push(challenge(&world).await);
    }
    let all = challenges
        .iter()
        .map(|one| answer(&world, "acme", &one.secret, &code));
    let answered = futures::future::join_all(all).await;
    assert_eq!(answered.iter().filter(|one| one.is_ok()).count(), 1);
}

#[tokio::test]
async fn sec_a18_guesses_at_codes_are_slow_however_many_challenges_there_are() {
    let (world, _, ada) = world().await;
    let mut guessed = 0;
    let one = challenge(&world).await;
    let wrong = SecretString::from("000000");
    for _ in 0..20 {
        let secret = if guessed < 4 {
            &one.secret
        } else {
            &challenge(&world).await.secret
        };
        match answer(&world, "acme", secret, &wrong).await.unwrap_err() {
            Refused::Credentials => guessed += 1,
            Refused::Wait(_) => break,
            Refused::Challenge => panic!("each is good for five"),
        }
    }
    assert!((5..=6).contains(&guessed), "{guessed}");
    // Not even the right one gets in while waiting; afterwards it does.
    let code = code_at(&ada.secret, world.now(), 0);
    let waiting = answer(&world, "acme", &challenge(&world).await.secret, &code).await;
    assert!(matches!(waiting, Err(Refused::Wait(_))), "{waiting:?}");
    world.db.clock.advance(TimeDelta::minutes(5));
    // One challenge is good for so many codes and no more, whatever the pauses.
    let last = challenge(&world).await;
    for _ in 0..5 {
        let _ = answer(&world, "acme", &last.secret, &wrong)
            .await
            .unwrap_err();
        world.db.clock.advance(TimeDelta::seconds(40));
    }
    let code = code_at(&ada.secret, world.now(), 0);
    let over = answer(&world, "acme", &last.secret, &code)
        .await
        .unwrap_err();
    assert_eq!(over, Refused::Challenge);
    world.db.clock.advance(TimeDelta::minutes(5));
    let code = code_at(&ada.secret, world.now(), 0);
    let fresh = challenge(&world).await;
    assert!(answer(&world, "acme", &fresh.secret, &code).await.is_ok());
}

#[tokio::test]
async fn sec_a18_a_recovery_code_lets_in_once_and_only_its_hash_is_kept() {
    let (world, _, ada) = world().await;
    let code = ada.codes[3].expose_secret();
    let kept: Vec<String> = sqlx::query_scalar(
        "select r::text from heddle.recovery_codes r union all select c::text from heddle.changes c \
         union all select i::text from heddle.idempotent_answers i",
    )
    .fetch_all(&world.db.superuser().await)
    .await
    .unwrap();
    let bare = code.replace('-', "");
    assert!(
        kept.len() > 10
            && kept
                .iter()
                .all(|row| !row.contains(code) && !row.contains(&bare))
    );
    let typed = SecretString::from(format!(" {}", bare.to_lowercase()));
    let one = challenge(&world).await;
    let signed = answer(&world, "acme", &one.secret, &typed).await.unwrap();
    let caller = world.caller(&signed).await.unwrap();
    let two = challenge(&world).await;
    let again = answer(&world, "acme", &two.secret, &typed)
        .await
        .unwrap_err();
    assert_eq!(again, Refused::Credentials);
    let (db, sealer) = (&world.db, &world.sealer);
    // Others take their place, for one of them, and those before are worth nothing.
    let shown = look(db, sealer, &caller, &ada.codes[4]).await.unwrap();
    let mut tx = db
        .store
        .begin(&grant::<AccountManage>(&caller))
        .await
        .unwrap();
    let others = second_factors::renew_recovery_codes(&mut tx, &shown)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    let old = answer(&world, "acme", &two.secret, &ada.codes[5])
        .await
        .unwrap_err();
    assert_eq!(old, Refused::Credentials);
    let signed = answer(&world, "acme", &two.secret, &others[0])
        .await
        .unwrap();
    // One of them also ends it, and then the password is enough.
    let caller = world.caller(&signed).await.unwrap();
    let shown = look(db, sealer, &caller, &others[0]).await.unwrap();
    let mut tx = db
        .store
        .begin(&grant::<AccountManage>(&caller))
        .await
        .unwrap();
    let spent = second_factors::remove(&mut tx, &shown).await.unwrap();
    assert_eq!(spent, Err(Refused::Credentials));
    drop(tx);
    let shown = look(db, sealer, &caller, &others[1]).await.unwrap();
    let mut tx = db
        .store
        .begin(&grant::<AccountManage>(&caller))
        .await
        .unwrap();
    second_factors::remove(&mut tx, &shown)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    world.sign_in().await;
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from heddle.recovery_codes) + (select count(*) from heddle.second_factors)",
    )
    .fetch_one(&db.superuser().await)
    .await
    .unwrap();
    assert_eq!(left, 0);
    assert_eq!(
        told(&world).await,
        [Notice::SecondFactorAdded, Notice::SecondFactorRemoved]
    );
}
