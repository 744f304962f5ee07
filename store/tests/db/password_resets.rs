//! A password that was forgotten: what asking leaves behind, what a link opens, and how mail gets to be sent.

use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::MemberWrite;
use heddle_store::mails::{self, Unsent};
use heddle_store::password_resets::{self, Refused};
use heddle_store::{Store, Visitor, members};
use secrecy::{ExposeSecret as _, SecretString};

use crate::invitations::{delivered, with_link};
use crate::sessions::{PASSWORD, World};
use crate::support::grant;

const NEXT: &str = "staple battery horse correct";

async fn ask(store: &Store, org: &str, email: &str) -> Result<(), heddle_store::devices::Wait> {
    let email = email.parse().unwrap();
    password_resets::ask(store, (org, &email), &Visitor::default())
        .await
        .unwrap()
}

async fn complete(store: &Store, org: &str, secret: &SecretString) -> Result<(), Refused> {
    let link = (org, secret);
    let password = SecretString::from(NEXT);
    password_resets::complete(store, link, password, &Visitor::default())
        .await
        .unwrap()
}

fn unusable() -> Result<(), Refused> {
    Err(Refused::Link(heddle_store::Unusable))
}

async fn count(world: &World, sql: &str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(&world.db.superuser().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn sec_a09_a_link_sets_the_password_once_and_ends_every_session() {
    let world = World::new().await;
    let store = &world.db.store;
    let signed = world.sign_in().await;
    ask(store, "acme", "Ada@Example.com").await.unwrap();
    let letter = delivered(store).await.unwrap();
    assert_eq!(letter.to.as_str(), "ada@example.com");
    assert_eq!(letter.org.as_str(), "acme");
    assert_eq!(letter.role, None);
    assert_eq!(
        letter.secret.expose_secret().len(),
        "heddle_rst_".len() + 49
    );
    assert!(delivered(store).await.is_none(), "sent once");
    // Of what is kept, nothing opens anything.
    let kept: Vec<String> = sqlx::query_scalar(
        "select l::text from heddle.link_secrets l union all select m::text from heddle.mails m \
         union all select t::text from heddle.mail_turns t union all select c::text from heddle.changes c",
    )
    .fetch_all(&world.db.superuser().await)
    .await
    .unwrap();
    assert!(kept.len() > 2);
    let secret = letter.secret.expose_secret();
    assert!(kept.iter().all(|row| !row.contains(secret)));

    assert!(world.caller(&signed).await.is_some());
    assert_eq!(complete(store, "acme", &letter.secret).await, Ok(()));
    assert!(
        world.caller(&signed).await.is_none(),
        "the session has ended"
    );
    assert_eq!(complete(store, "acme", &letter.secret).await, unusable());
    let old = world.try_sign_in("acme", "ada@example.com", PASSWORD).await;
    assert!(old.is_err());
    let new = world.try_sign_in("acme", "ada@example.com", NEXT).await;
    assert!(new.is_ok());
}

#[tokio::test]
async fn sec_w10_a_link_is_worth_nothing_once_it_is_old_used_void_or_guessed() {
    let world = World::new().await;
    let store = &world.db.store;
    // Two mails, two links; using one is an end of both.
    for _ in 0..2 {
        ask(store, "acme", "ada@example.com").await.unwrap();
    }
    let (one, two) = (
        delivered(store).await.unwrap(),
        delivered(store).await.unwrap(),
    );
    assert_ne!(one.secret.expose_secret(), two.secret.expose_secret());
    world.db.org("rival").await;
    assert_eq!(complete(store, "rival", &one.secret).await, unusable());
    assert_eq!(complete(store, "nowhere", &one.secret).await, unusable());
    let invitation = one.secret.expose_secret().replace("_rst_", "_inv_");
    for guess in ["", "heddle_rst_", PASSWORD, &invitation] {
        assert_eq!(complete(store, "acme", &guess.into()).await, unusable());
    }
    assert_eq!(complete(store, "acme", &two.secret).await, Ok(()));
    assert_eq!(complete(store, "acme", &one.secret).await, unusable());

    // An hour after it was sent.
    world.db.clock.advance(TimeDelta::hours(1));
    ask(store, "acme", "ada@example.com").await.unwrap();
    let late = delivered(store).await.unwrap();
    world.db.clock.advance(TimeDelta::minutes(60));
    assert_eq!(complete(store, "acme", &late.secret).await, unusable());

    // Somebody else gave the member another password meanwhile, or removed the member.
    let token = world.db.token("acme", Role::Owner, "t").await;
    let owner = world.db.caller(&token);
    let owner = owner.await.unwrap();
    ask(store, "acme", "ada@example.com").await.unwrap();
    let void = delivered(store).await.unwrap();
    let mut tx = store.begin(&grant::<MemberWrite>(&owner)).await.unwrap();
    let ada = members::find(&mut tx, "ada@example.com").await.unwrap();
    let ada = ada.unwrap();
    members::set_password(&mut tx, &ada, "$argon2id$x")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(complete(store, "acme", &void.secret).await, unusable());
    world.member("bea@example.com", Role::Viewer).await;
    ask(store, "acme", "bea@example.com").await.unwrap();
    let gone = delivered(store).await.unwrap();
    ask(store, "acme", "bea@example.com").await.unwrap();
    let mut tx = store.begin(&grant::<MemberWrite>(&owner)).await.unwrap();
    let bea = members::find(&mut tx, "bea@example.com").await.unwrap();
    members::remove(&mut tx, &bea.unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(complete(store, "acme", &gone.secret).await, unusable());
    assert!(delivered(store).await.is_none(), "nobody is written to");
    assert_eq!(
        count(&world, "select count(*) from heddle.mail_turns").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_w10_of_many_who_use_a_link_at_once_one_does() {
    let world = World::new().await;
    let store = &world.db.store;
    ask(store, "acme", "ada@example.com").await.unwrap();
    let secret = delivered(store).await.unwrap().secret;
    let all = (0..8).map(|_| complete(store, "acme", &secret));
    let done = futures::future::join_all(all).await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
    let ended = "select count(*) from heddle.changes where action = 'complete_password_reset'";
    assert_eq!(count(&world, ended).await, 1);
}

#[tokio::test]
async fn sec_a10_asking_leaves_the_same_behind_whether_there_is_such_a_member_or_not() {
    let world = World::new().await;
    let store = &world.db.store;
    let rows = "select (select count(*) from heddle.mails) * 100 + (select count(*) from heddle.mail_turns) * 10 \
                + (select count(*) from heddle.changes where action = 'request_password_reset')";
    for (email, expected) in [("ada@example.com", 111), ("nobody@example.com", 222)] {
        ask(store, "acme", email).await.unwrap();
        assert_eq!(count(&world, rows).await, expected, "{email}");
    }
    ask(store, "nowhere", "ada@example.com").await.unwrap();
    assert!(delivered(store).await.is_some());
    assert!(
        delivered(store).await.is_none(),
        "there is nobody to write to"
    );

    // So often, for one address, and from one place.
    for email in ["cleo@example.com", "ada@example.com"] {
        let mut done = 0;
        while ask(store, "acme", email).await.is_ok() {
            done += 1;
        }
        assert!((2..=3).contains(&done), "{email}: {done}");
    }
    let mut done = 0;
    while ask(store, "acme", &format!("x{done}@example.com"))
        .await
        .is_ok()
    {
        done += 1;
    }
    assert!((40..60).contains(&done), "{done}");
    world.db.clock.advance(TimeDelta::minutes(5));
    ask(store, "acme", "cleo@example.com").await.unwrap();
}

#[tokio::test]
async fn a_mail_is_sent_by_one_server_and_by_another_when_that_one_dies() {
    let world = World::new().await;
    let (store, other) = (&world.db.store, &world.replica);
    ask(store, "acme", "ada@example.com").await.unwrap();
    let turn = mails::take(store).await.unwrap().unwrap();
    assert_eq!(turn.tries(), 0);
    let first = mails::open(store, &turn)
        .await
        .unwrap()
        .and_then(with_link)
        .unwrap();
    assert!(mails::take(other).await.unwrap().is_none());
    // Whoever had the turn says nothing more.
    world.db.clock.advance(TimeDelta::minutes(2));
    let again = mails::take(other).await.unwrap().unwrap();
    assert_eq!((again.mail(), again.tries()), (turn.mail(), 1));
    let second = mails::open(other, &again)
        .await
        .unwrap()
        .and_then(with_link)
        .unwrap();
    mails::sent(other, &again).await.unwrap();
    // Both may have been sent: both work, and one of them once.
    assert_eq!(complete(store, "acme", &first.secret).await, Ok(()));
    assert_eq!(complete(store, "acme", &second.secret).await, unusable());
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_is_tried_later_and_later_and_given_up_after_a_day() {
    let world = World::new().await;
    let store = &world.db.store;
    ask(store, "acme", "ada@example.com").await.unwrap();
    let begin = crate::support::start();
    let mut pauses = Vec::new();
    loop {
        let Some(turn) = mails::take(store).await.unwrap() else {
            panic!("it is due");
        };
        let letter = mails::open(store, &turn).await.unwrap();
        assert!(letter.is_some());
        match mails::failed(store, &turn, "nobody answers").await.unwrap() {
            Unsent::Until(at) => {
                let pause = at - world.now();
                pauses.push(pause.num_seconds());
                world.db.clock.advance(pause - TimeDelta::milliseconds(1));
                assert!(mails::take(store).await.unwrap().is_none(), "not before");
                world.db.clock.advance(TimeDelta::milliseconds(1));
            }
            Unsent::GivenUp => break,
        }
    }
    assert_eq!(pauses[..10], [2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
    assert!(pauses[10..].iter().all(|pause| *pause == 900));
    assert!(world.now() - begin >= TimeDelta::days(1));
    assert!(mails::take(store).await.unwrap().is_none());
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select outcome, name, after->>'reason' from heddle.changes where kind = 'mail' and action = 'send'",
    )
    .fetch_all(&world.db.superuser().await)
    .await
    .unwrap();
    let row = ("refused", "ada@example.com", "nobody answers");
    let row = (row.0.to_owned(), row.1.to_owned(), row.2.to_owned());
    assert_eq!(rows, [row]);
}

#[tokio::test]
async fn sec_t08_an_organisation_adds_turns_and_sees_none() {
    let world = World::new().await;
    ask(&world.db.store, "acme", "ada@example.com")
        .await
        .unwrap();
    let server = world.db.server().await;
    let as_tenant = "begin; set local role heddle_tenant; set local heddle.org_id = '00000000-0000-0000-0000-000000000001'; ";
    for sql in [
        "select * from heddle.mail_turns",
        "delete from heddle.mail_turns",
        "update heddle.mail_turns set tries = 0",
    ] {
        let mut connection = server.acquire().await.unwrap();
        let text = format!("{as_tenant}{sql}");
        let error = sqlx::raw_sql(&text).execute(&mut *connection).await;
        let error = error.unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap();
        assert_eq!(code, "42501", "{sql}");
        sqlx::raw_sql("rollback")
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}
