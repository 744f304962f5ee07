//! What a mesh's people learn of a proxy that was not let in: one row of the audit log, as long as there are not too many.

use std::net::IpAddr;

use chrono::TimeDelta;
use heddle_model::id::{JoinTokenId, MeshId, OrgId};
use serde_json::{Map, Value};

use super::join::{JoinRefused, holder_of};
use crate::allowance::{Allowance, Rate};
use crate::error::Result;
use crate::store::Store;
use crate::tx::{Change, Mode};

/// A proxy tries again every few seconds, for as long as nobody repairs it. One row an hour says so.
const SAME: Rate = Rate {
    burst: 1,
    every: TimeDelta::hours(1),
};
/// However many node ids somebody thinks up who holds a token that does not let them in.
const OF_TOKEN: Rate = Rate {
    burst: 20,
    every: TimeDelta::minutes(10),
};

/// Which refusals a process has written down already. Not together: who floods one of them must not empty the other.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    same: Allowance,
    of_token: Allowance,
}

/// Somebody who was not let in.
#[derive(Debug, Clone, Copy)]
pub struct Turned<'a> {
    /// Why; `None` when it was not even looked up which of them it is.
    pub why: Option<JoinRefused>,
    /// What the node called itself, when it came to that.
    pub node_id: Option<&'a str>,
    /// The service that it took itself for, when it was not the token's.
    pub service: Option<&'a str>,
    /// The other end of the connection.
    pub from: Option<IpAddr>,
}

/// Writes down that somebody with a join token was not let in, in the audit log of the token's mesh.
///
/// Says nothing of a secret that never was a token, because no mesh has lost anything by it; nothing twice within an hour;
/// and of one token no more than a handful at once and six an hour.
///
/// # Errors
/// [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn turned_away(store: &Store, secret: &str, turned: &Turned<'_>) -> Result<()> {
    let Some(holder) = holder_of(store, secret).await? else {
        return Ok(());
    };
    let (Some(id), Some(mesh)) = (holder.id, holder.mesh_id) else {
        return Ok(());
    };
    let token = JoinTokenId::from_uuid(id);
    let now = store.clock().now();
    let expired = holder.expires_at.is_some_and(|at| at <= now);
    let reason = match turned.why {
        _ if holder.revoked_at.is_some() => "revoked",
        Some(JoinRefused::OtherService) => "other_service",
        Some(JoinRefused::Revoked) => "identity_revoked",
        Some(JoinRefused::Elsewhere) => "other_network",
        Some(JoinRefused::EnvoyTooOld) => "envoy_too_old",
        Some(JoinRefused::Used) => "used",
        Some(JoinRefused::ServiceGone) => "service_gone",
        Some(JoinRefused::NodeTaken) => "node_taken",
        Some(JoinRefused::Expired) => "expired",
        Some(JoinRefused::LimitReached) => "limit_reached",
        Some(JoinRefused::Unknown) | None if expired => "expired",
        Some(JoinRefused::Unknown) | None => "unknown",
    };
    let refusals = store.refusals();
    let node_id = turned.node_id.unwrap_or_default();
    let same = format!("{token} {reason} {node_id}");
    if refusals.same.take(&same, SAME, now).is_err()
        || refusals
            .of_token
            .take(&token.to_string(), OF_TOKEN, now)
            .is_err()
    {
        return Ok(());
    }
    let said = [
        ("reason", Some(reason)),
        ("node_id", turned.node_id),
        ("service", turned.service),
    ];
    let after: Map<String, Value> = said
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?))))
        .collect();
    let org = OrgId::from_uuid(holder.org_id);
    let mut work = store.work(org, &token.to_string(), Mode::Write).await?;
    work.set_ip(turned.from);
    work.record_refused(&Change {
        mesh: Some(MeshId::from_uuid(mesh)),
        revision: None,
        action: "join",
        kind: "join_token",
        id,
        name: holder.name.as_deref().unwrap_or_default(),
        before: None,
        after: Some(&after),
    });
    work.commit().await?;
    Ok(())
}
