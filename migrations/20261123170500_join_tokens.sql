-- Why: a join token says to which service of which mesh a proxy belongs. Of its secret only the SHA-256 is kept.
-- Safe: adds only. `service` is a name and not a reference: deleting a service never fails, its tokens just stop working.

set local role heddle_owner;

create table heddle.join_tokens (
    org_id uuid not null,
    id uuid not null,
    mesh_id uuid not null,
    name text collate "C" not null,
    service text collate "C" not null,
    reusable boolean not null,
    hash bytea not null,
    created_at timestamptz not null,
    created_by text not null,
    expires_at timestamptz,
    -- A one-off token that was ever used stays used, also when its proxy is forgotten.
    first_used_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    constraint join_tokens_pkey primary key (org_id, id),
    constraint join_tokens_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint join_tokens_hash_key unique (hash),
    constraint join_tokens_hash_check check (octet_length(hash) = 32),
    constraint join_tokens_name_check check (name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint join_tokens_service_check check (service ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$')
);
create unique index join_tokens_name_key on heddle.join_tokens (org_id, mesh_id, name) where revoked_at is null;
select heddle.own_by_org('heddle.join_tokens', 'select, insert, update');

reset role;
