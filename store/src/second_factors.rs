//! Second factors: what a member signs in with beside the password. One for each member: a key in an authenticator that makes codes of
//! the time, sealed here; and recovery codes for whoever has lost it.
//!
//! What somebody types is looked at outside of a transaction, because whatever opens the key may be elsewhere, and used inside of one:
//! a code works once, and after it no older one does.

mod recovery;
mod status;
mod totp;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::{AccountManage, MemberWrite};
use heddle_model::id::{MemberId, OrgId};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::authz::{Grant, Principal};
use crate::error::{Error, Result};
use crate::mails::{self, Notice};
use crate::orgs;
use crate::principals::{self, Kind, PrincipalRow};
use crate::reseal::{self, Place};
use crate::secret;
use crate::session_keys::KeySealer;
use crate::sessions::{self, Refused};
use crate::store::Store;
use crate::tx::{Mode, Tx, Work};
pub use status::{Status, status};

/// How long one that was drawn can be confirmed.
const PATIENCE: TimeDelta = TimeDelta::minutes(15);

/// What a session says of a code.
const TOTP: &str = "totp";
/// What a session says of a recovery code.
const RECOVERY_CODE: &str = "recovery_code";

/// A second factor that was drawn and that nobody has yet.
pub struct Drawn {
    id: Uuid,
    key: totp_rs::Secret,
    sealed: Vec<u8>,
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawn")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What an authenticator takes; shown once.
#[derive(Debug)]
pub struct Enrolment {
    /// To type.
    pub secret: SecretString,
    /// To read off a screen.
    pub uri: SecretString,
    /// Until when it can be confirmed.
    pub expires_at: DateTime<Utc>,
}

/// What somebody typed: right as far as could be seen. Whether it was used before shows when it is used.
#[derive(Debug)]
pub struct Shown(What);

#[derive(Debug)]
enum What {
    Code { factor: Uuid, step: i64 },
    RecoveryCode { hash: Vec<u8> },
}

/// The member whose second factor it is about: the caller, who signed in.
fn signed_in(work: &Work) -> Result<MemberId> {
    match (work.principal(), work.session()) {
        (Some(Principal::Member(member)), Some(_)) => Ok(member),
        _ => Err(Error::NotSignedIn),
    }
}

/// Draws one for the caller.
///
/// # Errors
/// [`Error::Signer`] when the key cannot be sealed.
pub async fn draw(
    store: &Store,
    sealer: &dyn KeySealer,
    grant: &Grant<AccountManage>,
) -> Result<Drawn> {
    let (id, key) = (store.ids().next(), totp::draw_key()?);
    let place = Place::SecondFactor {
        org: grant.org(),
        id,
    };
    let sealed = sealer.seal(place, key.as_bytes()).await;
    let sealed = sealed.map_err(Error::Signer)?;
    Ok(Drawn { id, key, sealed })
}

/// Begins to set one up for the caller. It is of use once it was confirmed; one that waited for that before is gone.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::SignInAgain`], [`Error::SecondFactorExists`], [`Error::Unavailable`].
pub async fn enrol(tx: &mut Tx<AccountManage>, drawn: &Drawn) -> Result<Enrolment> {
    let work = &mut tx.work;
    let member = signed_in(work)?;
    sessions::require_fresh(work).await?;
    let row = lock(work, member).await?;
    let now = work.now();
    sqlx::query(
        "delete from heddle.second_factors where principal_id = $1 and confirmed_at is null",
    )
    .bind(member.uuid())
    .execute(work.conn())
    .await?;
    let query = sqlx::query(
        "insert into heddle.second_factors (org_id, id, principal_id, sealed_key, created_at, last_step) \
         values ($1, $2, $3, $4, $5, 0) on conflict (org_id, principal_id) do nothing",
    )
    .bind(work.org().uuid())
    .bind(drawn.id)
    .bind(member.uuid())
    .bind(&drawn.sealed)
    .bind(now);
    if query.execute(work.conn()).await?.rows_affected() == 0 {
        return Err(Error::SecondFactorExists);
    }
    reseal::note_org(work).await?;
    let org = orgs::name_of(work).await?;
    record(work, "begin_second_factor", &row).await?;
    Ok(Enrolment {
        secret: totp::written(&drawn.key),
        uri: totp::uri(&drawn.key, &org, &row.name),
        expires_at: now + PATIENCE,
    })
}

/// Looks at what the caller typed. Guesses are counted, and slowed down.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::NoSecondFactor`], [`Error::Signer`], [`Error::Unavailable`].
pub async fn check(
    store: &Store,
    sealer: &dyn KeySealer,
    grant: &Grant<AccountManage>,
    code: &SecretString,
) -> Result<std::result::Result<Shown, Refused>> {
    match (grant.principal(), grant.session()) {
        (Some(Principal::Member(member)), Some(_)) => {
            look_at(store, sealer, (grant.org(), member), code).await
        }
        _ => Err(Error::NotSignedIn),
    }
}

/// Looks at what somebody typed: a code of the second factor, be it confirmed or not, or a recovery code.
pub(crate) async fn look_at(
    store: &Store,
    sealer: &dyn KeySealer,
    (org, member): (OrgId, MemberId),
    code: &SecretString,
) -> Result<std::result::Result<Shown, Refused>> {
    let now = store.clock().now();
    if let Err(wait) = store.throttle().begin(&account(&member.to_string()), now) {
        return Ok(Err(Refused::Wait(wait)));
    }
    if let Some(hash) = secret::written_digest(code.expose_secret()) {
        return Ok(Ok(Shown(What::RecoveryCode { hash })));
    }
    // Not while a connection waits: whatever opens the key may be elsewhere.
    let mut work = store.work(org, "second factor", Mode::Read).await?;
    let row: Option<(Uuid, Vec<u8>)> =
        sqlx::query_as("select id, sealed_key from heddle.second_factors where principal_id = $1")
            .bind(member.uuid())
            .fetch_optional(work.conn())
            .await?;
    drop(work);
    let Some((factor, sealed)) = row else {
        return Ok(Err(Refused::Credentials));
    };
    let place = Place::SecondFactor { org, id: factor };
    let key = sealer.open(place, &sealed).await.map_err(Error::Signer)?;
    let step = totp::step_of(key.expose_secret(), code.expose_secret(), now)?;
    let shown = step.map(|step| Shown(What::Code { factor, step }));
    Ok(shown.ok_or(Refused::Credentials))
}

fn account(member: &str) -> [&str; 2] {
    ["second factor", member]
}

/// What somebody typed was right, and was used: whoever did has guessed nothing.
pub(crate) fn was_right(store: &Store, member: MemberId) {
    store.throttle().succeed(&account(&member.to_string()));
}

/// Uses what a member has shown, once. Says what it was; `None` when it does not work any more.
pub(crate) async fn spend(
    work: &mut Work,
    member: Uuid,
    shown: &Shown,
) -> Result<Option<&'static str>> {
    match &shown.0 {
        What::RecoveryCode { hash } => {
            let spent = recovery::spend(work, member, hash).await?;
            Ok(spent.then_some(RECOVERY_CODE))
        }
        What::Code { factor, step } => {
            let done = sqlx::query(
                "update heddle.second_factors set last_step = $3 \
                 where principal_id = $1 and id = $2 and last_step < $3 and confirmed_at is not null",
            )
            .bind(member)
            .bind(factor)
            .bind(step)
            .execute(work.conn())
            .await?;
            Ok((done.rows_affected() > 0).then_some(TOTP))
        }
    }
}

