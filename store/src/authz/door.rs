//! The first door: from a credential to whoever holds it, before any organisation is known.

use chrono::{DateTime, Utc};
use heddle_model::id::{MemberId, MeshId, OrgId, ServiceAccountId, SessionId, TokenId};
use sqlx::{Executor as _, FromRow as _};
use uuid::Uuid;

use super::{Caller, Credential, Principal};
use crate::error::{Result, inconsistent, is_broken};
use crate::lease::Lease;
use crate::origin::Digest;
use crate::rights::{self, Bound, Facts, Rights};
use crate::secret;
use crate::session_keys::{self, Claimed};
use crate::store::Store;

/// What the first door says about a credential.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Holder {
    pub(crate) org_id: Uuid,
    pub(crate) org_name: String,
    pub(crate) id: Option<Uuid>,
    pub(crate) name: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) mesh_id: Option<Uuid>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    pub(crate) facts: Option<sqlx::types::Json<Facts>>,
}

/// Which kind of credential the first door is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    Api,
    Join,
    OrgName,
    Session,
    Refresh,
    Device,
}

impl Door {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Join => "join",
            Self::OrgName => "org_name",
            Self::Session => "session",
            Self::Refresh => "refresh",
            Self::Device => "device",
        }
    }
}

/// A credential in the form that the first door takes.
pub(crate) struct Presented {
    pub(crate) door: Door,
    pub(crate) credential: Vec<u8>,
    pub(crate) claimed: Option<Claimed>,
}

/// A transaction that has begun in the organisation of a caller and may only read. Made by [`Store::authenticate_reading`] alone;
/// of use only with a grant of the same organisation.
pub struct Opened {
    lease: Lease,
    org: OrgId,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("org", &self.org)
            .finish_non_exhaustive()
    }
}

impl Opened {
    pub(crate) fn into_parts(self) -> (Lease, OrgId) {
        (self.lease, self.org)
    }
}

impl Store {
    /// Turns an API token or the token of a session into its holder. A malformed one never reaches the database; an unknown,
    /// expired or revoked one is `None`. One question to the database either way.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when the database cannot be asked.
    pub async fn authenticate(&self, bearer: &str) -> Result<Option<Caller>> {
        let Some(presented) = self.presented(bearer).await? else {
            return Ok(None);
        };
        let holder = self.door(presented.door, &presented.credential).await?;
        self.judge(holder, presented)
    }

    /// [`Self::authenticate`] for a request that only reads: the question is the first one of the very transaction that the
    /// caller goes on to read in, see [`Store::go_on`]. That is one connection, and two messages less.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when the database cannot be asked.
    pub async fn authenticate_reading(&self, bearer: &str) -> Result<Option<(Caller, Opened)>> {
        let Some(presented) = self.presented(bearer).await? else {
            return Ok(None);
        };
        // Names and digests of ours, so that it can be one message. The caller's row decides whose transaction it becomes.
        let sql = format!(
            "begin read only; \
             select d.*, set_config('role', 'heddle_tenant', true), \
                    set_config('heddle.org_id', d.org_id::text, true) \
             from heddle.authenticate('{}', '\\x{}') d limit 1",
            presented.door.name(),
            hex::encode(&presented.credential)
        );
        let mut left = self.tries();
        let (lease, row) = loop {
            let mut lease = Lease::take(self.pool()).await?;
            match lease.fetch_optional(sql.as_str()).await {
                // It died since it was last used, and to ask changes nothing.
                Err(error) if left > 0 && is_broken(&error) => left -= 1,
                row => break (lease, row?),
            }
        };
        let holder = row.map(|row| Holder::from_row(&row)).transpose()?;
        let caller = self.judge(holder, presented)?;
        Ok(caller.map(|caller| {
            let org = caller.org;
            (caller, Opened { lease, org })
        }))
    }

