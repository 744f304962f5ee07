//! The keys that sign sessions' tokens, and what such a token must look like.
//!
//! The table belongs to the installation and to no organisation. It holds private keys sealed under a key that the database
//! does not have. One key signs at a time; those before it verify until the last token that they signed is dead.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use heddle_model::id::{MemberId, OrgId, SessionId, SessionKeyId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Cause, Error, Result};
use crate::reseal::Place;
use crate::store::Store;

/// Seals and opens keys, so that the database holds ciphertext only.
#[async_trait]
pub trait KeySealer: Send + Sync {
    /// Seals the key of this place.
    ///
    /// # Errors
    /// The cryptographic library failed, whatever seals is away, or it does not seal keys of such places.
    async fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, Cause>;

    /// Opens what was sealed as the key of this place.
    ///
    /// # Errors
    /// It was sealed under another key, for another place, or altered; or whatever opens is away.
    async fn open(&self, place: Place, sealed: &[u8]) -> Result<SecretSlice<u8>, Cause>;
}

/// How long a token of a session works.
pub(crate) const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// No token may claim to work for longer.
const LONGEST_SECONDS: i64 = 15 * 60;
/// How far clocks may be apart.
const SKEW_SECONDS: i64 = 60;
/// How long a key verifies once another one signs: replicas notice within a minute, then the last token must die.
const OVERLAP: TimeDelta = TimeDelta::minutes(30);
/// After this a new key takes over by itself.
const TURN: TimeDelta = TimeDelta::days(30);
/// How long a process relies on what it has read.
const FRESH: TimeDelta = TimeDelta::seconds(60);
/// How often unknown key names make a process look again, at most.
const LOOK: TimeDelta = TimeDelta::seconds(1);

const TYPE: &str = "heddle-session+jwt";
const ISSUER: &str = "heddle";
const AUDIENCE: &str = "heddle-api";

/// What a token says. Exactly this: a claim more or less, or of another type, is no token of ours.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: MemberId,
    sid: SessionId,
    org: OrgId,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// What stands before the claims. A header more (`jku`, `jwk`, `x5u`, `crit`) is no token of ours.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    alg: String,
    typ: String,
    kid: SessionKeyId,
}

/// Who a token is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) org: OrgId,
    pub(crate) member: MemberId,
    pub(crate) session: SessionId,
}

/// The keys that a process has read.
#[derive(Default)]
pub(crate) struct Keys {
    verifying: RwLock<Verifying>,
    signing: tokio::sync::Mutex<Option<Arc<Signing>>>,
}

#[derive(Default)]
struct Verifying {
    keys: BTreeMap<SessionKeyId, (DecodingKey, Option<DateTime<Utc>>)>,
    looked_at: Option<DateTime<Utc>>,
}

/// The key that signs now.
pub(crate) struct Signing {
    id: SessionKeyId,
    key: EncodingKey,
    looked_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Database(error.to_string().into())
}

/// The key to sign with. To be asked for before a transaction is begun: it may take a connection of its own, and many who
/// hold one and wait for another wait for each other.
pub(crate) async fn signing(store: &Store, sealer: &dyn KeySealer) -> Result<Arc<Signing>> {
    let now = store.clock().now();
    let mut signing = store.session_keys().signing.lock().await;
    if let Some(known) = signing.as_ref()
        && now - known.looked_at < FRESH
        && now - known.created_at < TURN
    {
        return Ok(Arc::clone(known));
    }
    let read = Arc::new(signing_key(store, sealer, now, signing.as_deref()).await?);
    *signing = Some(Arc::clone(&read));
    Ok(read)
}

/// Signs a token for a session; says until when it works.
pub(crate) fn sign(
    signing: &Signing,
    about: Claimed,
    now: DateTime<Utc>,
) -> Result<(SecretString, DateTime<Utc>)> {
    let exp = now + LIFETIME;
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: about.member,
        sid: about.session,
        org: about.org,
        iat: now.timestamp(),
        nbf: now.timestamp(),
        exp: exp.timestamp(),
    };
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(signing.id.to_string());
    let token = jsonwebtoken::encode(&header, &claims, &signing.key).map_err(broken)?;
    Ok((SecretString::from(token), exp.trunc_subsecs(0)))
}

/// The key that signs now; a new one when there is none, or it has signed for long enough. The one that is known already is not
/// opened again: people sign in while whatever opens it is away.
async fn signing_key(
    store: &Store,
    sealer: &dyn KeySealer,
    now: DateTime<Utc>,
    known: Option<&Signing>,
) -> Result<Signing> {
    let newest: Option<(Uuid, Vec<u8>, DateTime<Utc>)> = sqlx::query_as(
        "select id, sealed_key, created_at from heddle.session_keys \
         where verify_until is null order by created_at desc, id desc limit 1",
    )
    .fetch_optional(store.pool())
    .await?;
    let (id, sealed, created_at) = match newest {
        Some(row) if now - row.2 < TURN => row,
        _ => make(store, sealer).await?,
    };
    let id_of_key = SessionKeyId::from_uuid(id);
    let key = match known.filter(|known| known.id == id_of_key) {
        Some(known) => known.key.clone(),
        None => {
            let plain = sealer.open(Place::SessionKey { id }, &sealed).await;
            EncodingKey::from_ed_der(plain.map_err(Error::Signer)?.expose_secret())
        }
    };
    Ok(Signing {
        id: id_of_key,
        key,
        looked_at: now,
        created_at,
    })
}

