-- Why: the secrets in links that are sent by mail. Only the SHA-256 is kept. Each sending draws another one, and all of those that lead to
-- the same thing are gone once one of them was used.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.link_secrets (
    org_id uuid not null,
    id uuid not null,
    purpose text not null,
    -- What the link leads to: a member whose password is set anew, or an invitation.
    target uuid not null,
    hash bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint link_secrets_pkey primary key (org_id, id),
    constraint link_secrets_key unique (hash),
    constraint link_secrets_hash_check check (octet_length(hash) = 32),
    constraint link_secrets_purpose_check check (purpose in ('password_reset', 'invitation'))
);
create index link_secrets_target on heddle.link_secrets (org_id, purpose, target);
create index link_secrets_expires on heddle.link_secrets (org_id, expires_at);
select heddle.own_by_org('heddle.link_secrets', 'select, insert, delete');

reset role;
