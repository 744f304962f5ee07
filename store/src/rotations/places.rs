//! What a rotation does to authorities: which of them are trusted, which sign, which are gone.

use heddle_model::id::{AuthorityId, MeshId};
use uuid::Uuid;

use super::{RotationRow, What};
use crate::authorities::AuthorityState;
use crate::error::Result;
use crate::tx::Work;

/// What is new.
fn own(rotation: &RotationRow) -> Vec<Uuid> {
    let own = rotation.root.into_iter().chain([rotation.issuing]);
    own.map(AuthorityId::uuid).collect()
}

pub(super) async fn publish(work: &mut Work, mesh: MeshId, rotation: &RotationRow) -> Result<()> {
    let root: Vec<Uuid> = rotation.root.iter().map(|id| id.uuid()).collect();
    set(work, mesh, &root, AuthorityState::Published).await
}

/// What is new signs from here on, and nothing else: whoever is about to sign holds its authority's row, see the journal.
pub(super) async fn activate(work: &mut Work, mesh: MeshId, rotation: &RotationRow) -> Result<()> {
    sqlx::query(
        "update heddle.authorities set state = 'retiring', rotation_id = $2 \
         where mesh_id = $1 and state = 'active' and ($3 or kind = 'issuing')",
    )
    .bind(mesh.uuid())
    .bind(rotation.id.uuid())
    .bind(rotation.what == What::Root)
    .execute(work.conn())
    .await?;
    set(work, mesh, &own(rotation), AuthorityState::Active).await
}

/// What gave way is trusted no more.
pub(super) async fn remove(work: &mut Work, mesh: MeshId, rotation: &RotationRow) -> Result<()> {
    sqlx::query(
        "update heddle.authorities set state = 'removed' \
         where mesh_id = $1 and rotation_id = $2 and state = 'retiring'",
    )
    .bind(mesh.uuid())
    .bind(rotation.id.uuid())
    .execute(work.conn())
    .await?;
    Ok(())
}

/// What gave way signs again, and whatever signs now gives way, also what followed the new one by itself. Its root is trusted on.
pub(super) async fn restore(work: &mut Work, mesh: MeshId, rotation: &RotationRow) -> Result<()> {
    sqlx::query(
        "update heddle.authorities set \
             state = case state when 'active' then 'retiring' else 'active' end, \
             rotation_id = case state when 'active' then $2::uuid end \
         where mesh_id = $1 and (state = 'active' and ($3 or kind = 'issuing') \
                                 or state = 'retiring' and rotation_id = $2)",
    )
    .bind(mesh.uuid())
    .bind(rotation.id.uuid())
    .bind(rotation.what == What::Root)
    .execute(work.conn())
    .await?;
    Ok(())
}

/// Nothing of what is new is left.
pub(super) async fn put_away(work: &mut Work, mesh: MeshId, rotation: &RotationRow) -> Result<()> {
    sqlx::query(
        "update heddle.authorities set state = 'removed', rotation_id = $2 \
         where mesh_id = $1 and (id = any($3) or state = 'retiring' and rotation_id = $2)",
    )
    .bind(mesh.uuid())
    .bind(rotation.id.uuid())
    .bind(own(rotation))
    .execute(work.conn())
    .await?;
    Ok(())
}

async fn set(
    work: &mut Work,
    mesh: MeshId,
    authorities: &[Uuid],
    state: AuthorityState,
) -> Result<()> {
    sqlx::query(
        "update heddle.authorities set state = $3, rotation_id = null where mesh_id = $1 and id = any($2)",
    )
    .bind(mesh.uuid())
    .bind(authorities)
    .bind(state.as_str())
    .execute(work.conn())
    .await?;
    Ok(())
}
