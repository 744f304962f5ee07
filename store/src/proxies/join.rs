//! From a join token to a bound proxy: the only entry for one.

mod batch;
mod holders;

use std::sync::Arc;
use std::time::Duration;

use heddle_model::authz::Action;
use heddle_model::authz::permission::BootstrapRead;
use heddle_model::id::{JoinTokenId, MeshId, OrgId, ProxyId};
use heddle_model::name::Name;

use super::admission::Arrival;
use crate::authz::{Door, Grant, Holder, MeshRef};
use crate::error::{Result, inconsistent};
use crate::gather::Gather;
use crate::live::Heads;
use crate::rights::Standing;
use crate::secret;
use crate::store::Store;
use crate::tx::Mode;
use batch::Ask;
use holders::Holders;

/// How long a token that was good counts as good where that decides nothing but whether somebody is listened to.
const LISTENED: Duration = Duration::from_secs(1);

/// Who a proxy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its mesh.
    pub mesh: MeshRef,
    /// The name of that mesh.
    pub mesh_name: Name,
    /// The SPIFFE trust domain of that mesh, without the scheme.
    pub trust_domain: String,
    /// The name of the organisation.
    pub org_name: Name,
    /// The service that it stands in front of.
    pub service: Name,
    /// Its identifier.
    pub proxy: ProxyId,
    /// What it is bound to.
    pub join_token: JoinTokenId,
    /// How far its mesh was when it came: whatever it was shown before, by this server or another, is no newer.
    pub heads: Heads,
}

/// Why a proxy may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// No such token, or it was revoked, or its mesh deleted.
    #[error("unknown join token")]
    Unknown,
    /// It expired before this proxy joined.
    #[error("expired join token")]
    Expired,
    /// It is for one proxy, and another one was faster.
    #[error("join token is used")]
    Used,
    /// The service was deleted.
    #[error("the join token's service does not exist")]
    ServiceGone,
    /// The proxy, or its service, is revoked.
    #[error("the identity is revoked")]
    Revoked,
    /// The token is for other networks than the one that the proxy comes from.
    #[error("the join token is for other networks")]
    Elsewhere,
    /// A connected proxy of the service has this node id by another token.
    #[error("the node id belongs to another proxy")]
    NodeTaken,
    /// Its release of Envoy would misread what it is sent. Whoever reads the node says so, before anything is looked up.
    #[error("the release of Envoy is too old")]
    EnvoyTooOld,
    /// The organisation has as many proxies as it may have, and this one is new.
    #[error("the organisation has as many proxies as it may have")]
    LimitReached,
    /// It takes itself for a proxy of a service that the token is not for.
    #[error("the join token is for another service")]
    OtherService,
}

/// What a process keeps for those who join: joins of a mesh that come at the same time share a transaction.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    holders: Holders,
    gather: Gather<(OrgId, MeshId), Ask, std::result::Result<Joined, JoinRefused>>,
}

/// What a join token is for: what its holder may know without being a proxy yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinScope {
    /// The organisation.
    pub org: OrgId,
    /// Its name.
    pub org_name: Name,
    /// The mesh.
    pub mesh: MeshRef,
    /// Its name.
    pub mesh_name: Name,
    /// Its SPIFFE trust domain, without the scheme.
    pub trust_domain: String,
    /// The service.
    pub service: Name,
    /// The token.
    pub token: JoinTokenId,
    /// Whether the service is revoked: then it is for nothing.
    pub revoked: bool,
}

impl JoinScope {
    /// The one thing that a join token grants beyond joining: rendering the bootstrap of its own service, in its own mesh.
    /// The caller must keep to [`JoinScope::service`].
    #[must_use]
    pub fn grant(&self) -> Grant<BootstrapRead> {
        let standing = Standing::of_mesh(Action::BootstrapRead, self.mesh.mesh());
        Grant::new(self.org, self.token.to_string(), standing)
    }
}

