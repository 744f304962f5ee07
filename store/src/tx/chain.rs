//! How the rows of the audit log hang together: one statement that appends to chains and moves their heads.
//!
//! Everybody who appends to a chain holds the row of its head until the commit, so the next one sees where it ends. Taken last, and
//! all at once in one order: nobody waits for a lock while holding one of these.

use sqlx::types::Uuid;

use super::Work;
use crate::error::Result;

/// The text that is hashed for a row `c` of the audit log: JSON as Postgres writes it. One row has one text for ever; what is added
/// later belongs under another `v`.
macro_rules! record_text {
    () => {
        "jsonb_build_object( \
             'v', 1, 'org', c.org_id, 'chain', c.chain, 'seq', c.seq, 'id', c.id, \
             'at', to_char(c.at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
             'actor', c.actor, 'token', c.token_id, 'client', c.client, 'ip', host(c.ip), \
             'message', c.message, 'change_group', c.change_group, 'mesh', c.mesh_id, 'revision', c.revision, \
             'action', c.action, 'kind', c.kind, 'object', c.resource_id, 'name', c.name, 'outcome', c.outcome, \
             'before', c.before, 'after', c.after)::text"
    };
}
pub(crate) use record_text;

/// Appends nothing at all unless every chain has a head, and says how many rows, and what the caller is now. `made` are the revisions.
pub(super) const APPEND: &str = concat!(
    "with heads as ( \
         select h.chain, h.seq, h.hash from heddle.audit_heads h where h.chain = any($15::uuid[]) \
         order by h.chain for update), \
     ready as (select count(*) = cardinality($15::uuid[]) as yes from heads), \
     made as ( \
         insert into heddle.revisions (org_id, mesh_id, revision, actor, client, token_id, message, \
                                       change_group, created_at, rolled_back_to, reverted, added, changed, removed) \
         select $1, r.mesh_id, r.revision, $2, $3, $4, $5, $6, $7, r.rolled_back_to, r.reverted, r.added, r.changed, \
                r.removed \
         from unnest($8::uuid[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::int8[]) \
              as r (mesh_id, revision, rolled_back_to, reverted, added, changed, removed), ready where ready.yes), \
     placed as ( \
         select $1::uuid as org_id, coalesce(g.who, $2::text) as actor, $3::text as client, $4::uuid as token_id, $5::text as message, \
                $6::text as change_group, $16::text::inet as ip, g.*, h.chain, h.hash as head, \
                h.seq + row_number() over (partition by h.chain order by g.nth) as seq \
         from unnest($17::uuid[], $18::uuid[], $19::int8[], $20::text[], $21::text[], $22::uuid[], $23::text[], \
                     $24::jsonb[], $25::jsonb[], $26::timestamptz[], $27::text[], $32::text[]) with ordinality \
              as g (id, mesh_id, revision, action, kind, resource_id, name, before, after, at, outcome, who, nth) \
         join heads h on h.chain = coalesce(g.mesh_id, $1), ready where ready.yes), \
     linked as ( \
         select c.*, heddle.chained(c.head, ",
    record_text!(),
    ") over (partition by c.chain order by c.seq) as hash from placed c), \
     moved as ( \
         update heddle.audit_heads h set seq = l.seq, hash = l.hash \
         from (select distinct on (c.chain) c.chain, c.seq, c.hash from linked c order by c.chain, c.seq desc) l \
         where h.chain = l.chain), \
     appended as ( \
     insert into heddle.changes (org_id, actor, client, token_id, message, change_group, ip, id, mesh_id, revision, action, \
                                 kind, resource_id, name, before, after, at, outcome, chain, seq, previous_hash, hash) \
     select c.org_id, c.actor, c.client, c.token_id, c.message, c.change_group, c.ip, c.id, c.mesh_id, c.revision, c.action, \
            c.kind, c.resource_id, c.name, c.before, c.after, c.at, c.outcome, c.chain, c.seq, \
            coalesce(lag(c.hash) over (partition by c.chain order by c.seq), c.head), c.hash \
     from linked c returning 1) \
     select (select count(*) from appended) as written, heddle.still($28, $29, $30, $31, $7) as still"
);

impl Work {
    /// Begins chains that do not exist yet.
    pub(super) async fn begin_chains(&mut self, chains: &[Uuid]) -> Result<()> {
        let org = self.org.uuid();
        sqlx::query(
            "insert into heddle.audit_heads (org_id, chain, seq, hash) \
             select $1, c.chain, 0, decode(repeat('00', 32), 'hex') from unnest($2::uuid[]) as c (chain) \
             order by c.chain on conflict do nothing",
        )
        .bind(org)
        .bind(chains)
        .execute(self.conn())
        .await?;
        Ok(())
    }
}
