-- Why: organisations (the tenants) and the API tokens that speak for them. Of a token only its SHA-256 is kept.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.orgs (
    org_id uuid not null,
    name text collate "C" not null,
    display_name text,
    created_at timestamptz not null,
    constraint orgs_pkey primary key (org_id),
    constraint orgs_name_key unique (name),
    constraint orgs_name_check check (name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$')
);
select heddle.own_by_org('heddle.orgs', 'select, insert, update');

create table heddle.tokens (
    org_id uuid not null,
    id uuid not null,
    name text collate "C" not null,
    role text not null,
    hash bytea not null,
    created_at timestamptz not null,
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint tokens_pkey primary key (org_id, id),
    constraint tokens_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint tokens_hash_key unique (hash),
    constraint tokens_hash_check check (octet_length(hash) = 32),
    constraint tokens_name_check check (name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint tokens_role_check check (role in ('owner', 'admin', 'operator', 'developer', 'viewer', 'auditor'))
);
create unique index tokens_name_key on heddle.tokens (org_id, name) where revoked_at is null;
select heddle.own_by_org('heddle.tokens', 'select, insert, update');

reset role;
