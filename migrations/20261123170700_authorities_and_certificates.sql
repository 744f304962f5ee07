-- Why: the signing authorities of a mesh, their keys sealed outside the database, and the journal of what they signed.
-- Safe: adds only. The journal is append-only but for the day a certificate is revoked; it outlives proxies on purpose.

set local role heddle_owner;

create table heddle.authorities (
    org_id uuid not null,
    mesh_id uuid not null,
    id uuid not null,
    kind text not null,
    certificate_pem text not null,
    sealed_key bytea not null,
    serial text not null,
    not_before timestamptz not null,
    not_after timestamptz not null,
    created_at timestamptz not null,
    constraint authorities_pkey primary key (org_id, mesh_id, id),
    constraint authorities_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint authorities_serial_key unique (org_id, mesh_id, serial),
    constraint authorities_kind_check check (kind in ('root', 'issuing'))
);
select heddle.own_by_org('heddle.authorities', 'select, insert');

create table heddle.certificates (
    org_id uuid not null,
    mesh_id uuid not null,
    serial text not null,
    proxy_id uuid not null,
    service text not null,
    spiffe_id text not null,
    authority_id uuid not null,
    not_before timestamptz not null,
    not_after timestamptz not null,
    issued_at timestamptz not null,
    tbs_sha256 text not null,
    revoked_at timestamptz,
    constraint certificates_pkey primary key (org_id, mesh_id, serial),
    constraint certificates_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint certificates_authority_fkey foreign key (org_id, mesh_id, authority_id)
        references heddle.authorities (org_id, mesh_id, id),
    constraint certificates_tbs_check check (tbs_sha256 ~ '^[0-9a-f]{64}$')
);
create index certificates_proxy on heddle.certificates (org_id, mesh_id, proxy_id) where revoked_at is null;
select heddle.own_by_org('heddle.certificates', 'select, insert, update (revoked_at)');

reset role;
