//! The second step of signing in: whoever has shown a password gets a challenge, and a session for it and a code.
//!
//! A challenge works for minutes, for a few codes, and leads to one session. It tells nobody more than its holder knew already: that
//! the password was right.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::id::{MemberId, OrgId};
use heddle_model::name::Name;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::sign_in::{Beginning, Known, begin, refuse};
use super::{Refused, SignedIn};
use crate::authz::Door;
use crate::error::{Error, Result};
use crate::origin::Visitor;
use crate::second_factors;
use crate::secret;
use crate::session_keys::{self, KeySealer};
use crate::store::Store;
use crate::tx::{Mode, Work};

/// How long a challenge can be answered.
const LIFETIME: TimeDelta = TimeDelta::minutes(5);
/// With how many codes. Guesses at one account are slowed down besides, whatever they answer.
const TRIES: i32 = 5;

/// What a member comes back with who has shown a password.
#[derive(Debug)]
pub struct Challenge {
    /// Shown with the code.
    pub secret: SecretString,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Draws one for a member.
pub(crate) async fn draw(work: &mut Work, member: Uuid, method: &str) -> Result<Challenge> {
    let secret = secret::draw(secret::Kind::Challenge).map_err(|e| Error::Database(Box::new(e)))?;
    let now = work.now();
    let expires_at = now + LIFETIME;
    sqlx::query("delete from heddle.sign_in_challenges where expires_at < $1")
        .bind(now)
        .execute(work.conn())
        .await?;
    let query = sqlx::query(
        "insert into heddle.sign_in_challenges (org_id, id, principal_id, method, hash, tries, created_at, expires_at) \
         values ($1, $2, $3, $4, $5, 0, $6, $7)",
    )
    .bind(work.org().uuid())
    .bind(work.next_id())
    .bind(member)
    .bind(method)
    .bind(secret::digest_of(&secret))
    .bind(now)
    .bind(expires_at);
    query.execute(work.conn()).await?;
    Ok(Challenge { secret, expires_at })
}

/// Makes an end of every challenge of a member.
pub(super) async fn void(work: &mut Work, member: Uuid) -> Result<()> {
    sqlx::query("delete from heddle.sign_in_challenges where principal_id = $1")
        .bind(member)
        .execute(work.conn())
        .await?;
    Ok(())
}

/// A challenge that was found, and whose it is.
struct Found {
    id: Uuid,
    known: Known,
    method: String,
}

/// Takes one of the tries of a challenge.
async fn take_try(store: &Store, org_name: &str, secret: &SecretString) -> Result<Option<Found>> {
    if secret::kind_of(secret.expose_secret()) != Some(secret::Kind::Challenge) {
        return Ok(None);
    }
    let Ok(org_name) = org_name.parse::<Name>() else {
        return Ok(None);
    };
    let door = store.door(Door::OrgName, org_name.as_str().as_bytes());
    let Some(org) = door.await?.map(|org| OrgId::from_uuid(org.org_id)) else {
        return Ok(None);
    };
    let mut work = store.work(org, "sign-in", Mode::Write).await?;
    let now = work.now();
    let row: Option<(Uuid, Uuid, String, String)> = sqlx::query_as(
        "update heddle.sign_in_challenges c set tries = c.tries + 1 from heddle.principals p \
         where c.hash = $1 and c.expires_at > $2 and c.tries < $3 and p.id = c.principal_id and p.deleted_at is null \
         returning c.id, p.id, p.name, c.method",
    )
    .bind(secret::digest_of(secret))
    .bind(now)
    .bind(TRIES)
    .fetch_optional(work.conn())
    .await?;
    work.commit().await?;
    Ok(row.map(|(id, member, email, method)| Found {
        id,
        known: Known {
            org,
            org_name,
            member,
            email,
            hash: None,
        },
        method,
    }))
}

/// Lets a member in who has shown a password, by a code of its second factor or one of its recovery codes.
///
/// # Errors
/// [`Error::Signer`], [`Error::Unavailable`].
pub async fn answer(
    store: &Store,
    sealer: &dyn KeySealer,
    (org_name, secret): (&str, &SecretString),
    code: &SecretString,
    from: &Visitor<'_>,
) -> Result<std::result::Result<SignedIn, Refused>> {
    let Some(found) = take_try(store, org_name, secret).await? else {
        return Ok(Err(Refused::Challenge));
    };
    let Found { id, known, method } = found;
    let member = MemberId::from_uuid(known.member);
    let shown = match second_factors::look_at(store, sealer, (known.org, member), code).await? {
        Ok(shown) => shown,
        Err(why) => {
            if why == Refused::Credentials {
                refuse(store, known.org, Some(&known), &known.email, from).await?;
            }
            return Ok(Err(why));
        }
    };
    let signing = session_keys::signing(store, sealer).await?;
    let mut work = store.work(known.org, &known.actor(), Mode::Write).await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    // It leads to one session; and another password makes an end of it, as it does of sessions.
    let taken = sqlx::query("delete from heddle.sign_in_challenges where id = $1")
        .bind(id)
        .execute(work.conn())
        .await?;
    if taken.rows_affected() == 0 {
        return Ok(Err(Refused::Challenge));
    }
    let Some(used) = second_factors::spend(&mut work, known.member, &shown).await? else {
        drop(work);
        refuse(store, known.org, Some(&known), &known.email, from).await?;
        return Ok(Err(Refused::Credentials));
    };
    let how = Beginning {
        second_factor: Some(used),
        ..Beginning::by(&method)
    };
    let signed = begin(&mut work, &signing, &known, &how).await?;
    work.commit().await?;
    second_factors::was_right(store, member);
    Ok(Ok(signed))
}
