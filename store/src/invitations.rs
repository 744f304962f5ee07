//! Invitations: somebody gets a link by mail, by which they become a member with a role that somebody else chose.
//!
//! One is open until it is accepted or withdrawn; after its time it can only be sent again. It is for the address that it was sent to.

mod accept;
mod inviter;
mod moot;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::MemberWrite;
use heddle_model::authz::{Action, Permission, Role};
use heddle_model::email::Email;
use heddle_model::id::{InvitationId, MemberId};
use heddle_model::quota::Quota;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::allowance::Rate;
use crate::devices::Wait;
use crate::error::{Error, Result, inconsistent};
use crate::links::{self, Purpose};
use crate::mails;
use crate::principals::{self, Kind};
use crate::quotas;
use crate::rights::Bound;
use crate::sessions;
use crate::tx::{Change, Tx, Work};
pub use accept::{NewAccount, Refused, accept, look};
pub(crate) use accept::{accept_in, by_link};
pub(crate) use moot::withdraw_to;

/// How long an invitation can be accepted once it was made, or sent again.
const LIFETIME: TimeDelta = TimeDelta::days(7);

/// How often one address is sent invitations, by whomever: who gets them asked for none.
const SENDING: Rate = Rate {
    burst: 5,
    every: TimeDelta::minutes(5),
};
/// How much mail to people who are no members yet an organisation sends.
const SENDING_OF_ORG: Rate = Rate {
    burst: 500,
    every: TimeDelta::seconds(10),
};

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It can be accepted.
    Pending,
    /// Nobody accepted it in time. It can be sent again.
    Expired,
    /// It made a member.
    Accepted,
    /// It was taken back.
    Withdrawn,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Expired => "expired",
            Self::Accepted => "accepted",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What became of the last mail of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is to be sent.
    Queued,
    /// A mail server has it.
    Sent,
    /// No mail server took it within a day, or before the invitation expired.
    Failed,
}

impl Delivery {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// An invitation, without its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRow {
    /// Its identifier.
    pub id: InvitationId,
    /// Whom it is for.
    pub email: String,
    /// The role in the whole organisation that it gives.
    pub role: Role,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// What became of it.
    pub state: State,
    /// What became of its last mail; `None` once nobody remembers.
    pub delivery: Option<Delivery>,
    /// The member that it made.
    pub member: Option<MemberId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    email: String,
    role: String,
    created_at: DateTime<Utc>,
    created_by: String,
    expires_at: DateTime<Utc>,
    accepted: bool,
    withdrawn: bool,
    principal_id: Option<Uuid>,
    delivery: Option<String>,
}

fn row(row: Row, now: DateTime<Utc>) -> Result<InvitationRow> {
    let id = InvitationId::from_uuid(row.id);
    let bad = |_| inconsistent("invitations", "role", id, &row.role);
    Ok(InvitationRow {
        id,
        role: row.role.parse().map_err(bad)?,
        email: row.email,
        created_at: row.created_at,
        created_by: row.created_by,
        expires_at: row.expires_at,
        state: match (row.accepted, row.withdrawn) {
            (true, _) => State::Accepted,
            (_, true) => State::Withdrawn,
            _ if row.expires_at <= now => State::Expired,
            _ => State::Pending,
        },
        delivery: row.delivery.map(|delivery| match delivery.as_str() {
            "sent" => Delivery::Sent,
            "failed" => Delivery::Failed,
            _ => Delivery::Queued,
        }),
        member: row.principal_id.map(MemberId::from_uuid),
    })
}

