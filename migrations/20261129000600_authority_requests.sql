-- Why: a mesh may have the root of somebody else. What they are asked to sign waits here, with the private key that it is for, sealed.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.authority_requests (
    org_id uuid not null,
    mesh_id uuid not null,
    -- The id of the authority that it is to become: its key is sealed for that.
    id uuid not null,
    request_pem text not null,
    sealed_key bytea not null,
    created_at timestamptz not null,
    created_by text not null,
    constraint authority_requests_pkey primary key (org_id, mesh_id, id),
    constraint authority_requests_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id)
);
select heddle.own_by_org('heddle.authority_requests', 'select, insert, delete');
-- For whoever seals all keys anew.
grant select, update (sealed_key) on heddle.authority_requests to heddle_issuer;

reset role;
