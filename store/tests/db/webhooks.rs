//! Webhooks: what is written down for them, who sends it, and what becomes of those that take nothing.

mod not_taken;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::{AccountManage, WebhookRead, WebhookWrite};
use heddle_model::authz::{Action, Role};
use heddle_model::clock::{Clock as _, SharedClock};
use heddle_model::id::{MessageId, WebhookId};
use heddle_store::tokens::{self, NewToken};
use heddle_store::webhooks::{
    self, DeliveryRow, DeliveryState, Outcome, Topic, Tried, Turn, Wanted, WebhookRow, What,
};
use heddle_store::{Caller, Error, Store};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::build::{mesh, name};
use crate::rights::account;
use crate::sessions::Glass;
use crate::support::{TestDb, cluster, connect, grant};

struct World {
    db: TestDb,
    owner: Caller,
    sealer: Glass,
}

fn wanted(topics: &[Topic]) -> Wanted {
    Wanted {
        url: "https://hooks.example.com/".to_owned(),
        topics: topics.to_vec(),
        enabled: true,
    }
}

fn outcome(outcome: Outcome) -> Tried {
    Tried {
        outcome,
        status: Some(500),
        duration_ms: 7,
        error: (outcome != Outcome::Taken).then(|| "not\u{1} a status of success".to_owned()),
        response: Some("x".repeat(5000)),
        not_before: None,
    }
}

