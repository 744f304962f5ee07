-- Why: members who have shown their password and are to show their second factor. Of what they come back with only the SHA-256 is kept.
-- Safe: adds only. Rows are of use for minutes; whoever writes one removes those of the organisation that are older.

set local role heddle_owner;

create table heddle.sign_in_challenges (
    org_id uuid not null,
    id uuid not null,
    principal_id uuid not null,
    -- How the first step was taken: the method of the session that it leads to.
    method text not null,
    hash bytea not null,
    tries integer not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint sign_in_challenges_pkey primary key (org_id, id),
    constraint sign_in_challenges_principal_fkey foreign key (org_id, principal_id)
        references heddle.principals (org_id, id),
    constraint sign_in_challenges_key unique (hash),
    constraint sign_in_challenges_hash_check check (octet_length(hash) = 32),
    constraint sign_in_challenges_tries_check check (tries >= 0)
);
create index sign_in_challenges_principal on heddle.sign_in_challenges (org_id, principal_id);
create index sign_in_challenges_expires on heddle.sign_in_challenges (org_id, expires_at);
select heddle.own_by_org('heddle.sign_in_challenges', 'select, insert, update, delete');

reset role;
