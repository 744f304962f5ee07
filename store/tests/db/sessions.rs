//! Signing in, staying in and out again; and everything that is no token of ours.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::{AccountManage, AccountRead, MemberWrite, MeshRead};
use heddle_model::clock::SharedClock;
use heddle_store::reseal::Place;
use heddle_store::sessions::{self, Refused, SignedIn, Step};
use heddle_store::{Caller, Cause, KeySealer, Store, admin, members, rotate_session_keys};
use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::{Value, json};

use crate::build::name;
use crate::support::{TestDb, cluster, connect, grant};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
const TYPE: &str = "heddle-session+jwt";

/// Seals nothing, and remembers the key, so that a test can sign what the server never would.
#[derive(Default)]
pub(crate) struct Glass(Mutex<Vec<u8>>);

#[async_trait::async_trait]
impl KeySealer for Glass {
    async fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, Cause> {
        if matches!(place, Place::SessionKey { .. }) {
            *self.0.lock().unwrap() = plain.to_vec();
        }
        Ok(plain.to_vec())
    }

    async fn open(&self, _: Place, sealed: &[u8]) -> Result<SecretSlice<u8>, Cause> {
        Ok(SecretSlice::from(sealed.to_vec()))
    }
}

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) sealer: Glass,
    /// Another process on the same database.
    pub(crate) replica: Store,
}

impl World {
    pub(crate) async fn new() -> Self {
        let db = TestDb::new().await;
        db.org("acme").await;
        let clock = Arc::clone(&db.clock) as SharedClock;
        let replica = connect(&cluster().url("heddle_server", &db.name), 4, clock).await;
        let world = Self {
            db,
            sealer: Glass::default(),
            replica,
        };
        world.member("ada@example.com", Role::Owner).await;
        world
    }

    pub(crate) async fn member(&self, email: &str, role: Role) {
        let hash = self.db.store.hash_password(SecretString::from(PASSWORD));
        let (hash, email) = (hash.await.unwrap(), email.parse().unwrap());
        let (store, acme) = (&self.db.store, name("acme"));
        admin::create_member(store, &acme, &email, role, Some(&hash))
            .await
            .unwrap();
    }

    pub(crate) async fn try_sign_in(
        &self,
        org: &str,
        email: &str,
        password: &str,
    ) -> Result<SignedIn, Refused> {
        let step = self.first_step(org, email, password).await?;
        let Step::In(signed) = step else {
            panic!("{email} has a second factor");
        };
        Ok(signed)
    }

    pub(crate) async fn first_step(
        &self,
        org: &str,
        email: &str,
        password: &str,
    ) -> Result<Step, Refused> {
        let (store, password) = (&self.db.store, SecretString::from(password));
        sessions::sign_in(store, &self.sealer, (org, email), password, Some("curl"))
            .await
            .unwrap()
    }

    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        use heddle_model::clock::Clock as _;
        self.db.clock.now()
    }

    pub(crate) async fn sign_in(&self) -> SignedIn {
        let signed = self.try_sign_in("acme", "Ada@Example.com", PASSWORD).await;
        signed.unwrap()
    }

    pub(crate) async fn refresh(
        &self,
        store: &Store,
        secret: &SecretString,
    ) -> Result<SignedIn, Refused> {
        sessions::refresh(store, &self.sealer, secret)
            .await
            .unwrap()
    }

    pub(crate) async fn caller(&self, signed: &SignedIn) -> Option<Caller> {
        let token = signed.access_token.expose_secret();
        let here = self.db.store.authenticate(token).await.unwrap();
        let there = self.replica.authenticate(token).await.unwrap();
        assert_eq!(here.is_some(), there.is_some(), "replicas agree at once");
        there
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn read(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A token with exactly these parts, signed by a key.
fn signed(key: &[u8], head: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", part(head), part(claims));
    let key = EncodingKey::from_ed_der(key);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA);
    format!("{message}.{}", signature.unwrap())
}

/// Everything with one change to header or claims, properly signed by our own key.
fn wrong_claims(key: &[u8], head: &Value, claims: &Value) -> Vec<(String, String)> {
    let now = claims["iat"].as_i64().unwrap();
    let mut all = Vec::new();
    let mut add = |what: String, head: &Value, claims: &Value| {
        all.push((what, signed(key, head, claims)));
    };
    let changed = |of: &Value, field: &str, to: Value| {
        let mut of = of.clone();
        of[field] = to;
        of
    };
    for (field, to) in [
        // A03
        ("kid", json!("../../../../etc/passwd")),
        ("kid", json!("' or 1=1 --")),
        ("kid", json!("sk_01hzx000000000000000000000")),
        ("kid", json!("k".repeat(1 << 20))),
        ("kid", Value::Null),
        ("jku", json!("https://example.com/keys")),
        ("x5u", json!("https://example.com/chain")),
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})),
        ("crit", json!(["exp"])),
        // A04
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", Value::Null),
        ("alg", json!("eddsa")),
        ("alg", json!("ES256")),
    ] {
        add(format!("header {field}"), &changed(head, field, to), claims);
    }
    for (field, to) in [
        // A04
        ("aud", json!("heddle-xds")),
        ("aud", json!(["heddle-api"])),
        ("aud", json!(["heddle-api", "heddle-xds"])),
        ("aud", Value::Null),
        // A05
        ("exp", json!(1_000_000_000_000_000_000_i64)),
        ("exp", json!(now + 901)),
        ("exp", json!(now - 1)),
        ("exp", json!((now + 600).to_string())),
        ("exp", json!(1e300)),
        ("nbf", json!(now + 61)),
        ("iat", json!(-1)),
        ("iat", json!(now + 61)),
        ("iat", json!(i64::MIN)),
        // A06
        ("iss", json!("heddle/")),
        ("iss", json!("Heddle")),
        ("iss", json!("h\u{435}ddle")),
        ("iss", json!(["heddle"])),
        ("sub", json!("mbr_01hzx000000000000000000000")),
        ("sid", json!("ses_01hzx000000000000000000000")),
        ("org", json!("org_01hzx000000000000000000000")),
        ("admin", json!(true)),
    ] {
        add(format!("claim {field}"), head, &changed(claims, field, to));
    }
    for field in ["exp", "nbf", "iat", "aud", "iss", "sub", "sid", "org"] {
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(field);
        add(format!("without {field}"), head, &without);
    }
    all
}

