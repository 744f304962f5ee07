//! Messages that are not taken: when they come again, and when nobody tries any more.

use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::{AuditRead, WebhookWrite};
use heddle_store::audit::{self, AuditFilter};
use heddle_store::mails::{self, About};
use heddle_store::webhooks::{self, DeliveryRow, DeliveryState, Disabled, Outcome, Topic, Tried};
use heddle_store::{Error, admin};
use secrecy::SecretString;

use super::{World, outcome, wanted};
use crate::build::{mesh, name};
use crate::sessions::PASSWORD;
use crate::support::grant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_not_taken_comes_again_and_again_for_days() {
    let world = World::new().await;
    let (row, _) = world.webhook("one", &[Topic::Revision]).await;
    let begun = world.now();
    world.ping(row.id).await;
    let mut waits = Vec::new();
    loop {
        assert_eq!(world.send(Outcome::NotTaken).await, 1);
        assert_eq!(
            world.send(Outcome::NotTaken).await,
            0,
            "not before its time"
        );
        let one = world.deliveries(row.id).await.remove(0);
        let Some(next) = one.next_at else {
            assert_eq!((one.state, one.tries), (DeliveryState::Failed, 10));
            assert_eq!(one.error.as_deref(), Some("not a status of success"));
            break;
        };
        let paused = world.row(row.id).await.paused_until;
        waits.push((next - world.now()).num_seconds());
        let due = paused.map_or(next, |paused| paused.max(next));
        world.db.clock.advance(due - world.now());
    }
    assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert!((5..=6).contains(&waits[0]), "{waits:?}");
    assert!(world.now() - begun > TimeDelta::days(3), "{waits:?}");
    // Somebody has it sent again: it is the same message, and the webhook works now.
    let message = world.deliveries(row.id).await[0].id;
    let may = grant::<WebhookWrite>(&world.owner);
    let mut tx = world.store().begin(&may).await.unwrap();
    webhooks::resend(&mut tx, row.id, message).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.send(Outcome::Taken).await, 1);
    let one = world.deliveries(row.id).await.remove(0);
    assert_eq!((one.state, one.tries), (DeliveryState::Delivered, 1));
    assert_eq!(one.error, None);
    assert_eq!(world.row(row.id).await.failing_since, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wants_to_be_asked_later_is_for_a_day_at_most() {
    let world = World::new().await;
    let (row, _) = world.webhook("one", &[Topic::Revision]).await;
    world.ping(row.id).await;
    for (asked, hours) in [(TimeDelta::hours(1), 1), (TimeDelta::days(30), 24)] {
        let (store, now) = (world.store(), world.now());
        let turn = world.take(store).await.unwrap();
        assert!(webhooks::begin(store, &turn).await.unwrap());
        let parcel = webhooks::next(store, &world.sealer, &turn).await.unwrap();
        let tried = Tried {
            not_before: Some(now + asked),
            ..outcome(Outcome::NotTaken)
        };
        let message = parcel.unwrap().message;
        webhooks::tried(store, &turn, message, &tried)
            .await
            .unwrap();
        webhooks::finish(store, &turn).await.unwrap();
        let next = world.deliveries(row.id).await.remove(0).next_at.unwrap();
        let wait = next - now;
        let hours = TimeDelta::hours(hours);
        assert!(
            wait >= hours && wait <= hours + TimeDelta::hours(5),
            "{wait}"
        );
        world.db.clock.advance(wait);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d11_a_dead_webhook_is_called_ever_less_and_switched_off() {
    let world = World::new().await;
    let store = world.store();
    let ada = "ada@example.com".parse().unwrap();
    let hash = store.hash_password(SecretString::from(PASSWORD)).await;
    admin::create_member(
        store,
        &name("acme"),
        &ada,
        Role::Owner,
        Some(&hash.unwrap()),
    )
    .await
    .unwrap();
    let (row, _) = world.webhook("dead", &[Topic::Revision]).await;
    for _ in 0..40 {
        world.ping(row.id).await;
    }
    // Ten in a row, and nobody tries for a while, however many wait.
    assert_eq!(world.send(Outcome::NotTaken).await, 10);
    let paused = world.row(row.id).await.paused_until.unwrap();
    assert!(paused - world.now() >= TimeDelta::minutes(1));
    world.ping(row.id).await;
    assert_eq!(world.send(Outcome::NotTaken).await, 0);
    let begun = world.now();
    let (mut tries, mut longest) = (0, TimeDelta::zero());
    while world.row(row.id).await.disabled.is_none() {
        let paused = world.row(row.id).await.paused_until.unwrap();
        longest = longest.max(paused - world.now());
        world.db.clock.advance(paused - world.now());
        tries += world.send(Outcome::NotTaken).await;
    }
    assert!(longest <= TimeDelta::hours(29), "{longest}");
    assert!(tries < 20, "{tries}");
    let after = world.now() - begun;
    assert!(
        after >= TimeDelta::days(5) && after < TimeDelta::days(7),
        "{after}"
    );
    let row = world.row(row.id).await;
    assert_eq!(row.disabled, Some(Disabled::Failing));
    let states = world.deliveries(row.id).await;
    let failed = |one: &DeliveryRow| one.state == DeliveryState::Failed;
    assert!(states.iter().all(failed), "{states:?}");
    // The organisation reads so in its audit log, and its owner in a mail.
    let mut tx = store
        .begin(&grant::<AuditRead>(&world.owner))
        .await
        .unwrap();
    let filter = AuditFilter {
        action: Some("disable".to_owned()),
        ..AuditFilter::default()
    };
    let rows = audit::page(&mut tx, &filter, None, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].after.as_ref().unwrap()["disabled"], "failing");
    assert_eq!(rows[0].uid(), Some(row.id.to_string()));
    drop(tx);
    let turn = mails::take(store).await.unwrap().unwrap();
    let letter = mails::open(store, &turn).await.unwrap().unwrap();
    assert_eq!(letter.to, ada);
    let About::WebhookDisabled { webhook, why, .. } = letter.about else {
        panic!("{:?}", letter.about);
    };
    assert_eq!((webhook.as_str(), why), ("dead", Disabled::Failing));
    // Nothing is written down for it any more, and nobody can have anything sent, until it is switched on.
    let waiting = world.deliveries(row.id).await.len();
    mesh(store, &world.owner, "prod").await;
    assert_eq!(world.deliveries(row.id).await.len(), waiting);
    let may = grant::<WebhookWrite>(&world.owner);
    let mut tx = store.begin(&may).await.unwrap();
    let refused = webhooks::ping(&mut tx, row.id).await;
    assert!(
        matches!(refused, Err(Error::WebhookDisabled)),
        "{refused:?}"
    );
    let row = webhooks::change(&mut tx, row.id, &wanted(&[Topic::Revision])).await;
    tx.commit().await.unwrap();
    assert_eq!(row.unwrap().disabled, None);
    world.ping(world.row_named("dead").await).await;
    assert_eq!(world.send(Outcome::Taken).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_says_that_it_is_gone_is_switched_off_at_once() {
    let world = World::new().await;
    let (row, _) = world.webhook("gone", &[Topic::Revision]).await;
    world.ping(row.id).await;
    world.ping(row.id).await;
    assert_eq!(world.send(Outcome::Gone).await, 1);
    assert_eq!(world.row(row.id).await.disabled, Some(Disabled::Gone));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d11_what_waits_for_a_dead_webhook_is_bounded() {
    let world = World::new().await;
    let (row, _) = world.webhook("dead", &[Topic::Revision]).await;
    world.ping(row.id).await;
    let pool = world.db.superuser().await;
    sqlx::query(
        "insert into heddle.webhook_deliveries (org_id, webhook_id, id, topic, created_at, next_at) \
         select d.org_id, d.webhook_id, gen_random_uuid(), 'ping', d.created_at, d.next_at \
         from heddle.webhook_deliveries d, generate_series(1, 10010)",
    )
    .execute(&pool)
    .await
    .unwrap();
    // A webhook that takes something is behind, and that is all.
    assert_eq!(world.send_some(5, Outcome::Taken).await, 5);
    assert_eq!(world.row(row.id).await.disabled, None);
    assert_eq!(world.send_some(10, Outcome::NotTaken).await, 10);
    assert_eq!(world.row(row.id).await.disabled, Some(Disabled::Backlog));
    assert_eq!(world.send_some(1, Outcome::NotTaken).await, 0);
}
