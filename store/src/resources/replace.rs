//! The replacement of one object as it is nearly always: nobody else wrote in the mesh since it was looked at. One statement does
//! all of it and looks again; what it does is what [`super::put`] and the record at the commit do.

use heddle_model::authz::{Permission, access};
use heddle_model::id::TokenId;
use serde_json::{Map, Value};
use sqlx::types::Json;

use super::write::granted;
use super::{SPEC_VERSION, Stored};
use crate::error::{Result, inconsistent};
use crate::meshes::MeshRow;
use crate::tx::{Still, Tx, record_text};

/// The mesh is locked by what moves it on, before anything else; the head of its chain last, as everywhere, and it is moved on only if
/// it is still where the row was linked to. A row of `changes` comes out only if all of it was done, and with it what the caller is
/// now. The hash is that of `heddle.link`, written out: Postgres would plan the function anew for each write.
const REPLACE: &str = concat!(
    "with bumped as ( \
         update heddle.meshes m set revision = m.revision + 1 \
         where m.mesh_id = $2 and m.revision = $3 and m.deleted_at is null returning m.revision), \
     ended as ( \
         update heddle.resources o set to_revision = b.revision from bumped b \
         where o.mesh_id = $2 and o.id = $4 and o.to_revision is null and o.from_revision = $5 \
           and o.managed_by is not distinct from $6 and o.spec <> $7 \
         returning o.kind, o.parent_id, o.name, o.to_revision as revision, o.created_at, o.managed_by, o.spec as before), \
     begun as ( \
         insert into heddle.resources (org_id, mesh_id, id, kind, parent_id, name, spec, spec_version, from_revision, \
                                       created_at, updated_at, managed_by) \
         select $1, $2, $4, e.kind, e.parent_id, e.name, $7, $8, e.revision, e.created_at, $9, e.managed_by from ended e), \
     made as ( \
         insert into heddle.revisions (org_id, mesh_id, revision, actor, client, token_id, message, change_group, \
                                       created_at, added, changed, removed) \
         select $1, $2, e.revision, $10, $11, $12, $13, $14, $9, 0, 1, 0 from ended e), \
     placed as ( \
         select $1::uuid as org_id, $10::text as actor, $11::text as client, $12::uuid as token_id, $13::text as message, \
                $14::text as change_group, $15::text::inet as ip, $16::uuid as id, $2::uuid as mesh_id, e.revision, \
                'replace' as action, e.kind, $4::uuid as resource_id, e.name, e.before, $7::jsonb as after, \
                $9::timestamptz as at, 'done' as outcome, $2::uuid as chain, h.hash as head, h.seq + 1 as seq \
         from ended e, heddle.audit_heads h where h.chain = $2), \
     linked as (select c.*, sha256(c.head || convert_to(",
    record_text!(),
    ", 'UTF8')) as hash from placed c), \
     moved as ( \
         update heddle.audit_heads h set seq = l.seq, hash = l.hash from linked l \
         where h.chain = l.chain and h.seq = l.seq - 1 returning h.seq), \
     appended as ( \
     insert into heddle.changes (org_id, actor, client, token_id, message, change_group, ip, id, mesh_id, revision, action, \
                                 kind, resource_id, name, before, after, at, outcome, chain, seq, previous_hash, hash) \
     select c.org_id, c.actor, c.client, c.token_id, c.message, c.change_group, c.ip, c.id, c.mesh_id, c.revision, c.action, \
            c.kind, c.resource_id, c.name, c.before, c.after, c.at, c.outcome, c.chain, c.seq, c.head, c.hash \
     from linked c join moved m using (seq) returning revision, after) \
     select a.revision, a.after, heddle.still($17, $18, $19, $20, $9) as still from appended a"
);

/// Replaces what an object says, as the only thing that a transaction does, provided that mesh and object are still as they were
/// seen and that the content differs. Otherwise nothing was done, the transaction is over, and the caller has to look again.
///
/// # Errors
/// [`crate::Error::NotGranted`], [`crate::Error::Forbidden`] and [`crate::Error::Revoked`], also for what came about since, [`crate::Error::NotFound`] for a mesh that the permission does not
/// reach, [`crate::Error::NulCharacter`], [`crate::Error::Unavailable`].
pub async fn replace_seen<P: Permission<Access = access::Write>>(
    mut tx: Tx<P>,
    mesh: &MeshRow,
    before: &Stored,
    sent: &Map<String, Value>,
) -> Result<Option<(Tx<P>, Stored)>> {
    granted(&tx, before.kind)?;
    let work = &mut tx.work;
    work.enter(mesh.id)?;
    if work.has_begun() {
        return Ok(None);
    }
    let now = work.now();
    let origin = work.origin().clone();
    let came = work.came();
    let query = sqlx::query_as(REPLACE)
        .bind(work.org().uuid())
        .bind(mesh.id.uuid())
        .bind(mesh.revision.cast_signed())
        .bind(before.id)
        .bind(before.revision.cast_signed())
        .bind(before.managed_by.clone().map(Json))
        .bind(Json(sent))
        .bind(SPEC_VERSION)
        .bind(now)
        .bind(work.actor().to_owned())
        .bind(work.client().map(ToOwned::to_owned))
        .bind(origin.token.map(TokenId::uuid))
        .bind(origin.note.message)
        .bind(origin.note.change_group)
        .bind(origin.ip.map(|ip| ip.to_string()))
        .bind(work.next_id())
        .bind(came.token)
        .bind(came.digest)
        .bind(came.session)
        .bind(came.principal);
    let row: Option<(i64, Value, Json<Still>)> = query.fetch_optional(work.conn()).await?;
    let Some((revision, after, Json(still))) = row else {
        return Ok(None);
    };
    let Value::Object(after) = after else {
        return Err(inconsistent("changes", "after", before.id, "not an object"));
    };
    let stored = Stored {
        sent: after,
        revision: revision.unsigned_abs(),
        updated_at: now,
        ..before.clone()
    };
    work.made(mesh.id, stored.revision);
    work.judge(&still)?;
    Ok(Some((tx, stored)))
}
