//! Whoever invited answers for the invitation: it gives what they may give still.

use std::collections::BTreeSet;

use heddle_model::authz::{Action, Role};
use heddle_model::id::{MeshId, TokenId};
use uuid::Uuid;

use crate::error::{Result, inconsistent};
use crate::principals;
use crate::rights::{self, Bound, Reach, Rights};
use crate::tx::Work;

#[derive(sqlx::FromRow)]
struct Inviter {
    inviter_id: Option<Uuid>,
    token_id: Option<Uuid>,
    role: Option<String>,
    scopes: Option<Vec<String>>,
    mesh_ids: Option<Vec<Uuid>>,
    alive: bool,
}

/// Notes who answers for an invitation from now on: the caller, with the token that it came with. That a session ends says nothing
/// about its member.
pub(super) async fn note(work: &mut Work, invitation: Uuid) -> Result<()> {
    let principal = work.principal().map(crate::authz::Principal::uuid);
    let token = work.origin().token.map(TokenId::uuid);
    sqlx::query("update heddle.invitations set inviter_id = $2, token_id = $3 where id = $1")
        .bind(invitation)
        .bind(principal)
        .bind(token)
        .execute(work.conn())
        .await?;
    Ok(())
}

/// Whether whoever answers for an invitation could have made it now. Nobody does for one that was made before that was noted.
pub(super) async fn may_still(work: &mut Work, invitation: Uuid, role: Role) -> Result<bool> {
    let now = work.now();
    let inviter: Option<Inviter> = sqlx::query_as(
        "select i.inviter_id, i.token_id, t.role, t.scopes, t.mesh_ids, \
                i.token_id is null or (t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)) as alive \
         from heddle.invitations i left join heddle.tokens t on t.org_id = i.org_id and t.id = i.token_id \
         where i.id = $1",
    )
    .bind(invitation)
    .bind(now)
    .fetch_optional(work.conn())
    .await?;
    let Some(inviter) = inviter.filter(|inviter| inviter.alive) else {
        return Ok(false);
    };
    let bound = match (inviter.inviter_id, inviter.role) {
        (Some(principal), _) => principals::by_id(work, principal).await?.map(|p| p.bound),
        (None, Some(text)) => {
            let bad = |_| {
                inconsistent(
                    "tokens",
                    "role",
                    inviter.token_id.unwrap_or_default(),
                    &text,
                )
            };
            let role = text.parse().map_err(bad)?;
            Some(vec![Bound { role, mesh: None }])
        }
        (None, None) => None,
    };
    let Some(bound) = bound else {
        return Ok(false);
    };
    let scopes = inviter.scopes.as_deref().map(rights::scopes);
    let meshes = inviter.mesh_ids;
    let meshes = meshes.map(|all| all.into_iter().map(MeshId::from_uuid));
    let rights = Rights::new(bound, scopes, meshes.map(BTreeSet::from_iter));
    let may = |action| rights.reach(action) == Reach::Org;
    Ok(may(Action::MemberWrite) && may(Action::RoleBindingWrite) && rights.include(role, None))
}
