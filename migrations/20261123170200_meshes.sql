-- Why: a mesh is one sequence of revisions; its row is the lock that makes them dense. What its owner wrote about it
-- is a resource of kind `mesh` with the same id.
-- Safe: adds only. A deleted mesh gives its name back, its trust domain never (a certificate may outlive it).

set local role heddle_owner;

create table heddle.meshes (
    org_id uuid not null,
    mesh_id uuid not null,
    name text collate "C" not null,
    trust_domain text collate "C" not null,
    revision bigint not null,
    created_at timestamptz not null,
    deleted_at timestamptz,
    constraint meshes_pkey primary key (org_id, mesh_id),
    constraint meshes_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint meshes_trust_domain_key unique (trust_domain),
    constraint meshes_name_check check (name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint meshes_trust_domain_check check (trust_domain ~ '^[a-z0-9._-]{1,255}$'),
    constraint meshes_revision_check check (revision > 0)
);
create unique index meshes_name_key on heddle.meshes (org_id, name) where deleted_at is null;
select heddle.own_by_org('heddle.meshes', 'select, insert, update');

reset role;