    /// What the first door is to be asked about a bearer token; nothing when it cannot be one that works.
    pub(crate) async fn presented(&self, bearer: &str) -> Result<Option<Presented>> {
        use secret::Kind;
        Ok(match secret::kind_of(bearer) {
            Some(Kind::Personal | Kind::Service) => Some(Presented {
                door: Door::Api,
                credential: secret::digest(bearer),
                claimed: None,
            }),
            Some(
                Kind::Join
                | Kind::Device
                | Kind::Reset
                | Kind::Invitation
                | Kind::Challenge
                | Kind::SsoSignIn,
            ) => None,
            None => session_keys::verify(self, bearer).await?.map(|claimed| {
                let (org, session) = (claimed.org.uuid(), claimed.session.uuid());
                Presented {
                    door: Door::Session,
                    credential: [org.as_bytes().as_slice(), session.as_bytes()].concat(),
                    claimed: Some(claimed),
                }
            }),
        })
    }

    /// Whether what the door said still holds, and is what the token claimed.
    pub(crate) fn judge(
        &self,
        holder: Option<Holder>,
        presented: Presented,
    ) -> Result<Option<Caller>> {
        let Some(holder) = holder else {
            return Ok(None);
        };
        let now = self.clock().now();
        if holder.revoked_at.is_some() || holder.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        let claimed = presented.claimed;
        let session = claimed.as_ref().map(|claimed| claimed.session);
        let mut caller = caller(holder, session)?;
        caller.digest = session.is_none().then_some(Digest(presented.credential));
        let member = claimed.map(|claimed| Principal::Member(claimed.member));
        Ok(Some(caller).filter(|caller| member.is_none() || caller.principal == member))
    }

    pub(crate) async fn door(&self, door: Door, credential: &[u8]) -> Result<Option<Holder>> {
        let mut left = self.tries();
        loop {
            let mut lease = Lease::take(self.pool()).await?;
            let holder = sqlx::query_as("select * from heddle.authenticate($1, $2)")
                .bind(door.name())
                .bind(credential)
                .fetch_optional(&mut *lease)
                .await;
            match holder {
                // It died since it was last used, and to ask changes nothing.
                Err(error) if left > 0 && is_broken(&error) => left -= 1,
                Err(error) => return Err(error.into()),
                Ok(holder) => {
                    lease.finish();
                    return Ok(holder);
                }
            }
        }
    }
}

fn caller(holder: Holder, session: Option<SessionId>) -> Result<Caller> {
    let id = holder.id.unwrap_or_default();
    let bad =
        |column, reason: String| inconsistent("tokens", column, TokenId::from_uuid(id), reason);
    let facts = holder.facts.map(|facts| facts.0).unwrap_or_default();
    let bad_role = |e: heddle_model::authz::UnknownRole| bad("role", e.to_string());
    let mut bound = Vec::new();
    if let Some(role) = &holder.role {
        let role = role.parse().map_err(bad_role)?;
        bound.push(Bound { role, mesh: None });
    }
    for binding in facts.bindings.iter().flatten() {
        bound.push(binding.bound().map_err(bad_role)?);
    }
    let scopes = facts.scopes.as_deref().map(rights::scopes);
    let meshes = facts
        .meshes
        .map(|meshes| meshes.into_iter().map(MeshId::from_uuid).collect());
    let principal = match (facts.principal, facts.kind.as_deref()) {
        (Some(id), Some("member")) => Some(Principal::Member(MemberId::from_uuid(id))),
        (Some(id), Some(_)) => Some(Principal::ServiceAccount(ServiceAccountId::from_uuid(id))),
        _ => None,
    };
    Ok(Caller {
        org: OrgId::from_uuid(holder.org_id),
        org_name: holder
            .org_name
            .parse()
            .map_err(|e| inconsistent("orgs", "name", OrgId::from_uuid(holder.org_id), e))?,
        credential: match session {
            None => Credential::Token(TokenId::from_uuid(id)),
            Some(session) => Credential::Session(session),
        },
        digest: None,
        credential_name: holder.name.unwrap_or_default(),
        principal,
        principal_name: facts.name,
        rights: Rights::new(bound, scopes, meshes),
        last_used_at: facts.last_used_at,
        lacks_second_factor: facts.lacks_second_factor.unwrap_or(false),
        lacks_sso: facts.lacks_sso.unwrap_or(false),
    })
}
