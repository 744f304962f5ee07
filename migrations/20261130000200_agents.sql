-- Why: a proxy that keeps its key has no stream of configuration, so nothing told a rotation whether it follows, and nothing kept one of
-- an ephemeral token from being forgotten. Which certificate it holds, and up to which revision it trusts whom it should.
-- Safe: adds only. An older server writes nothing here, and takes such proxies for offline, as before. No foreign key to proxies: an older
-- server that forgets one does not know of this row, which then says nothing about anybody.

set local role heddle_owner;

create table heddle.agents (
    org_id uuid not null,
    mesh_id uuid not null,
    proxy_id uuid not null,
    serial text collate "C",
    revision bigint,
    seen_at timestamptz not null,
    constraint agents_pkey primary key (org_id, mesh_id, proxy_id),
    constraint agents_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id)
);
select heddle.own_by_org('heddle.agents', 'select, insert, update, delete');

reset role;
