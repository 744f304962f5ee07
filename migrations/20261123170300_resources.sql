-- Why: all declarative kinds in one table, with history: a row holds for the revisions [from_revision, to_revision),
-- and the current one has no end. `spec` is what the user sent and nothing else.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.resources (
    org_id uuid not null,
    mesh_id uuid not null,
    id uuid not null,
    kind text collate "C" not null,
    parent_id uuid,
    name text collate "C" not null,
    spec jsonb not null,
    spec_version integer not null,
    from_revision bigint not null,
    to_revision bigint,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint resources_pkey primary key (org_id, mesh_id, id, from_revision),
    constraint resources_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint resources_name_check check (name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint resources_spec_check check (jsonb_typeof(spec) = 'object'),
    constraint resources_span_check check (from_revision > 0 and to_revision > from_revision)
);
-- Among siblings a name is unique; what has no parent is a sibling below the mesh.
create unique index resources_name_key
    on heddle.resources (org_id, mesh_id, kind, coalesce(parent_id, mesh_id), name) where to_revision is null;
-- At most one current row for each object.
create unique index resources_current_key on heddle.resources (org_id, mesh_id, id) where to_revision is null;
create unique index resources_priority_key
    on heddle.resources (org_id, mesh_id, parent_id, (spec -> 'priority')) where kind = 'route' and to_revision is null;
create index resources_parent on heddle.resources (org_id, mesh_id, parent_id) where to_revision is null;
select heddle.own_by_org('heddle.resources', 'select, insert, update, delete');

reset role;
