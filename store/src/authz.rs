//! Who is calling, what they were granted, and which mesh is meant: the three proofs that open the database.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use heddle_model::authz::{Permission, Role, permits};
use heddle_model::id::{MeshId, OrgId, TokenId};
use heddle_model::name::Name;
use uuid::Uuid;

use crate::error::{Result, inconsistent};
use crate::secret;
use crate::store::Store;

/// Whoever holds a valid API token. Only [`Store::authenticate`] makes one.
#[derive(Debug, Clone)]
pub struct Caller {
    org: OrgId,
    org_name: Name,
    token: TokenId,
    token_name: Name,
    role: Role,
}

/// Why a caller does not get a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no such organisation, or it is not the caller's: the two look the same.
    #[error("no such organisation")]
    NotFound,
    /// It is the caller's organisation, but the role does not permit this.
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

    /// What the token may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The token that the caller presented.
    #[must_use]
    pub fn token(&self) -> TokenId {
        self.token
    }

    /// Who acted, as the audit log keeps it: the token's id and name.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{} ({})", self.token, self.token_name)
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
        if !permits(self.role, P::ACTION) {
            return Err(Denied::Forbidden {
                scope: P::ACTION.scope(),
            });
        }
        Ok(Grant::new(self.org, self.actor()))
    }
}

/// The right to open a transaction for `P` in one organisation. Made by [`Caller::grant`], and for the one thing that a
/// join token may read by [`crate::proxies::JoinScope::grant`].
#[derive(Debug, Clone)]
pub struct Grant<P> {
    org: OrgId,
    actor: String,
    client: Option<String>,
    permission: PhantomData<fn() -> P>,
}

/// A client that calls itself something longer is cut off here, in characters.
const CLIENT: usize = 200;

impl<P: Permission> Grant<P> {
    pub(crate) fn new(org: OrgId, actor: String) -> Self {
        Self {
            org,
            actor,
            client: None,
            permission: PhantomData,
        }
    }

    /// Notes what the caller's client calls itself, for the audit log. Untrusted: cut off and without control characters.
    #[must_use]
    pub fn with_client(mut self, client: &str) -> Self {
        let client = client.chars().filter(|c| !c.is_control()).take(CLIENT);
        self.client = Some(client.collect());
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
}

/// Which kind of credential the first door is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    Api,
    Join,
    OrgName,
}

impl Store {
    /// Turns an API token into its holder. A malformed one never reaches the database; an unknown, expired or revoked one
    /// is `None`.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when the database cannot be asked.
    pub async fn authenticate(&self, bearer: &str) -> Result<Option<Caller>> {
        use secret::Kind;
        if !matches!(
            secret::kind_of(bearer),
            Some(Kind::Personal | Kind::Service)
        ) {
            return Ok(None);
        }
        let Some(holder) = self.door(Door::Api, &secret::digest(bearer)).await? else {
            return Ok(None);
        };
        let now = self.clock().now();
        if holder.revoked_at.is_some() || holder.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        caller(holder).map(Some)
    }

    pub(crate) async fn door(&self, door: Door, credential: &[u8]) -> Result<Option<Holder>> {
        let kind = match door {
            Door::Api => "api",
            Door::Join => "join",
            Door::OrgName => "org_name",
        };
        let holder = sqlx::query_as("select * from heddle.authenticate($1, $2)")
            .bind(kind)
            .bind(credential)
            .fetch_optional(self.pool())
            .await?;
        Ok(holder)
    }
}

fn caller(holder: Holder) -> Result<Caller> {
    let id = holder.id.unwrap_or_default();
    let bad =
        |column, reason: String| inconsistent("tokens", column, TokenId::from_uuid(id), reason);
    let text = |value: Option<String>| value.unwrap_or_default();
    Ok(Caller {
        org: OrgId::from_uuid(holder.org_id),
        org_name: holder
            .org_name
            .parse()
            .map_err(|e| inconsistent("orgs", "name", OrgId::from_uuid(holder.org_id), e))?,
        token: TokenId::from_uuid(id),
        token_name: text(holder.name)
            .parse()
            .map_err(|e: heddle_model::name::ParseNameError| bad("name", e.to_string()))?,
        role: text(holder.role)
            .parse()
            .map_err(|e: heddle_model::authz::UnknownRole| bad("role", e.to_string()))?,
    })
}