async fn make(store: &Store, sealer: &dyn KeySealer) -> Result<(Uuid, Vec<u8>, DateTime<Utc>)> {
    let id = store.ids().next();
    let now = store.clock().now().trunc_subsecs(6);
    let random = aws_lc_rs::rand::SystemRandom::new();
    let plain = Ed25519KeyPair::generate_pkcs8(&random).map_err(broken)?;
    let pair = Ed25519KeyPair::from_pkcs8(plain.as_ref()).map_err(broken)?;
    let sealed = sealer.seal(Place::SessionKey { id }, plain.as_ref()).await;
    let sealed = sealed.map_err(Error::Signer)?;
    let mut tx = store.pool().begin().await?;
    sqlx::query(
        "update heddle.session_keys set verify_until = $1 where verify_until is null and created_at <= $2",
    )
    .bind(now + OVERLAP)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into heddle.session_keys (id, public_key, sealed_key, created_at) values ($1, $2, $3, $4)",
    )
    .bind(id)
    .bind(pair.public_key().as_ref())
    .bind(&sealed)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((id, sealed, now))
}

/// Makes a new key sign from now on. Those before it verify until the last token that they signed is dead. Other processes
/// notice within a minute.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn rotate(store: &Store, sealer: &dyn KeySealer) -> Result<SessionKeyId> {
    let (id, _, _) = make(store, sealer).await?;
    *store.session_keys().signing.lock().await = None;
    Ok(SessionKeyId::from_uuid(id))
}

/// Whom a token is about; `None` when it is not one of ours that works now.
pub(crate) async fn verify(store: &Store, token: &str) -> Result<Option<Claimed>> {
    let Some(head) = head(token) else {
        return Ok(None);
    };
    let now = store.clock().now();
    let Some(key) = verifying_key(store, head.kid, now).await? else {
        return Ok(None);
    };
    // Time is judged below, by our own clock.
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    let Ok(data) = jsonwebtoken::decode::<Claims>(token, &key, &validation) else {
        return Ok(None);
    };
    let claims = data.claims;
    let now = now.timestamp();
    let lifetime = claims.exp.saturating_sub(claims.iat);
    let holds = claims.exp > now
        && claims.nbf <= now.saturating_add(SKEW_SECONDS)
        && claims.iat <= now.saturating_add(SKEW_SECONDS)
        && claims.iat > 0
        && (1..=LONGEST_SECONDS).contains(&lifetime);
    Ok(holds.then_some(Claimed {
        org: claims.org,
        member: claims.sub,
        session: claims.sid,
    }))
}

/// The header of a token that might be ours: three parts, one algorithm, one type, and the name of a key.
fn head(token: &str) -> Option<Head> {
    let mut parts = token.split('.');
    let head = parts.next()?;
    let rest = [parts.next()?, parts.next()?];
    if parts.next().is_some() || rest.iter().any(|part| part.is_empty()) {
        return None;
    }
    let head = URL_SAFE_NO_PAD.decode(head).ok()?;
    let head: Head = serde_json::from_slice(&head).ok()?;
    (head.alg == "EdDSA" && head.typ == TYPE).then_some(head)
}

async fn verifying_key(
    store: &Store,
    id: SessionKeyId,
    now: DateTime<Utc>,
) -> Result<Option<DecodingKey>> {
    let keys = &store.session_keys().verifying;
    let (found, looked_at) = {
        let keys = keys.read().unwrap_or_else(PoisonError::into_inner);
        (keys.keys.get(&id).cloned(), keys.looked_at)
    };
    let age = looked_at.map(|at| now - at);
    let stale = match &found {
        Some(_) => age.is_none_or(|age| age >= FRESH),
        None => age.is_none_or(|age| age >= LOOK),
    };
    let found = if stale {
        read(store, id, now).await?
    } else {
        found
    };
    Ok(found.and_then(|(key, until)| until.is_none_or(|at| now < at).then_some(key)))
}

async fn read(
    store: &Store,
    id: SessionKeyId,
    now: DateTime<Utc>,
) -> Result<Option<(DecodingKey, Option<DateTime<Utc>>)>> {
    let rows: Vec<(Uuid, Vec<u8>, Option<DateTime<Utc>>)> = sqlx::query_as(
        "select id, public_key, verify_until from heddle.session_keys \
         where verify_until is null or verify_until > $1",
    )
    .bind(now)
    .fetch_all(store.pool())
    .await?;
    let rows = rows.into_iter().map(|(id, public, until)| {
        let key = DecodingKey::from_ed_der(&public);
        (SessionKeyId::from_uuid(id), (key, until))
    });
    let mut keys = store
        .session_keys()
        .verifying
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    keys.keys = rows.collect();
    keys.looked_at = Some(now);
    Ok(keys.keys.get(&id).cloned())
}