#[tokio::test]
async fn sec_a01_a02_a03_a04_a05_a06_forged_tokens_are_nobody() {
    let world = World::new().await;
    let good = world.sign_in().await;
    let token = good.access_token.expose_secret();
    let key = world.sealer.0.lock().unwrap().clone();
    let parts: Vec<&str> = token.split('.').collect();
    let (head, claims) = (read(parts[0]), read(parts[1]));
    // What the tests below change is right before they do.
    let same = signed(&key, &head, &claims);
    assert!(world.db.store.authenticate(&same).await.unwrap().is_some());

    let mut forged = wrong_claims(&key, &head, &claims);
    let mut add = |what: &str, token: String| forged.push((what.to_owned(), token));
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let head = part(&json!({"alg": alg, "typ": TYPE, "kid": head["kid"]}));
        add("no algorithm", format!("{head}.{}.", parts[1]));
        add("no algorithm", format!("{head}.{}", parts[1]));
        add("no algorithm", format!("{head}.{}.{}", parts[1], parts[2]));
    }
    let public: Vec<u8> = sqlx::query_scalar("select public_key from heddle.session_keys")
        .fetch_one(&world.db.superuser().await)
        .await
        .unwrap();
    for alg in ["HS256", "EdDSA"] {
        let head = part(&json!({"alg": alg, "typ": TYPE, "kid": head["kid"]}));
        let message = format!("{head}.{}", parts[1]);
        let mac = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &public),
            message.as_bytes(),
        );
        add(
            "our public key as a secret",
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac)),
        );
    }
    let other =
        aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new());
    add(
        "another key under our name",
        signed(other.unwrap().as_ref(), &head, &claims),
    );
    add("no signature", format!("{}.{}.", parts[0], parts[1]));
    add("two parts", format!("{}.{}", parts[0], parts[1]));
    add("four parts", format!("{token}.{}", parts[2]));
    add("no claims", format!("{}..{}", parts[0], parts[2]));
    add("cut", token[..token.len() - 1].to_owned());
    add("padded", format!("{token}="));
    add("in other case", token.to_ascii_lowercase());
    add("a space", format!(" {token}"));
    for (what, token) in &forged {
        let caller = world.db.store.authenticate(token).await.unwrap();
        assert!(
            caller.is_none(),
            "{what}: {}",
            &token[..token.len().min(300)]
        );
    }
    assert!(forged.len() > 60, "{}", forged.len());
    assert!(world.caller(&good).await.is_some());
    world.db.clock.advance(TimeDelta::seconds(599));
    assert!(world.caller(&good).await.is_some());
    world.db.clock.advance(TimeDelta::seconds(1));
    assert!(world.caller(&good).await.is_none(), "it has expired");
}

