-- Why: what a member signs in with who has lost the second factor. Of each code only the SHA-256 is kept; it works once.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.recovery_codes (
    org_id uuid not null,
    id uuid not null,
    principal_id uuid not null,
    hash bytea not null,
    created_at timestamptz not null,
    used_at timestamptz,
    constraint recovery_codes_pkey primary key (org_id, id),
    constraint recovery_codes_principal_fkey foreign key (org_id, principal_id) references heddle.principals (org_id, id),
    constraint recovery_codes_key unique (org_id, principal_id, hash),
    constraint recovery_codes_hash_check check (octet_length(hash) = 32)
);
select heddle.own_by_org('heddle.recovery_codes', 'select, insert, update, delete');

reset role;
