-- Why: who has which role where: in the whole organisation (`mesh_id` is null) or at one mesh.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.role_bindings (
    org_id uuid not null,
    id uuid not null,
    principal_id uuid not null,
    role text not null,
    mesh_id uuid,
    created_at timestamptz not null,
    created_by text not null,
    constraint role_bindings_pkey primary key (org_id, id),
    constraint role_bindings_principal_fkey foreign key (org_id, principal_id) references heddle.principals (org_id, id),
    constraint role_bindings_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint role_bindings_role_check check (role in ('owner', 'admin', 'operator', 'developer', 'viewer', 'auditor')),
    -- An organisation has owners, a mesh has not.
    constraint role_bindings_owner_check check (role <> 'owner' or mesh_id is null)
);
create unique index role_bindings_key on heddle.role_bindings (org_id, principal_id, role, coalesce(mesh_id, org_id));
select heddle.own_by_org('heddle.role_bindings', 'select, insert, delete');

reset role;
