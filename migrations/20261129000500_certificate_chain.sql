-- Why: the journal of issuance is a chain, as the audit log is: each row carries the hash of the one before it in its mesh, so that
-- a row that is altered, removed or slipped in is found. `certificate_heads` says where each chain ends.
-- Safe: adds only. What the previous release writes has no place in a chain; looking through the chains counts it.

set local role heddle_owner;

create table heddle.certificate_heads (
    org_id uuid not null,
    -- The mesh.
    chain uuid not null,
    seq bigint not null,
    hash bytea not null,
    constraint certificate_heads_pkey primary key (org_id, chain),
    constraint certificate_heads_mesh_fkey foreign key (org_id, chain) references heddle.meshes (org_id, mesh_id),
    constraint certificate_heads_hash_check check (octet_length(hash) = 32)
);
select heddle.own_by_org('heddle.certificate_heads', 'select, insert, update');
create trigger certificate_heads_forward before update on heddle.certificate_heads
    for each row execute function heddle.only_forward();

alter table heddle.certificates
    add column seq bigint,
    add column previous_hash bytea,
    add column hash bytea,
    add constraint certificates_chain_check check (
        num_nulls(seq, previous_hash, hash) in (0, 3)
        and seq > 0 and octet_length(previous_hash) = 32 and octet_length(hash) = 32) not valid;
alter table heddle.certificates validate constraint certificates_chain_check;

grant select, insert, update on heddle.certificate_heads to heddle_issuer;
grant execute on function heddle.link(bytea, bytea, text), heddle.chained(bytea, text) to heddle_issuer;

reset role;