async fn select(
    work: &mut Work,
    id: Option<Uuid>,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<InvitationRow>> {
    let now = work.now();
    let rows: Vec<Row> = sqlx::query_as(
        "select i.id, i.email, i.role, i.created_at, i.created_by, i.expires_at, i.accepted_at is not null as accepted, \
                i.withdrawn_at is not null as withdrawn, i.principal_id, \
                (select case when m.sent_at is not null then 'sent' \
                             when m.failed_at is not null or i.expires_at <= $4 then 'failed' else 'queued' end \
                 from heddle.mails m where m.org_id = i.org_id and m.about = i.id order by m.id desc limit 1) as delivery \
         from heddle.invitations i \
         where ($1::uuid is null or i.id = $1) and ($2::uuid is null or i.id < $2) \
           and ($1 is not null or (i.accepted_at is null and i.withdrawn_at is null)) \
         order by i.id desc limit $3",
    )
    .bind(id)
    .bind(before)
    .bind(i64::from(limit))
    .bind(now)
    .fetch_all(work.conn())
    .await?;
    rows.into_iter().map(|one| row(one, now)).collect()
}

async fn by_id(work: &mut Work, id: Uuid) -> Result<InvitationRow> {
    let rows = select(work, Some(id), None, 1).await?;
    rows.into_iter().next().ok_or(Error::NotFound)
}

/// Finds an invitation by identifier, whatever became of it.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn find<P: Permission>(tx: &mut Tx<P>, id: &str) -> Result<Option<InvitationRow>> {
    let Ok(id) = id.parse::<InvitationId>() else {
        return Ok(None);
    };
    let rows = select(&mut tx.work, Some(id.uuid()), None, 1).await?;
    Ok(rows.into_iter().next())
}

/// The invitations that are neither accepted nor withdrawn, newest first, before the identifier `before`, at most `limit`.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn page<P: Permission>(
    tx: &mut Tx<P>,
    before: Option<InvitationId>,
    limit: u32,
) -> Result<Vec<InvitationRow>> {
    select(&mut tx.work, None, before.map(InvitationId::uuid), limit).await
}

/// Whether the caller may have somebody become a member with this role. Nobody gives more than they have. The roles must be locked.
fn permit(work: &Work, role: Role) -> Result<()> {
    if !work.may(Action::RoleBindingWrite) {
        return Err(Error::Forbidden {
            scope: Action::RoleBindingWrite.scope(),
        });
    }
    work.require_role(Bound { role, mesh: None })
}

/// Whoever is a member is not invited. The roles must be locked.
async fn require_stranger(work: &mut Work, email: &str) -> Result<()> {
    match principals::find(work, Kind::Member, email).await? {
        None => Ok(()),
        Some(_) => Err(Error::AlreadyExists {
            constraint: "principals_name_key".to_owned(),
        }),
    }
}

fn sendable(work: &Work, email: &str) -> std::result::Result<(), Wait> {
    let (allowance, now) = (work.store().allowance(), work.now());
    let whole = format!("invitations of {}", work.org());
    allowance.take(&whole, SENDING_OF_ORG, now).map_err(Wait)?;
    let one = format!("invitations to {email}");
    allowance.take(&one, SENDING, now).map_err(Wait)
}

