-- Why: sessions of members who signed in. Of the refresh secret only the SHA-256 of its two halves is kept.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.sessions (
    org_id uuid not null,
    id uuid not null,
    principal_id uuid not null,
    method text not null,
    client text,
    -- The half of the refresh secret that stays, and the one that changes at each use.
    family_hash bytea not null,
    refresh_hash bytea not null,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint sessions_pkey primary key (org_id, id),
    constraint sessions_principal_fkey foreign key (org_id, principal_id) references heddle.principals (org_id, id),
    constraint sessions_family_key unique (family_hash),
    constraint sessions_hash_check check (octet_length(family_hash) = 32 and octet_length(refresh_hash) = 32),
    constraint sessions_method_check check (method in ('password', 'device'))
);
create index sessions_principal on heddle.sessions (org_id, principal_id) where revoked_at is null;
select heddle.own_by_org('heddle.sessions', 'select, insert, update');

reset role;
