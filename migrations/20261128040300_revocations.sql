-- Why: an identity that is not to be trusted any more: one proxy, or a service with all of its proxies. Named by what it is called and
-- not by its row, so that a proxy that is forgotten and joins anew is still revoked. A row is never deleted: lifting is written beside.
-- Safe: adds only. An older server neither refuses whoever is revoked nor tells proxies about it: revoke when all servers are newer.

set local role heddle_owner;

create table heddle.revocations (
    org_id uuid not null,
    mesh_id uuid not null,
    id uuid not null,
    service text collate "C" not null,
    -- Of one proxy; null: of the service with all of its proxies.
    node_id text collate "C",
    proxy_id uuid,
    reason text not null,
    created_at timestamptz not null,
    created_by text not null,
    -- What a service's callees are told is configuration, so it holds from a revision to a revision.
    from_revision bigint,
    lifted_at timestamptz,
    lifted_by text,
    to_revision bigint,
    constraint revocations_pkey primary key (org_id, mesh_id, id),
    constraint revocations_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint revocations_service_check check (service ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint revocations_node_check check (node_id is null or octet_length(node_id) between 1 and 256),
    constraint revocations_kind_check
        check ((node_id is null) = (proxy_id is null) and (node_id is null) = (from_revision is not null)),
    constraint revocations_lifted_check
        check ((lifted_at is null) = (lifted_by is null) and (to_revision is null or lifted_at is not null))
);
create unique index revocations_key on heddle.revocations (org_id, mesh_id, service, coalesce(node_id, '')) where lifted_at is null;
select heddle.own_by_org('heddle.revocations', 'select, insert, update (lifted_at, lifted_by, to_revision)');

reset role;