impl World {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let owner = db.owner("acme").await;
        Self {
            db,
            owner,
            sealer: Glass::default(),
        }
    }

    fn store(&self) -> &Store {
        &self.db.store
    }

    fn now(&self) -> DateTime<Utc> {
        self.db.clock.now()
    }

    async fn webhook(&self, n: &str, topics: &[Topic]) -> (WebhookRow, SecretString) {
        let (store, may) = (self.store(), grant::<WebhookWrite>(&self.owner));
        let secret = webhooks::draw(store, &self.sealer, may.org())
            .await
            .unwrap();
        let mut tx = store.begin(&may).await.unwrap();
        let row = webhooks::create(&mut tx, &name(n), &wanted(topics), &secret).await;
        tx.commit().await.unwrap();
        (row.unwrap(), secret.secret)
    }

    async fn row_named(&self, n: &str) -> WebhookId {
        let may = grant::<WebhookRead>(&self.owner);
        let mut tx = self.store().begin(&may).await.unwrap();
        webhooks::find(&mut tx, n).await.unwrap().unwrap().id
    }

    async fn row(&self, id: WebhookId) -> WebhookRow {
        let may = grant::<WebhookRead>(&self.owner);
        let mut tx = self.store().begin(&may).await.unwrap();
        let found = webhooks::find(&mut tx, &id.to_string()).await.unwrap();
        found.unwrap()
    }

    async fn deliveries(&self, id: WebhookId) -> Vec<DeliveryRow> {
        let may = grant::<WebhookRead>(&self.owner);
        let mut tx = self.store().begin(&may).await.unwrap();
        let rows = webhooks::deliveries(&mut tx, id, None, None, 500).await;
        rows.unwrap()
    }

    async fn ping(&self, id: WebhookId) -> MessageId {
        let may = grant::<WebhookWrite>(&self.owner);
        let mut tx = self.store().begin(&may).await.unwrap();
        let row = webhooks::ping(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        row.id
    }

    async fn take(&self, store: &Store) -> Option<Turn> {
        webhooks::take(store, &[], &[]).await.unwrap()
    }

    /// What a server does: everything that is due, each with this outcome. How much that was.
    async fn send(&self, what: Outcome) -> usize {
        self.send_some(usize::MAX, what).await
    }

    /// The same, and no more than so many.
    async fn send_some(&self, most: usize, what: Outcome) -> usize {
        let (store, mut count) = (self.store(), 0);
        while count < most
            && let Some(turn) = self.take(store).await
        {
            if !webhooks::begin(store, &turn).await.unwrap() {
                continue;
            }
            while count < most
                && let Some(parcel) = webhooks::next(store, &self.sealer, &turn).await.unwrap()
            {
                count += 1;
                let tried = outcome(what);
                webhooks::tried(store, &turn, parcel.message, &tried)
                    .await
                    .unwrap();
            }
            webhooks::finish(store, &turn).await.unwrap();
        }
        count
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_down_is_told_with_it_or_not_at_all() {
    let world = World::new().await;
    let (all, _) = world.webhook("all", &[Topic::Revision, Topic::Audit]).await;
    let (revisions, _) = world.webhook("revisions", &[Topic::Revision]).await;
    world.send(Outcome::Taken).await;
    let before = world.deliveries(all.id).await.len();
    let made = mesh(world.store(), &world.owner, "prod").await;
    let told = world.deliveries(all.id).await;
    let topics: Vec<_> = told.iter().map(|one| one.topic.as_str()).collect();
    assert!(topics.contains(&"revision"), "{topics:?}");
    assert!(told.len() > before + 1, "{topics:?}");
    let only = world.deliveries(revisions.id).await;
    assert_eq!(only.len(), 1);
    assert_eq!((only[0].mesh, only[0].revision), (Some(made.id), Some(1)));
    // The same message for both, and later ones are greater.
    assert!(told.iter().any(|one| one.id == only[0].id));
    assert!(told.windows(2).all(|pair| pair[0].id > pair[1].id));

    // A transaction that comes to nothing tells nothing.
    let may = grant::<WebhookWrite>(&world.owner);
    let mut tx = world.store().begin(&may).await.unwrap();
    webhooks::ping(&mut tx, all.id).await.unwrap();
    tx.roll_back().await.unwrap();
    assert_eq!(world.deliveries(all.id).await.len(), told.len());

    // What is sent is what the audit log and the history say.
    let turn = world.take(world.store()).await.unwrap();
    assert!(webhooks::begin(world.store(), &turn).await.unwrap());
    let parcel = webhooks::next(world.store(), &world.sealer, &turn).await;
    let parcel = parcel.unwrap().unwrap();
    assert_eq!(parcel.org.as_str(), "acme");
    match &parcel.what {
        What::Revision(row) => assert_eq!(row.revision, 1),
        What::Audit(row) => assert_eq!(MessageId::from_uuid(row.id), parcel.message),
        What::Ping => panic!("nothing was pinged"),
    }
    let (id, mesh) = parcel.mesh.clone().unwrap();
    assert_eq!((id, mesh.as_str()), (made.id, "prod"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_one_sends_and_the_other_goes_on_when_it_is_dead() {
    let world = World::new().await;
    let clock = Arc::clone(&world.db.clock) as SharedClock;
    let other = connect(&cluster().url("heddle_server", &world.db.name), 4, clock).await;
    let (row, _) = world.webhook("one", &[Topic::Revision]).await;
    let first = world.ping(row.id).await;
    let turn = world.take(world.store()).await.unwrap();
    assert!(webhooks::begin(world.store(), &turn).await.unwrap());
    // Something more is to be told meanwhile, which brings the other server here.
    let second = world.ping(row.id).await;
    let late = world.take(&other).await.unwrap();
    assert_eq!(late.webhook(), row.id);
    assert!(!webhooks::begin(&other, &late).await.unwrap());
    assert!(world.take(&other).await.is_none());
    // The first one is killed: after a while the other one has the webhook, and sends what that one may have sent.
    world.db.clock.advance(TimeDelta::seconds(16));
    let turn = world.take(&other).await.unwrap();
    assert!(webhooks::begin(&other, &turn).await.unwrap());
    for message in [first, second] {
        let next = webhooks::next(&other, &world.sealer, &turn).await.unwrap();
        assert_eq!(next.unwrap().message, message);
        webhooks::tried(&other, &turn, message, &outcome(Outcome::Taken))
            .await
            .unwrap();
    }
    webhooks::finish(&other, &turn).await.unwrap();
    assert!(world.take(world.store()).await.is_none());
    let states = world.deliveries(row.id).await;
    let delivered = |one: &DeliveryRow| one.state == DeliveryState::Delivered && one.tries == 1;
    assert!(states.iter().all(delivered), "{states:?}");
    // Of an answer only so much is kept.
    assert_eq!(states[0].response.as_ref().unwrap().len(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d11_whoever_has_enough_under_way_keeps_nobody_waiting() {
    let world = World::new().await;
    let (one, _) = world.webhook("one", &[Topic::Revision]).await;
    let (two, _) = world.webhook("two", &[Topic::Revision]).await;
    for _ in 0..50 {
        world.ping(one.id).await;
    }
    world.ping(two.id).await;
    let rival = World {
        owner: world.db.owner("rival").await,
        db: world.db,
        sealer: Glass::default(),
    };
    let store = &rival.db.store;
    let (theirs, _) = rival.webhook("one", &[Topic::Revision]).await;
    rival.ping(theirs.id).await;
    let turn = webhooks::take(store, &[], &[]).await.unwrap().unwrap();
    assert_eq!(turn.webhook(), one.id);
    // Fifty wait for this one, which is one turn; whoever is busy is passed over.
    let next = webhooks::take(store, &[], &[one.id])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(next.webhook(), two.id);
    let next = webhooks::take(store, &[turn.org()], &[]).await.unwrap();
    assert_eq!(next.unwrap().webhook(), theirs.id);
    assert!(webhooks::take(store, &[], &[]).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k07_while_one_secret_takes_the_place_of_another_both_sign() {
    let world = World::new().await;
    let (row, first) = world.webhook("one", &[Topic::Revision]).await;
    let may = grant::<WebhookWrite>(&world.owner);
    let rotate = async |overlap: TimeDelta| {
        let secret = webhooks::draw(world.store(), &world.sealer, may.org()).await;
        let secret = secret.unwrap();
        let mut tx = world.store().begin(&may).await.unwrap();
        let until = world.now() + overlap;
        webhooks::rotate(&mut tx, row.id, &secret, until)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        secret.secret
    };
    let signing = async || {
        world.ping(row.id).await;
        let turn = world.take(world.store()).await.unwrap();
        assert!(webhooks::begin(world.store(), &turn).await.unwrap());
        let parcel = webhooks::next(world.store(), &world.sealer, &turn).await;
        let parcel = parcel.unwrap().unwrap();
        webhooks::tried(
            world.store(),
            &turn,
            parcel.message,
            &outcome(Outcome::Taken),
        )
        .await
        .unwrap();
        webhooks::finish(world.store(), &turn).await.unwrap();
        parcel.secrets
    };
    let same = |keys: &[SecretSlice<u8>], secrets: &[&SecretString]| {
        let texts: Vec<String> = keys.iter().map(|key| text(key.expose_secret())).collect();
        let wanted: Vec<&str> = secrets.iter().map(|one| one.expose_secret()).collect();
        assert_eq!(texts, wanted);
    };
    same(&signing().await, &[&first]);
    world.db.clock.advance(TimeDelta::seconds(1));
    let second = rotate(TimeDelta::hours(1)).await;
    same(&signing().await, &[&second, &first]);
    assert!(world.row(row.id).await.previous_until.is_some());
    // A third one: the first is of no use any more, whatever was said of it.
    world.db.clock.advance(TimeDelta::seconds(1));
    let third = rotate(TimeDelta::hours(1)).await;
    same(&signing().await, &[&third, &second]);
    world.db.clock.advance(TimeDelta::hours(1));
    same(&signing().await, &[&third]);
    world.db.clock.advance(TimeDelta::seconds(1));
    let fourth = rotate(TimeDelta::zero()).await;
    same(&signing().await, &[&fourth]);
    assert_eq!(world.row(row.id).await.previous_until, None);
}

/// A secret as people get it.
fn text(key: &[u8]) -> String {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode(key);
    format!("whsec_{key}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_something_sent_somewhere_may_read_it() {
    let world = World::new().await;
    let store = world.store();
    let new = NewToken {
        name: name("narrow"),
        scopes: Some(BTreeSet::from([Action::WebhookRead, Action::WebhookWrite])),
        meshes: None,
        expires_at: None,
    };
    let robot = account(store, &world.owner, "robot", &[(Role::Admin, None)]).await;
    let mut tx = store
        .begin(&grant::<AccountManage>(&world.owner))
        .await
        .unwrap();
    let made = tokens::create(&mut tx, Some(&robot), &new).await.unwrap();
    tx.commit().await.unwrap();
    let narrow = world.db.caller(&made.secret).await.unwrap();
    let may = grant::<WebhookWrite>(&narrow);
    let secret = webhooks::draw(store, &world.sealer, may.org()).await;
    let secret = secret.unwrap();
    for (topic, scope) in [
        (Topic::Audit, "audit:read"),
        (Topic::Revision, "config:read"),
    ] {
        let mut tx = store.begin(&may).await.unwrap();
        let refused = webhooks::create(&mut tx, &name("one"), &wanted(&[topic]), &secret).await;
        let Err(Error::Forbidden { scope: lacking }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(lacking, scope);
    }
}