/// Invites somebody. Whoever is told to wait must not commit.
///
/// # Errors
/// [`Error::SignInAgain`], [`Error::Forbidden`], [`Error::Escalation`], [`Error::LimitReached`]; [`Error::AlreadyExists`] with `invitations_email_key` where an
/// invitation is open, and with `principals_name_key` where there is such a member; [`Error::Unavailable`].
pub async fn create(
    tx: &mut Tx<MemberWrite>,
    email: &Email,
    role: Role,
) -> Result<std::result::Result<InvitationRow, Wait>> {
    let work = &mut tx.work;
    sessions::require_fresh(work).await?;
    principals::lock_roles(work).await?;
    permit(work, role)?;
    require_stranger(work, email.as_str()).await?;
    quotas::admit(work, Quota::Members, 1).await?;
    let (id, now) = (work.next_id(), work.now());
    let query = sqlx::query(
        "insert into heddle.invitations (org_id, id, email, role, created_at, created_by, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(work.org().uuid())
    .bind(id)
    .bind(email.as_str())
    .bind(role.as_str())
    .bind(now)
    .bind(work.actor().to_owned())
    .bind(now + LIFETIME);
    query.execute(work.conn()).await?;
    // Only now: an invitation that is there already has cost nothing. Whoever has to wait undoes it.
    if let Err(wait) = sendable(work, email.as_str()) {
        return Ok(Err(wait));
    }
    inviter::note(work, id).await?;
    mails::post(work, Purpose::Invitation, email, Some(id)).await?;
    let after = json!({"role": role.as_str()});
    record(work, "create", id, email.as_str(), Some(&after)).await?;
    by_id(work, id).await.map(Ok)
}

/// An invitation that is open, locked for who is to change it.
async fn locked(work: &mut Work, id: InvitationId) -> Result<InvitationRow> {
    let there: Option<Uuid> = sqlx::query_scalar(
        "select id from heddle.invitations \
         where id = $1 and accepted_at is null and withdrawn_at is null for no key update",
    )
    .bind(id.uuid())
    .fetch_optional(work.conn())
    .await?;
    by_id(work, there.ok_or(Error::NotFound)?).await
}

/// Sends an invitation again. The links that were sent before lead to nothing, its time begins anew, and whoever does so answers
/// for it.
///
/// # Errors
/// [`Error::NotFound`], also when it was accepted or withdrawn; [`Error::SignInAgain`], [`Error::Forbidden`], [`Error::Escalation`];
/// [`Error::LimitReached`]; [`Error::AlreadyExists`] with `principals_name_key` where there is such a member; [`Error::Unavailable`].
pub async fn send_again(
    tx: &mut Tx<MemberWrite>,
    id: InvitationId,
) -> Result<std::result::Result<InvitationRow, Wait>> {
    let work = &mut tx.work;
    // The organisation before the invitation, as whoever accepts does: neither waits for the other.
    principals::lock_roles(work).await?;
    let row = locked(work, id).await?;
    sessions::require_fresh(work).await?;
    permit(work, row.role)?;
    require_stranger(work, &row.email).await?;
    if row.state == State::Expired {
        // Nobody could accept it any more, and it counted no more.
        quotas::admit(work, Quota::Members, 1).await?;
    }
    if let Err(wait) = sendable(work, &row.email) {
        return Ok(Err(wait));
    }
    let bad = |e: heddle_model::email::ParseEmailError| inconsistent("invitations", "email", id, e);
    let email: Email = row.email.parse().map_err(bad)?;
    links::void(work, Purpose::Invitation, id.uuid()).await?;
    let expires_at = work.now() + LIFETIME;
    sqlx::query("update heddle.invitations set expires_at = $2 where id = $1")
        .bind(id.uuid())
        .bind(expires_at)
        .execute(work.conn())
        .await?;
    inviter::note(work, id.uuid()).await?;
    mails::post(work, Purpose::Invitation, &email, Some(id.uuid())).await?;
    record(work, "send", id.uuid(), &row.email, None).await?;
    by_id(work, id.uuid()).await.map(Ok)
}

/// Takes an invitation back: its links lead to nothing.
///
/// # Errors
/// [`Error::NotFound`], also when it was accepted or withdrawn; [`Error::Unavailable`].
pub async fn withdraw(tx: &mut Tx<MemberWrite>, id: InvitationId) -> Result<()> {
    let work = &mut tx.work;
    let row = locked(work, id).await?;
    let now = work.now();
    sqlx::query("update heddle.invitations set withdrawn_at = $2 where id = $1")
        .bind(id.uuid())
        .bind(now)
        .execute(work.conn())
        .await?;
    links::void(work, Purpose::Invitation, id.uuid()).await?;
    record(work, "withdraw", id.uuid(), &row.email, None).await
}

/// The link of a mail; none when it cannot be accepted any more.
pub(crate) async fn draw(
    work: &mut Work,
    id: InvitationId,
) -> Result<Option<(SecretString, DateTime<Utc>, Role)>> {
    let row = match locked(work, id).await {
        Ok(row) if row.state == State::Pending => row,
        Ok(_) | Err(Error::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !inviter::may_still(work, id.uuid(), row.role).await? {
        return Ok(None);
    }
    let expires_at = row.expires_at;
    let secret = links::draw(work, Purpose::Invitation, id.uuid(), expires_at).await?;
    Ok(Some((secret, expires_at, row.role)))
}

async fn record(
    work: &mut Work,
    action: &'static str,
    id: Uuid,
    email: &str,
    after: Option<&serde_json::Value>,
) -> Result<()> {
    work.record(Change {
        mesh: None,
        revision: None,
        action,
        kind: "invitation",
        id,
        name: email,
        before: None,
        after: after.and_then(serde_json::Value::as_object),
    })
    .await
}