/// Whether a member has one.
pub(crate) async fn has(work: &mut Work, member: Uuid) -> Result<bool> {
    let has = sqlx::query_scalar(
        "select exists (select from heddle.second_factors where principal_id = $1 and confirmed_at is not null)",
    )
    .bind(member)
    .fetch_one(work.conn())
    .await?;
    Ok(has)
}

/// Makes the one that the caller has set up count from now on, for a code of it. Sessions that began without it end. Answers with
/// recovery codes.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::NoSecondFactor`] when none waits for it, [`Error::Unavailable`].
pub async fn confirm(
    tx: &mut Tx<AccountManage>,
    shown: &Shown,
) -> Result<std::result::Result<Vec<SecretString>, Refused>> {
    let work = &mut tx.work;
    let member = signed_in(work)?;
    let row = lock(work, member).await?;
    let now = work.now();
    let waiting: Option<Uuid> = sqlx::query_scalar(
        "select id from heddle.second_factors where principal_id = $1 and confirmed_at is null and created_at > $2",
    )
    .bind(member.uuid())
    .bind(now - PATIENCE)
    .fetch_optional(work.conn())
    .await?;
    let waiting = waiting.ok_or(Error::NoSecondFactor)?;
    let What::Code { factor, step } = &shown.0 else {
        return Ok(Err(Refused::Credentials));
    };
    if *factor != waiting {
        return Ok(Err(Refused::Credentials));
    }
    sqlx::query("update heddle.second_factors set confirmed_at = $2, last_step = $3 where id = $1")
        .bind(factor)
        .bind(now)
        .bind(step)
        .execute(work.conn())
        .await?;
    let keep = work.session();
    sessions::end_all(work, member.uuid(), keep).await?;
    sqlx::query("update heddle.sessions set second_factor = $2 where id = $1")
        .bind(keep.map(heddle_model::id::SessionId::uuid))
        .bind(TOTP)
        .execute(work.conn())
        .await?;
    let codes = recovery::draw(work, member.uuid()).await?;
    mails::tell(work, Notice::SecondFactorAdded, &row.name).await?;
    record(work, "add_second_factor", &row).await?;
    was_right(work.store(), member);
    Ok(Ok(codes))
}

