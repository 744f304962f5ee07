//! Mail: written down in the transaction that wants it, sent afterwards by whichever server comes to it.
//!
//! A mail has a turn as long as it is to be sent. A server takes a turn for a while, so that of several servers one sends, and a mail
//! whose server dies is taken by another one. It may then come twice, never not at all.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::Role;
use heddle_model::email::Email;
use heddle_model::id::{InvitationId, MailId, OrgId, WebhookId};
use heddle_model::name::Name;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::error::{Result, inconsistent};
use crate::invitations;
use crate::links::Purpose;
use crate::password_resets;
use crate::store::Store;
use crate::tx::{Change, Mode, Work};
use crate::webhooks::{self, Disabled};

/// Who acts.
const ACTOR: &str = "mail";
/// For how long a server that takes a turn has it to itself.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// How long after a try that failed the next one comes: at first, and at the most.
const SOON: TimeDelta = TimeDelta::seconds(2);
const LATE: TimeDelta = TimeDelta::minutes(15);
/// When to give up.
const PATIENCE: TimeDelta = TimeDelta::days(1);
/// For how long it is remembered what became of a mail.
const REMEMBER: TimeDelta = TimeDelta::days(30);

/// A mail that says that a webhook was switched off.
const WEBHOOK_DISABLED: &str = "webhook_disabled";

/// A reason is cut off here, in characters: it may come from somebody else's server.
const REASON: usize = 200;

/// What a mail tells a member: something was done about how it signs in. It holds no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The password is another one.
    PasswordChanged,
    /// There is a second factor now.
    SecondFactorAdded,
    /// There is none any more.
    SecondFactorRemoved,
}

impl Notice {
    const ALL: [Self; 3] = [
        Self::PasswordChanged,
        Self::SecondFactorAdded,
        Self::SecondFactorRemoved,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordChanged => "password_changed",
            Self::SecondFactorAdded => "second_factor_added",
            Self::SecondFactorRemoved => "second_factor_removed",
        }
    }
}

/// Writes down that a mail with a link is to be sent.
pub(crate) async fn post(
    work: &mut Work,
    purpose: Purpose,
    recipient: &Email,
    about: Option<Uuid>,
) -> Result<()> {
    write(work, purpose.as_str(), recipient.as_str(), about).await
}

/// Writes down that a member is to be told something.
pub(crate) async fn tell(work: &mut Work, notice: Notice, recipient: &str) -> Result<()> {
    write(work, notice.as_str(), recipient, None).await
}

/// Writes down that whoever may change a webhook is to be told that it was switched off.
pub(crate) async fn warn(work: &mut Work, webhook: WebhookId) -> Result<()> {
    let recipients: Vec<String> = sqlx::query_scalar(
        "select distinct p.name from heddle.principals p \
         join heddle.role_bindings b on b.org_id = p.org_id and b.principal_id = p.id \
         where p.kind = 'member' and p.deleted_at is null and b.mesh_id is null and b.role in ('owner', 'admin') order by p.name",
    )
    .fetch_all(work.conn())
    .await?;
    for recipient in recipients {
        write(work, WEBHOOK_DISABLED, &recipient, Some(webhook.uuid())).await?;
    }
    Ok(())
}

async fn write(work: &mut Work, kind: &str, recipient: &str, about: Option<Uuid>) -> Result<()> {
    let (id, now, org) = (work.next_id(), work.now(), work.org().uuid());
    sqlx::query("delete from heddle.mails where created_at < $1")
        .bind(now - REMEMBER)
        .execute(work.conn())
        .await?;
    sqlx::query(
        "insert into heddle.mails (org_id, id, kind, recipient, about, created_at) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(org)
    .bind(id)
    .bind(kind)
    .bind(recipient)
    .bind(about)
    .bind(now)
    .execute(work.conn())
    .await?;
    sqlx::query(
        "insert into heddle.mail_turns (mail_id, whose, created_at, due_at, tries) values ($1, $2, $3, $3, 0)",
    )
    .bind(id)
    .bind(org)
    .bind(now)
    .execute(work.conn())
    .await?;
    Ok(())
}

/// A mail that this server is to send now.
#[derive(Debug)]
pub struct Turn {
    mail: Uuid,
    org: OrgId,
    written_at: DateTime<Utc>,
    tries: i32,
}

impl Turn {
    /// Which mail.
    #[must_use]
    pub fn mail(&self) -> MailId {
        MailId::from_uuid(self.mail)
    }

    /// Whose.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// How often it was tried before.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries.unsigned_abs().saturating_sub(1)
    }
}

