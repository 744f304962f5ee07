//! Who it is that came back: a member who is linked, or somebody who was invited.

use heddle_model::id::MemberId;
use secrecy::SecretString;
use uuid::Uuid;

use super::{Taken, Vouched};
use crate::error::Result;
use crate::identities;
use crate::invitations;
use crate::origin::Visitor;
use crate::second_factors;
use crate::session_keys::{self, KeySealer};
use crate::sessions::{self, Beginning, Known, Step};
use crate::store::Store;
use crate::tx::{Mode, Work};

/// How such a session begins.
const METHOD: &str = "sso";

/// Why somebody whom a provider vouches for is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotLetIn {
    /// No member is linked with them.
    #[error("no member is linked with this account")]
    Unlinked,
    /// They have an invitation that leads to nothing.
    #[error(transparent)]
    Invitation(#[from] invitations::Refused),
    /// They were invited, and are linked with a member already.
    #[error("a member is linked with this account already")]
    Linked,
}

/// Lets whomever a provider vouches for in: the member that is linked with them, or with an invitation the member that it makes. Whoever has a
/// second factor is asked for it as well.
///
/// # Errors
/// [`Error::AlreadyExists`] with `principals_name_key` when there is a member with the address of the invitation by now; [`Error::Signer`],
/// [`Error::Unavailable`].
pub async fn enter(
    store: &Store,
    sealer: &dyn KeySealer,
    taken: &Taken,
    (vouched, invitation): (&Vouched<'_>, Option<&SecretString>),
    from: &Visitor<'_>,
) -> Result<std::result::Result<Step, NotLetIn>> {
    let signing = session_keys::signing(store, sealer).await?;
    let invited = match invitation {
        Some(secret) => match invitations::by_link(store, (taken.org, secret), from).await? {
            Ok(invited) => Some((invited, secret)),
            Err(refused) => return Ok(Err(refused.into())),
        },
        None => None,
    };
    let found = member_of(store, taken, vouched).await?;
    let actor = match (&found, &invited) {
        (Some((member, email)), _) => format!("{} ({email})", MemberId::from_uuid(*member)),
        (None, Some((invited, _))) => format!("{} ({})", invited.id, invited.email),
        (None, None) => return Ok(Err(NotLetIn::Unlinked)),
    };
    let mut work = store.work(taken.org, &actor, Mode::Write).await?;
    work.set_client(from.client);
    work.set_ip(from.ip);
    let (member, email) = match (found, invited) {
        (Some(_), Some(_)) => return Ok(Err(NotLetIn::Linked)),
        // Once more, under the lock of the member's row: whoever adds a second factor now waits, and ends the session that is begun here.
        (Some(_), None) => match used(&mut work, taken, vouched).await? {
            Some(member) => member,
            None => return Ok(Err(NotLetIn::Unlinked)),
        },
        (None, Some((invited, secret))) => {
            let made = invitations::accept_in(&mut work, (&invited, secret), vouched.name, None);
            let row = match made.await? {
                Ok(row) => row,
                Err(refused) => return Ok(Err(refused.into())),
            };
            let member = MemberId::from_uuid(row.id.uuid());
            identities::insert(&mut work, taken, (member, &row.name), vouched).await?;
            (row.id.uuid(), row.name)
        }
        (None, None) => return Ok(Err(NotLetIn::Unlinked)),
    };
    let known = Known {
        org: taken.org,
        org_name: taken.org_name.clone(),
        member,
        email,
        hash: None,
    };
    let step = if second_factors::has(&mut work, member).await? {
        Step::SecondFactor(sessions::draw_challenge(&mut work, member, METHOD).await?)
    } else {
        let how = Beginning {
            connection: Some(taken.connection.name.as_str()),
            authenticated_at: vouched.authenticated_at,
            ..Beginning::by(METHOD)
        };
        Step::In(sessions::begin(&mut work, &signing, &known, &how).await?)
    };
    work.commit().await?;
    Ok(Ok(step))
}

const LINKED: &str = "select p.id, p.name from heddle.identities i \
                      join heddle.principals p on p.org_id = i.org_id and p.id = i.principal_id \
                      where i.connection_id = $1 and i.subject = $2 and p.deleted_at is null";

/// The member who is linked with whomever a provider vouches for.
async fn member_of(
    store: &Store,
    taken: &Taken,
    vouched: &Vouched<'_>,
) -> Result<Option<(Uuid, String)>> {
    let mut work = store.work(taken.org, "sign-in", Mode::Read).await?;
    let member = sqlx::query_as(LINKED)
        .bind(taken.connection.id.uuid())
        .bind(vouched.subject)
        .fetch_optional(work.conn())
        .await?;
    Ok(member)
}

/// The same, locked; and it is noted that they came.
async fn used(
    work: &mut Work,
    taken: &Taken,
    vouched: &Vouched<'_>,
) -> Result<Option<(Uuid, String)>> {
    let member: Option<(Uuid, String)> = sqlx::query_as(&format!("{LINKED} for share of p"))
        .bind(taken.connection.id.uuid())
        .bind(vouched.subject)
        .fetch_optional(work.conn())
        .await?;
    let Some(member) = member else {
        return Ok(None);
    };
    let now = work.now();
    let done = sqlx::query(
        "update heddle.identities set last_used_at = $3, email = $4 where connection_id = $1 and subject = $2",
    )
    .bind(taken.connection.id.uuid())
    .bind(vouched.subject)
    .bind(now)
    .bind(vouched.email)
    .execute(work.conn())
    .await?;
    Ok((done.rows_affected() > 0).then_some(member))
}
