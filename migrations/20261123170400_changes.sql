-- Why: audit log and outbox in one. Every accepted write leaves a row; rows that carry a revision are what replicas
-- tail. No global sequence, which would lose late commits: `xid` says which transaction wrote it.
-- Safe: adds only. Append-only: nobody may update or delete.

set local role heddle_owner;

create table heddle.changes (
    org_id uuid not null,
    id uuid not null,
    mesh_id uuid,
    revision bigint,
    actor text not null,
    client text,
    action text not null,
    kind text not null,
    resource_id uuid not null,
    name text not null,
    before jsonb,
    after jsonb,
    at timestamptz not null,
    xid xid8 not null default pg_current_xact_id(),
    constraint changes_pkey primary key (org_id, id),
    constraint changes_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint changes_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint changes_revision_check check (revision is null or mesh_id is not null)
);
create index changes_feed on heddle.changes (xid) where revision is not null;
create index changes_revision on heddle.changes (org_id, mesh_id, revision);
select heddle.own_by_org('heddle.changes', 'select, insert');

reset role;
