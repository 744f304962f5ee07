-- Why: which proxies were bound, and a checkpoint of what they were doing. Soft state apart from the binding: losing
-- the last checkpoints costs nothing but freshness, so they are not waited for.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.proxies (
    org_id uuid not null,
    mesh_id uuid not null,
    id uuid not null,
    join_token_id uuid not null,
    service text collate "C" not null,
    node_id text collate "C" not null,
    joined_at timestamptz not null,
    connected boolean not null default false,
    -- Where other proxies reach it; null while it is not registered as an endpoint.
    address inet,
    ports jsonb,
    version text collate "C",
    draining boolean not null default false,
    lease_until timestamptz,
    envoy_version text,
    acked_revision bigint,
    target_revision bigint,
    pending_types jsonb not null default '[]',
    nacks jsonb not null default '[]',
    seen_at timestamptz,
    constraint proxies_pkey primary key (org_id, mesh_id, id),
    constraint proxies_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint proxies_join_token_fkey foreign key (org_id, join_token_id) references heddle.join_tokens (org_id, id),
    constraint proxies_node_key unique (org_id, mesh_id, service, node_id),
    constraint proxies_node_check check (octet_length(node_id) between 1 and 256),
    constraint proxies_registration_check check ((address is null) = (ports is null))
);
create index proxies_join_token on heddle.proxies (org_id, join_token_id);
select heddle.own_by_org('heddle.proxies', 'select, insert, update, delete');

reset role;