/// Verifies a join token, binds the node id to it at first use, and says who the proxy is.
///
/// One transaction, shared with those of the mesh that come at the same time. Of any number of concurrent first joins with a one-off
/// token exactly one is bound: they queue for its row. A bound proxy comes back with the same token, expired or not, until it
/// is revoked.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn join(
    store: &Store,
    secret: &str,
    arrival: Arrival<'_>,
) -> Result<std::result::Result<Joined, JoinRefused>> {
    let Some(held) = held(store, secret).await? else {
        return Ok(Err(JoinRefused::Unknown));
    };
    let key = (held.org, held.mesh);
    let ask = Ask {
        held,
        node_id: arrival.node_id.to_owned(),
        from: arrival.from,
        claimed: arrival.claimed.map(ToOwned::to_owned),
    };
    let of = store.clone();
    let joined = store.joins().gather.ask(key, ask, move |asks| {
        let store = of.clone();
        async move { batch::join(&store, key.0, key.1, &asks).await }
    });
    joined.await
}

/// What keeps somebody who presents a join token from being listened to, if anything does. May be a second old; whoever joins is asked
/// about again.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn bars(store: &Store, secret: &str) -> Result<Option<JoinRefused>> {
    let holders = &store.joins().holders;
    let digest = secret::digest(secret);
    if holders.was_good(&digest, LISTENED) {
        return Ok(None);
    }
    Ok(match token_scope(store, secret).await? {
        Some(scope) if !scope.revoked => {
            holders.is_good(&digest);
            None
        }
        Some(_) => Some(JoinRefused::Revoked),
        None => Some(JoinRefused::Unknown),
    })
}

/// Says what a join token is for, without using it up; `None` when it is unknown, revoked, or expired without ever
/// having been used.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn token_scope(store: &Store, secret: &str) -> Result<Option<JoinScope>> {
    let Some(held) = held(store, secret).await? else {
        return Ok(None);
    };
    let (org, token) = (held.org, held.token);
    let mut work = store.work(org, &token.to_string(), Mode::Read).await?;
    let now = work.now();
    let found = batch::look(&mut work, &[(token, "")]).await?.pop();
    let Some(found) = found.flatten() else {
        return Ok(None);
    };
    if found.is_expired(now) && found.first_used_at.is_none() {
        return Ok(None);
    }
    Ok(Some(JoinScope {
        org,
        org_name: held.org_name.clone(),
        mesh: MeshRef::new(org, held.mesh),
        mesh_name: name("meshes", "name", token, &found.mesh_name)?,
        service: name("join_tokens", "service", token, &found.service)?,
        trust_domain: found.trust_domain,
        token,
        revoked: found.revoked,
    }))
}

/// What never changes about a join token, and so need not be asked twice. Whether it is good is no part of it.
#[derive(Debug, Clone)]
struct Held {
    org: OrgId,
    org_name: Name,
    mesh: MeshId,
    token: JoinTokenId,
}

async fn held(store: &Store, secret: &str) -> Result<Option<Arc<Held>>> {
    let digest = secret::digest(secret);
    if let Some(held) = store.joins().holders.get(&digest) {
        return Ok(Some(held));
    }
    let Some(holder) = holder_of(store, secret).await? else {
        return Ok(None);
    };
    let (Some(token), Some(mesh), None) = (holder.id, holder.mesh_id, holder.revoked_at) else {
        return Ok(None);
    };
    let held = Arc::new(Held {
        org: OrgId::from_uuid(holder.org_id),
        org_name: org_name(&holder)?,
        mesh: MeshId::from_uuid(mesh),
        token: JoinTokenId::from_uuid(token),
    });
    store.joins().holders.put(digest, held.clone());
    Ok(Some(held))
}

/// Whose a join token is or was, also when it is revoked.
pub(super) async fn holder_of(store: &Store, secret: &str) -> Result<Option<Holder>> {
    if secret::kind_of(secret) != Some(secret::Kind::Join) {
        return Ok(None);
    }
    store.door(Door::Join, &secret::digest(secret)).await
}

fn org_name(holder: &Holder) -> Result<Name> {
    let org = OrgId::from_uuid(holder.org_id);
    let name = holder.org_name.parse();
    name.map_err(|e| inconsistent("orgs", "name", org, e))
}

fn name(table: &'static str, column: &'static str, token: JoinTokenId, text: &str) -> Result<Name> {
    text.parse()
        .map_err(|e| inconsistent(table, column, token, e))
}
