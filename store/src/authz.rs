//! Who is calling, what they were granted, and which mesh is meant: the three proofs that open the database.

mod door;

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use heddle_model::authz::{Permission, Role};
use heddle_model::id::{MemberId, MeshId, OrgId, ServiceAccountId, SessionId, TokenId};
use heddle_model::name::Name;
use uuid::Uuid;

use crate::origin::{Digest, Note, Origin};
use crate::rights::{Reach, Rights, Standing};

pub use door::Opened;
pub(crate) use door::{Door, Holder, Presented};

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

/// Whoever holds a valid credential. Only [`crate::Store::authenticate`],
/// [`crate::Store::authenticate_reading`], [`crate::Store::look`] and [`crate::Store::enter`] make one.
#[derive(Debug, Clone)]
pub struct Caller {
    org: OrgId,
    org_name: Name,
    credential: Credential,
    digest: Option<Digest>,
    /// The name of the token, the e-mail address of whoever signed in.
    credential_name: String,
    principal: Option<Principal>,
    principal_name: Option<String>,
    rights: Rights,
    last_used_at: Option<DateTime<Utc>>,
    lacks_second_factor: bool,
    lacks_sso: bool,
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
    /// The organisation asks its members for a second factor, and the caller is a member who has none.
    #[error("the organisation asks for a second factor")]
    SecondFactor,
    /// The organisation asks its members to sign in by its provider, and the session began with a password.
    #[error("the organisation asks to sign in by its provider")]
    Sso,
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

    /// Whether the caller is a member without the second factor that the organisation asks for: there is nothing that it may do but
    /// set one up.
    #[must_use]
    pub fn lacks_second_factor(&self) -> bool {
        self.lacks_second_factor
    }

    /// Whether the session began with a password where the organisation asks its members to sign in by its provider: there is nothing
    /// that it may do but link an account there.
    #[must_use]
    pub fn lacks_sso(&self) -> bool {
        self.lacks_sso
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
        let grant = self.grant_to_enrol(org)?;
        if self.lacks_second_factor {
            return Err(Denied::SecondFactor);
        }
        if self.lacks_sso {
            return Err(Denied::Sso);
        }
        Ok(grant)
    }

    /// The same also for a member without the second factor that the organisation asks for, or whose session is not of its provider: for
    /// what sets one up, links an account, and signs out.
    ///
    /// # Errors
    /// [`Denied`], but neither [`Denied::SecondFactor`] nor [`Denied::Sso`].
    pub fn grant_to_enrol<P: Permission>(&self, org: &str) -> Result<Grant<P>, Denied> {
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
        grant.origin.digest.clone_from(&self.digest);
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