#[tokio::test]
async fn sec_a09_a_session_ends_everywhere_with_the_next_request() {
    let world = World::new().await;
    let store = &world.db.store;
    let one = world.sign_in().await;
    let two = world.sign_in().await;
    assert_ne!(one.session, two.session);
    assert_ne!(
        one.refresh_token.expose_secret(),
        two.refresh_token.expose_secret()
    );
    let caller = world.caller(&one).await.unwrap();
    assert_eq!(caller.session(), Some(one.session));
    assert_eq!(caller.actor(), format!("{} (ada@example.com)", one.member));
    assert!(caller.grant::<MeshRead>("acme").is_ok());

    let mut tx = store.begin(&grant::<AccountRead>(&caller)).await.unwrap();
    let rows = sessions::page(&mut tx, None, None, 10).await.unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, [two.session, one.session]);
    assert_eq!(rows[0].client.as_deref(), Some("curl"));
    drop(tx);
    let mut tx = store.begin(&grant::<AccountManage>(&caller)).await.unwrap();
    sessions::revoke(&mut tx, "current").await.unwrap();
    tx.commit().await.unwrap();
    assert!(world.caller(&one).await.is_none());
    let refused = world.refresh(store, &one.refresh_token).await.unwrap_err();
    assert_eq!(refused, Refused::Credentials);
    assert!(world.caller(&two).await.is_some());

    // Who is removed is out, too.
    world.member("bea@example.com", Role::Admin).await;
    let bea = world
        .try_sign_in("acme", "bea@example.com", PASSWORD)
        .await
        .unwrap();
    assert!(world.caller(&bea).await.is_some());
    let ada = world.caller(&two).await.unwrap();
    let mut tx = store.begin(&grant::<MemberWrite>(&ada)).await.unwrap();
    let row = members::find(&mut tx, "bea@example.com")
        .await
        .unwrap()
        .unwrap();
    members::remove(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    assert!(world.caller(&bea).await.is_none());
    let gone = world.try_sign_in("acme", "bea@example.com", PASSWORD).await;
    assert_eq!(gone.unwrap_err(), Refused::Credentials);
}

#[tokio::test]
async fn sec_a09_a_refresh_secret_that_is_used_twice_ends_its_session() {
    let world = World::new().await;
    let store = &world.db.store;
    let first = world.sign_in().await;
    world.db.clock.advance(TimeDelta::minutes(9));
    let second = world.refresh(store, &first.refresh_token).await.unwrap();
    let third = world
        .refresh(&world.replica, &second.refresh_token)
        .await
        .unwrap();
    assert_eq!(third.session, first.session);
    assert!(world.caller(&third).await.is_some());
    // Somebody has a copy of an old one.
    for _ in 0..2 {
        let refused = world
            .refresh(store, &first.refresh_token)
            .await
            .unwrap_err();
        assert_eq!(refused, Refused::Credentials);
        assert!(world.caller(&third).await.is_none());
        let refused = world
            .refresh(store, &third.refresh_token)
            .await
            .unwrap_err();
        assert_eq!(refused, Refused::Credentials);
    }
    // Of two who refresh at once one gets the next token, and the other ends the session.
    let one = world.sign_in().await;
    let (a, b) = tokio::join!(
        world.refresh(store, &one.refresh_token),
        world.refresh(&world.replica, &one.refresh_token)
    );
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1);
    assert!(world.caller(&a.or(b).unwrap()).await.is_none());
    // A session that nobody refreshes ends.
    let idle = world.sign_in().await;
    world.db.clock.advance(TimeDelta::days(7));
    let refused = world.refresh(store, &idle.refresh_token).await.unwrap_err();
    assert_eq!(refused, Refused::Credentials);
}

#[tokio::test]
async fn sec_a10_whoever_is_wrong_gets_the_same_answer_and_waits() {
    let world = World::new().await;
    let wrong = [
        ("acme", "ada@example.com", "wrong password"),
        ("acme", "nobody@example.com", PASSWORD),
        ("nobody", "ada@example.com", PASSWORD),
        ("acme", "not an address", PASSWORD),
        ("NOT A NAME", "ada@example.com", PASSWORD),
        ("acme", "ada@example.com", ""),
    ];
    for (org, email, password) in wrong {
        let refused = world.try_sign_in(org, email, password).await.unwrap_err();
        assert_eq!(refused, Refused::Credentials, "{org} {email}");
    }
    // The same whether the account exists or not.
    for email in ["ada@example.com", "nobody@example.com"] {
        let mut answers = Vec::new();
        for _ in 0..8 {
            answers.push(world.try_sign_in("acme", email, "guess").await.unwrap_err());
        }
        let waits = answers.iter().filter(|a| matches!(a, Refused::Wait(_)));
        assert!(waits.count() >= 2, "{email}: {answers:?}");
    }
    // Not even the right password gets in while waiting; afterwards it does.
    let waiting = world.try_sign_in("acme", "ada@example.com", PASSWORD).await;
    assert!(matches!(waiting, Err(Refused::Wait(_))), "{waiting:?}");
    world.db.clock.advance(TimeDelta::minutes(5));
    world.sign_in().await;
}