/// Gives the caller other recovery codes, for a code.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::NoSecondFactor`], [`Error::Unavailable`].
pub async fn renew_recovery_codes(
    tx: &mut Tx<AccountManage>,
    shown: &Shown,
) -> Result<std::result::Result<Vec<SecretString>, Refused>> {
    let work = &mut tx.work;
    let Ok((member, row)) = show(work, shown).await? else {
        return Ok(Err(Refused::Credentials));
    };
    let codes = recovery::draw(work, member.uuid()).await?;
    record(work, "renew_recovery_codes", &row).await?;
    Ok(Ok(codes))
}

/// Takes the caller's away, for a code. Where the organisation asks for one, there is nothing to do afterwards but to set up another.
///
/// # Errors
/// [`Error::NotSignedIn`], [`Error::NoSecondFactor`], [`Error::Unavailable`].
pub async fn remove(
    tx: &mut Tx<AccountManage>,
    shown: &Shown,
) -> Result<std::result::Result<(), Refused>> {
    let work = &mut tx.work;
    let Ok((member, row)) = show(work, shown).await? else {
        return Ok(Err(Refused::Credentials));
    };
    delete(work, member.uuid()).await?;
    mails::tell(work, Notice::SecondFactorRemoved, &row.name).await?;
    record(work, "remove_second_factor", &row).await?;
    Ok(Ok(()))
}

/// The caller, who has shown a code that it may use for what follows.
async fn show(
    work: &mut Work,
    shown: &Shown,
) -> Result<std::result::Result<(MemberId, PrincipalRow), Refused>> {
    let member = signed_in(work)?;
    let row = lock(work, member).await?;
    if !row.has_second_factor {
        return Err(Error::NoSecondFactor);
    }
    if spend(work, member.uuid(), shown).await?.is_none() {
        return Ok(Err(Refused::Credentials));
    }
    was_right(work.store(), member);
    Ok(Ok((member, row)))
}

/// Takes a member's second factor away that it has lost, and ends its sessions. Nobody does so to one who may do more than they.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Escalation`], [`Error::SignInAgain`], [`Error::NoSecondFactor`], [`Error::Unavailable`].
pub async fn reset(tx: &mut Tx<MemberWrite>, member: &PrincipalRow) -> Result<()> {
    let work = &mut tx.work;
    principals::lock_roles(work).await?;
    let row = principals::by_id(work, member.id.uuid()).await?;
    let row = row.ok_or(Error::NotFound)?;
    work.require_rights(&row.rights())?;
    sessions::require_fresh(work).await?;
    reset_of(work, &row).await
}

pub(crate) async fn reset_of(work: &mut Work, row: &PrincipalRow) -> Result<()> {
    if !row.has_second_factor {
        return Err(Error::NoSecondFactor);
    }
    let id = row.id.uuid();
    // First, as whoever signs in takes them: the challenge, then what it is answered by.
    sessions::end_all(work, id, None).await?;
    delete(work, id).await?;
    mails::tell(work, Notice::SecondFactorRemoved, &row.name).await?;
    record(work, "reset_second_factor", row).await
}

/// Deletes what a member has, confirmed or not.
pub(crate) async fn delete(work: &mut Work, member: Uuid) -> Result<()> {
    recovery::delete(work, member).await?;
    sqlx::query("delete from heddle.second_factors where principal_id = $1")
        .bind(member)
        .execute(work.conn())
        .await?;
    Ok(())
}

/// The member's row, locked: whoever signs in waits for what is done about its second factor.
async fn lock(work: &mut Work, member: MemberId) -> Result<PrincipalRow> {
    sqlx::query("select from heddle.principals where id = $1 for no key update")
        .bind(member.uuid())
        .execute(work.conn())
        .await?;
    let row = principals::by_id(work, member.uuid()).await?;
    row.ok_or(Error::NotFound)
}

async fn record(work: &mut Work, what: &'static str, row: &PrincipalRow) -> Result<()> {
    let id = row.id.uuid();
    principals::record(work, Kind::Member, what, id, &row.name, None, None).await
}
