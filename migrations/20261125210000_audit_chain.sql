-- Why: the audit log is a chain. Each row carries the hash of the one before it in its mesh (in its organisation, for what
-- belongs to no mesh), so that a row that is altered, removed, moved or cut off is found. `audit_heads` says where each chain
-- ends; its row is what lets one transaction append after the other, so writers of different meshes do not wait.
-- Safe: adds only. What the previous release writes has no place in a chain; looking through the chains counts it.

set local role heddle_owner;

create table heddle.audit_heads (
    org_id uuid not null,
    -- The mesh, or the organisation itself.
    chain uuid not null,
    seq bigint not null,
    hash bytea not null,
    constraint audit_heads_pkey primary key (org_id, chain),
    constraint audit_heads_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint audit_heads_hash_check check (octet_length(hash) = 32)
);
select heddle.own_by_org('heddle.audit_heads', 'select, insert, update');

create function heddle.only_forward() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if new.org_id <> old.org_id or new.chain <> old.chain or new.seq <= old.seq then
        raise exception 'a chain of the audit log only grows';
    end if;
    return new;
end
$$;
revoke all on function heddle.only_forward() from public;
create trigger audit_heads_forward before update on heddle.audit_heads
    for each row execute function heddle.only_forward();

alter table heddle.changes
    add column outcome text,
    add column ip inet,
    add column chain uuid,
    add column seq bigint,
    add column previous_hash bytea,
    add column hash bytea,
    add constraint changes_outcome_check check (outcome in ('done', 'refused')) not valid,
    add constraint changes_chain_check check (
        num_nulls(outcome, chain, seq, previous_hash, hash) in (0, 5)
        and (chain is null or chain = coalesce(mesh_id, org_id))
        and seq > 0 and octet_length(previous_hash) = 32 and octet_length(hash) = 32) not valid;
alter table heddle.changes validate constraint changes_outcome_check;
alter table heddle.changes validate constraint changes_chain_check;
create unique index changes_chain_key on heddle.changes (org_id, chain, seq) where seq is not null;

-- The hashes along a chain: each is the SHA-256 of the one before it, followed by the record as UTF-8.
create function heddle.link(state bytea, head bytea, record text) returns bytea
language sql immutable parallel safe
as $$ select pg_catalog.sha256(coalesce(state, head) || pg_catalog.convert_to(record, 'UTF8')) $$;
create aggregate heddle.chained(head bytea, record text) (sfunc = heddle.link, stype = bytea, parallel = safe);
revoke all on function heddle.link(bytea, bytea, text), heddle.chained(bytea, text) from public;
grant execute on function heddle.link(bytea, bytea, text), heddle.chained(bytea, text) to heddle_tenant;

-- Every chain that there can be begins now: one that is missing later was taken away. Row security binds the owner too;
-- the role of the doors may look at every organisation.
grant insert on heddle.audit_heads to heddle_door;
set local role heddle_door;
insert into heddle.audit_heads (org_id, chain, seq, hash)
select o.org_id, o.org_id, 0, decode(repeat('00', 32), 'hex') from heddle.orgs o
union all
select m.org_id, m.mesh_id, 0, decode(repeat('00', 32), 'hex') from heddle.meshes m;
set local role heddle_owner;
revoke insert on heddle.audit_heads from heddle_door;

reset role;