#[tokio::test]
async fn keys_change_and_what_they_signed_lives_out_its_minutes() {
    let world = World::new().await;
    let store = &world.db.store;
    let old = world.sign_in().await;
    assert!(world.caller(&old).await.is_some());
    rotate_session_keys(store, &world.sealer).await.unwrap();
    let new = world.sign_in().await;
    let kid = |signed: &SignedIn| {
        let token = signed.access_token.expose_secret();
        read(token.split('.').next().unwrap())["kid"].clone()
    };
    assert_ne!(kid(&old), kid(&new));
    // A process that has never seen the new key looks once a second.
    world.db.clock.advance(TimeDelta::seconds(1));
    assert!(world.caller(&old).await.is_some());
    assert!(world.caller(&new).await.is_some());
    world.db.clock.advance(TimeDelta::minutes(31));
    let newer = world.refresh(store, &new.refresh_token).await.unwrap();
    assert_eq!(kid(&newer), kid(&new));
    let verifying: i64 = sqlx::query_scalar(
        "select count(*) from heddle.session_keys where verify_until is null or verify_until > $1",
    )
    .bind(heddle_model::clock::Clock::now(world.db.clock.as_ref()))
    .fetch_one(&world.db.superuser().await)
    .await
    .unwrap();
    assert_eq!(verifying, 1);
    // By itself, in time.
    world.db.clock.advance(TimeDelta::days(6));
    let mut last = newer;
    for _ in 0..4 {
        last = world.refresh(store, &last.refresh_token).await.unwrap();
        world.db.clock.advance(TimeDelta::days(6));
    }
    let again = world.sign_in().await;
    assert_ne!(kid(&again), kid(&last));
}

#[tokio::test]
async fn sec_a09_a_new_password_ends_the_other_sessions() {
    let world = World::new().await;
    let store = &world.db.store;
    let one = world.sign_in().await;
    let two = world.sign_in().await;
    let caller = world.caller(&one).await.unwrap();
    let own = grant::<AccountManage>(&caller);
    let change = async |current: &str| {
        let (current, new) = (
            SecretString::from(current),
            SecretString::from("another password"),
        );
        match sessions::change_password(store, &own, current, new)
            .await
            .unwrap()
        {
            Ok(tx) => {
                tx.commit().await.unwrap();
                Ok(())
            }
            Err(refused) => Err(refused),
        }
    };
    assert_eq!(change("wrong").await, Err(Refused::Credentials));
    assert!(world.caller(&two).await.is_some());
    assert_eq!(change(PASSWORD).await, Ok(()));
    assert!(world.caller(&one).await.is_some());
    assert!(world.caller(&two).await.is_none());
    let old = world.try_sign_in("acme", "ada@example.com", PASSWORD).await;
    assert_eq!(old.unwrap_err(), Refused::Credentials);
    let new = world
        .try_sign_in("acme", "ada@example.com", "another password")
        .await;
    assert!(new.is_ok());
    // What is kept is a hash.
    let hash: String = sqlx::query_scalar("select password_hash from heddle.principals")
        .fetch_one(&world.db.superuser().await)
        .await
        .unwrap();
    assert!(
        hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{hash}"
    );
}

#[tokio::test]
async fn the_use_of_a_token_is_noted_once_a_minute() {
    let db = TestDb::new().await;
    let token = db.org("acme").await;
    let store = &db.store;
    let noted = async || {
        let caller = db.caller(&token).await.unwrap();
        match store.worth_noting(&caller) {
            Some(used) => store.note(used).await.map(|()| true).unwrap(),
            None => false,
        }
    };
    assert!(noted().await);
    assert!(!noted().await);
    db.clock.advance(TimeDelta::seconds(59));
    assert!(!noted().await);
    db.clock.advance(TimeDelta::seconds(1));
    assert!(noted().await);
    let caller = db.caller(&token).await.unwrap();
    assert_eq!(
        caller.last_used_at(),
        Some(heddle_model::clock::Clock::now(db.clock.as_ref()))
    );
}