/// What a mail says.
#[derive(Debug)]
pub struct Letter {
    /// Whom it is for.
    pub to: Email,
    /// The name of the organisation.
    pub org: Name,
    /// What it is about.
    pub about: About,
}

/// A link that lets in whoever has it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its secret. Drawn for this letter, and kept nowhere.
    pub secret: SecretString,
    /// Until when it works.
    pub expires_at: DateTime<Utc>,
}

/// What a mail is about.
#[derive(Debug, Clone)]
pub enum About {
    /// A member sets a password anew.
    PasswordReset(Link),
    /// Somebody becomes a member.
    Invitation {
        /// The role in the organisation.
        role: Role,
        /// Where that is accepted.
        link: Link,
    },
    /// A webhook was switched off.
    WebhookDisabled {
        /// Which one.
        webhook: Name,
        /// Why.
        why: Disabled,
        /// When.
        at: DateTime<Utc>,
    },
    /// Something was done about how a member signs in.
    Notice {
        /// What.
        what: Notice,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What became of a mail that could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// It is tried again at this time.
    Until(DateTime<Utc>),
    /// Nobody tries any more.
    GivenUp,
}

/// Takes the turn of a mail that is due. Nobody else takes it for two minutes.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn take(store: &Store) -> Result<Option<Turn>> {
    let now = store.clock().now();
    let row: Option<(Uuid, Uuid, DateTime<Utc>, i32)> = sqlx::query_as(
        "update heddle.mail_turns set due_at = $1 + $2, tries = tries + 1 \
         where mail_id = (select mail_id from heddle.mail_turns where due_at <= $1 \
                          order by due_at limit 1 for update skip locked) \
         returning mail_id, whose, created_at, tries",
    )
    .bind(now)
    .bind(LEASE)
    .fetch_optional(store.pool())
    .await?;
    Ok(row.map(|(mail, whose, written_at, tries)| Turn {
        mail,
        org: OrgId::from_uuid(whose),
        written_at,
        tries,
    }))
}

/// Says what the mail is to say, with a link that works from now on. `None`: there is nobody or nothing left that it is for, and its
/// turn is over.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn open(store: &Store, turn: &Turn) -> Result<Option<Letter>> {
    let mut work = store.work(turn.org, ACTOR, Mode::Write).await?;
    let row: Option<(String, String, Option<Uuid>, String)> = sqlx::query_as(
        "select m.kind, m.recipient, m.about, o.name from heddle.mails m join heddle.orgs o on o.org_id = m.org_id \
         where m.id = $1 and m.sent_at is null and m.failed_at is null",
    )
    .bind(turn.mail)
    .fetch_optional(work.conn())
    .await?;
    let mut letter = None;
    if let Some((kind, recipient, about, org)) = row {
        let bad = |column, reason: String| inconsistent("mails", column, turn.mail(), reason);
        let to: Email = recipient
            .parse()
            .map_err(|e: heddle_model::email::ParseEmailError| bad("recipient", e.to_string()))?;
        let org = org
            .parse()
            .map_err(|e| inconsistent("orgs", "name", turn.org, e))?;
        let notice = Notice::ALL.into_iter().find(|one| one.as_str() == kind);
        let about = if let Some(what) = notice {
            let at = turn.written_at;
            Some(About::Notice { what, at })
        } else if kind == WEBHOOK_DISABLED {
            let id = about.ok_or_else(|| bad("about", "a webhook without one".to_owned()))?;
            let found = webhooks::disabled(&mut work, WebhookId::from_uuid(id)).await?;
            found.map(|(webhook, why)| {
                let at = turn.written_at;
                About::WebhookDisabled { webhook, why, at }
            })
        } else if kind == Purpose::PasswordReset.as_str() {
            // Where no server could send any for days, nobody wants to hear of it any more.
            let drawn = match work.now() - turn.written_at {
                age if age <= PATIENCE + LATE => password_resets::draw(&mut work, &to).await?,
                _ => None,
            };
            drawn.map(|(secret, expires_at)| About::PasswordReset(Link { secret, expires_at }))
        } else {
            let id = about.ok_or_else(|| bad("about", "an invitation without one".to_owned()))?;
            let drawn = invitations::draw(&mut work, InvitationId::from_uuid(id)).await?;
            drawn.map(|(secret, expires_at, role)| {
                let link = Link { secret, expires_at };
                About::Invitation { role, link }
            })
        };
        letter = about.map(|about| Letter { to, org, about });
    }
    work.commit().await?;
    if letter.is_none() {
        end(store, turn).await?;
    }
    Ok(letter)
}

