//! Who is calling, what they were granted, and which mesh is meant: the three proofs that open the database.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use heddle_model::authz::{Permission, Role};
use heddle_model::id::{MemberId, MeshId, OrgId, ServiceAccountId, SessionId, TokenId};
use heddle_model::name::Name;
use sqlx::{Executor as _, FromRow as _};
use uuid::Uuid;

use crate::error::{Result, inconsistent, is_broken};
use crate::lease::Lease;
use crate::origin::{Note, Origin};
use crate::rights::{self, Bound, Facts, Reach, Rights, Standing};
use crate::secret;
use crate::session_keys::{self, Claimed};
use crate::store::Store;

/// Whose credential it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A person.
    Member(MemberId),
    /// A program.
    ServiceAccount(ServiceAccountId),
}

impl Principal {
    /// The stored form.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Member(id) => id.uuid(),
            Self::ServiceAccount(id) => id.uuid(),
        }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Member(id) => id.fmt(f),
            Self::ServiceAccount(id) => id.fmt(f),
        }
    }
}

/// What a caller presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credential {
    Token(TokenId),
    Session(SessionId),
}

/// Whoever holds a valid credential. Only [`Store::authenticate`] and [`Store::authenticate_reading`] make one.
#[derive(Debug, Clone)]
pub struct Caller {
    org: OrgId,
    org_name: Name,
    credential: Credential,
    /// The name of the token, the e-mail address of whoever signed in.
    credential_name: String,
    principal: Option<Principal>,
    principal_name: Option<String>,
    rights: Rights,
    last_used_at: Option<DateTime<Utc>>,
}

/// Why a caller does not get a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no such organisation, or it is not the caller's: the two look the same.
    #[error("no such organisation")]
    NotFound,
    /// It is the caller's organisation, but nothing that the caller has permits this anywhere in it.
    #[error("the permission {scope} is missing")]
    Forbidden {
        /// The permission that is missing, as the API names it.
        scope: &'static str,
    },
}

impl Caller {
    /// The caller's organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// The name of the caller's organisation.
    #[must_use]
    pub fn org_name(&self) -> &Name {
        &self.org_name
    }

    /// The strongest role that the caller has in the whole organisation.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        let everywhere = self.rights.bound().iter().filter(|b| b.mesh.is_none());
        everywhere.map(|b| b.role).min()
    }

    /// What the caller may do, where.
    #[must_use]
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// The member or service account; `None` for a token that belongs to nobody.
    #[must_use]
    pub fn principal(&self) -> Option<Principal> {
        self.principal
    }

    /// A member's e-mail address, a service account's name.
    #[must_use]
    pub fn principal_name(&self) -> Option<&str> {
        self.principal_name.as_deref()
    }

    /// When the credential was last seen in use, exact to about a minute.
    #[must_use]
    pub fn last_used_at(&self) -> Option<DateTime<Utc>> {
        self.last_used_at
    }

    /// The API token that the caller presented; `None` for a session.
    #[must_use]
    pub fn token(&self) -> Option<TokenId> {
        match self.credential {
            Credential::Token(id) => Some(id),
            Credential::Session(_) => None,
        }
    }

    /// The session whose token the caller presented.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self.credential {
            Credential::Token(_) => None,
            Credential::Session(id) => Some(id),
        }
    }

    /// Who acted, as the audit log keeps it: a token's id and name, or a member's id and e-mail address.
    #[must_use]
    pub fn actor(&self) -> String {
        match (self.credential, self.principal) {
            (Credential::Session(_), Some(member)) => {
                format!("{member} ({})", self.credential_name)
            }
            (Credential::Session(id), None) => id.to_string(),
            (Credential::Token(id), _) => format!("{id} ({})", self.credential_name),
        }
    }

    /// Grants `P` in the organisation that a path names: its name, its id, or `-` for the caller's own.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn grant<P: Permission>(&self, org: &str) -> Result<Grant<P>, Denied> {
        let own = org == "-"
            || org == self.org_name.as_str()
            || org.parse::<OrgId>().is_ok_and(|id| id == self.org);
        if !own {
            return Err(Denied::NotFound);
        }
        let standing = Standing::new(P::ACTION, &self.rights);
        if standing.covers.is_empty() {
            return Err(Denied::Forbidden {
                scope: P::ACTION.scope(),
            });
        }
        let mut grant = Grant::new(self.org, self.actor(), standing);
        grant.origin.token = self.token();
        Ok(grant.of(self.principal, self.session()))
    }
}

