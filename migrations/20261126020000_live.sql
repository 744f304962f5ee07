-- Why: what is live, and what happened since one looked last. A proxy's row says what it was sent last and what of that it has;
-- `mesh_replicas` says how far each server is that proxies are connected to, so a proxy that a revision does not concern is at
-- that revision without a row being written. `mesh_status` counts the news about proxies of a mesh, and a row carries the number
-- of its own: whoever knows a number reads what came later, and nothing twice.
-- Safe: adds only. The new columns are null or 0 in existing rows, which an older server leaves so.

set local role heddle_owner;

alter table heddle.proxies add column replica uuid;
alter table heddle.proxies add column status_seq bigint not null default 0;
create index proxies_status on heddle.proxies (org_id, mesh_id, status_seq);

create table heddle.mesh_replicas (
    org_id uuid not null,
    mesh_id uuid not null,
    -- A server, from its start to its end.
    replica uuid not null,
    -- Everything of this revision was offered to the proxies that are connected there.
    revision bigint not null,
    seen_at timestamptz not null,
    constraint mesh_replicas_pkey primary key (org_id, mesh_id, replica),
    constraint mesh_replicas_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id)
);
select heddle.own_by_org('heddle.mesh_replicas', 'select, insert, update, delete');

create table heddle.mesh_status (
    org_id uuid not null,
    mesh_id uuid not null,
    -- Whoever writes news about proxies holds the row until the commit, so a greater number is never visible before a smaller one.
    seq bigint not null,
    constraint mesh_status_pkey primary key (org_id, mesh_id),
    constraint mesh_status_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id)
);
select heddle.own_by_org('heddle.mesh_status', 'select, insert, update');

reset role;