/// The mail was sent.
///
/// # Errors
/// [`crate::Error::Unavailable`]: it will be sent once more.
pub async fn sent(store: &Store, turn: &Turn) -> Result<()> {
    let mut work = store.work(turn.org, ACTOR, Mode::Write).await?;
    let now = work.now();
    // What was given up meanwhile stays given up: the audit log says so.
    sqlx::query(
        "update heddle.mails set sent_at = $2 where id = $1 and sent_at is null and failed_at is null",
    )
    .bind(turn.mail)
    .bind(now)
    .execute(work.conn())
    .await?;
    work.commit().await?;
    end(store, turn).await
}

/// The mail could not be sent: it is tried again, later and later, for a day.
///
/// # Errors
/// [`crate::Error::Unavailable`]: it is tried again after two minutes.
pub async fn failed(store: &Store, turn: &Turn, why: &str) -> Result<Unsent> {
    let now = store.clock().now();
    if now - turn.written_at < PATIENCE {
        let wait = SOON * 2_i32.pow(turn.tries().min(9));
        let due = now + wait.min(LATE);
        sqlx::query("update heddle.mail_turns set due_at = $2 where mail_id = $1")
            .bind(turn.mail)
            .bind(due)
            .execute(store.pool())
            .await?;
        return Ok(Unsent::Until(due));
    }
    let mut work = store.work(turn.org, ACTOR, Mode::Write).await?;
    let now = work.now();
    let row: Option<(String, String)> = sqlx::query_as(
        "update heddle.mails set failed_at = $2 where id = $1 and sent_at is null and failed_at is null returning kind, recipient",
    )
    .bind(turn.mail)
    .bind(now)
    .fetch_optional(work.conn())
    .await?;
    if let Some((kind, recipient)) = row {
        let plain = why.chars().filter(|c| !c.is_control());
        let why: String = plain.take(REASON).collect();
        let after = json!({"about": kind, "tries": turn.tries, "reason": why});
        work.record_refused(&Change {
            mesh: None,
            revision: None,
            action: "send",
            kind: "mail",
            id: turn.mail,
            name: &recipient,
            before: None,
            after: after.as_object(),
        });
    }
    work.commit().await?;
    end(store, turn).await?;
    Ok(Unsent::GivenUp)
}

/// Forgets mail that nobody has sent for so long that nobody remembers what it was about.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn forget(store: &Store) -> Result<()> {
    sqlx::query("delete from heddle.mail_turns where created_at < $1")
        .bind(store.clock().now() - REMEMBER)
        .execute(store.pool())
        .await?;
    Ok(())
}

async fn end(store: &Store, turn: &Turn) -> Result<()> {
    sqlx::query("delete from heddle.mail_turns where mail_id = $1")
        .bind(turn.mail)
        .execute(store.pool())
        .await?;
    Ok(())
}
