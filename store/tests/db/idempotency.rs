//! Answers that are kept under a key.

use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::ConfigWrite;
use heddle_store::Caller;
use heddle_store::idempotency::{self, Answer, Claim, KEPT};
use serde_json::json;

use crate::support::{TestDb, grant};

const THIS: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

fn answer(body: &str) -> Answer {
    Answer {
        status: 201,
        headers: json!([["etag", "x"]]),
        body: body.to_owned(),
    }
}

async fn claim(db: &TestDb, caller: &Caller, key: &str, of: &[u8; 32]) -> Claim {
    let mut tx = db.store.begin(&grant::<ConfigWrite>(caller)).await.unwrap();
    let claim = idempotency::claim(&mut tx, key, of).await.unwrap();
    let _ = tx.roll_back().await;
    claim
}

async fn keep(db: &TestDb, caller: &Caller, key: &str, body: &str) {
    let mut tx = db.store.begin(&grant::<ConfigWrite>(caller)).await.unwrap();
    assert_eq!(
        idempotency::claim(&mut tx, key, &THIS).await.unwrap(),
        Claim::New
    );
    idempotency::keep(&mut tx, key, &THIS, &answer(body))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn rows(db: &TestDb) -> i64 {
    sqlx::query_scalar("select count(*) from heddle.idempotent_answers")
        .fetch_one(&db.superuser().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_key_is_new_then_running_then_done() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mut first = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let claimed = idempotency::claim(&mut first, "k", &THIS).await.unwrap();
    assert_eq!(claimed, Claim::New);
    assert_eq!(claim(&db, &owner, "k", &THIS).await, Claim::Running);
    assert_eq!(claim(&db, &owner, "other", &THIS).await, Claim::New);
    // What fails leaves the key to whoever comes next.
    first.roll_back().await.unwrap();
    keep(&db, &owner, "k", "one").await;
    assert_eq!(
        claim(&db, &owner, "k", &THIS).await,
        Claim::Done(answer("one"))
    );
    assert_eq!(claim(&db, &owner, "k", &OTHER).await, Claim::Other);
}

#[tokio::test]
async fn a_key_belongs_to_one_credential_of_one_organisation() {
    let db = TestDb::new().await;
    let (acme, rival) = (db.owner("acme").await, db.owner("rival").await);
    let second = db.token("acme", Role::Admin, "second").await;
    let second = db.caller(&second).await.unwrap();
    keep(&db, &acme, "k", "acme").await;
    for other in [&rival, &second] {
        assert_eq!(claim(&db, other, "k", &THIS).await, Claim::New);
        keep(&db, other, "k", "other").await;
    }
    assert_eq!(
        claim(&db, &acme, "k", &THIS).await,
        Claim::Done(answer("acme"))
    );
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day_and_then_removed() {
    let db = TestDb::new().await;
    let (acme, rival) = (db.owner("acme").await, db.owner("rival").await);
    for i in 0..60 {
        keep(&db, &acme, &format!("k{i}"), "old").await;
    }
    keep(&db, &rival, "k", "old").await;
    db.clock.advance(KEPT - TimeDelta::seconds(1));
    assert_eq!(
        claim(&db, &acme, "k0", &THIS).await,
        Claim::Done(answer("old"))
    );
    db.clock.advance(TimeDelta::seconds(1));
    assert_eq!(claim(&db, &acme, "k0", &THIS).await, Claim::New);
    // Each new one takes fifty of the old ones with it, and those of another organisation are its own.
    keep(&db, &acme, "fresh", "new").await;
    assert_eq!(rows(&db).await, 12);
    keep(&db, &acme, "k0", "new").await;
    assert_eq!(rows(&db).await, 3);
    assert_eq!(
        claim(&db, &acme, "k0", &THIS).await,
        Claim::Done(answer("new"))
    );
}