/// The right to open a transaction for `P` in one organisation, there or at certain meshes: the transaction knows which, and
/// every function that is told a mesh asks it. Made by [`Caller::grant`], and for the one thing that a
/// join token may read by [`crate::proxies::JoinScope::grant`].
#[derive(Debug, Clone)]
pub struct Grant<P> {
    org: OrgId,
    actor: String,
    client: Option<String>,
    origin: Origin,
    principal: Option<Principal>,
    session: Option<SessionId>,
    standing: Arc<Standing>,
    permission: PhantomData<fn() -> P>,
}

/// A client that calls itself something longer is cut off here, in characters.
const CLIENT: usize = 200;

/// What a client calls itself, fit to be kept and shown.
pub(crate) fn plain_client(client: &str) -> String {
    let plain = client.chars().filter(|c| !c.is_control());
    plain.take(CLIENT).collect()
}

impl<P: Permission> Grant<P> {
    pub(crate) fn new(org: OrgId, actor: String, standing: Standing) -> Self {
        Self {
            org,
            actor,
            client: None,
            origin: Origin::default(),
            principal: None,
            session: None,
            standing: Arc::new(standing),
            permission: PhantomData,
        }
    }

    fn of(mut self, principal: Option<Principal>, session: Option<SessionId>) -> Self {
        self.principal = principal;
        self.session = session;
        self
    }

    /// Everything that the caller may do.
    #[must_use]
    pub fn rights(&self) -> &Rights {
        &self.standing.rights
    }

    /// Where it holds.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.standing.covers
    }

    /// Notes what the caller's client calls itself, for the audit log. Untrusted: cut off and without control characters.
    #[must_use]
    pub fn with_client(mut self, client: &str) -> Self {
        self.client = Some(plain_client(client));
        self
    }

    /// Notes what the caller says about its writes, for the history.
    #[must_use]
    pub fn with_note(mut self, note: Note) -> Self {
        self.origin.note = note;
        self
    }

    /// Notes the other end of the caller's connection, for the audit log.
    #[must_use]
    pub fn with_ip(mut self, ip: IpAddr) -> Self {
        self.origin.ip = Some(ip);
        self
    }

    /// The organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }

    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn principal(&self) -> Option<Principal> {
        self.principal
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Whoever uses the grant: the member or service account; for a token that belongs to nobody, the token.
    #[must_use]
    pub fn holder(&self) -> Uuid {
        let token = self.origin.token.map(TokenId::uuid);
        let principal = self.principal.map(Principal::uuid);
        principal.or(token).unwrap_or_else(|| self.org.uuid())
    }

    pub(crate) fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    pub(crate) fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }
}

/// A mesh of an organisation. Comes from the feed, from a join token or from a transaction, so that whoever holds one
/// was led to it by the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeshRef {
    org: OrgId,
    mesh: MeshId,
}

impl MeshRef {
    pub(crate) const fn new(org: OrgId, mesh: MeshId) -> Self {
        Self { org, mesh }
    }

    /// Whose it is.
    #[must_use]
    pub const fn org(&self) -> OrgId {
        self.org
    }

    /// The mesh.
    #[must_use]
    pub const fn mesh(&self) -> MeshId {
        self.mesh
    }
}

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
    const fn name(self) -> &'static str {
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
struct Presented {
    door: Door,
    credential: Vec<u8>,
    claimed: Option<Claimed>,
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
        self.judge(holder, presented.claimed)
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
        let caller = self.judge(holder, presented.claimed)?;
        Ok(caller.map(|caller| {
            let org = caller.org;
            (caller, Opened { lease, org })
        }))
    }

    /// What the first door is to be asked about a bearer token; nothing when it cannot be one that works.
    async fn presented(&self, bearer: &str) -> Result<Option<Presented>> {
        use secret::Kind;
        Ok(match secret::kind_of(bearer) {
            Some(Kind::Personal | Kind::Service) => Some(Presented {
                door: Door::Api,
                credential: secret::digest(bearer),
                claimed: None,
            }),
            Some(Kind::Join | Kind::Device) => None,
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
    fn judge(&self, holder: Option<Holder>, claimed: Option<Claimed>) -> Result<Option<Caller>> {
        let Some(holder) = holder else {
            return Ok(None);
        };
        let now = self.clock().now();
        if holder.revoked_at.is_some() || holder.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        let session = claimed.as_ref().map(|claimed| claimed.session);
        let caller = caller(holder, session)?;
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
        credential_name: holder.name.unwrap_or_default(),
        principal,
        principal_name: facts.name,
        rights: Rights::new(bound, scopes, meshes),
        last_used_at: facts.last_used_at,
    })
}
