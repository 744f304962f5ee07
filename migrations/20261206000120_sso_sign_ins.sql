-- Why: people who were sent to a provider and have not come back. Of what they come back with only the SHA-256 is kept, and what was shown to
-- the provider follows from it.
-- Safe: adds only. Rows are of use for minutes; whoever writes one removes those of the organisation that are older.

set local role heddle_owner;

create table heddle.sso_sign_ins (
    org_id uuid not null,
    id uuid not null,
    connection_id uuid not null,
    -- The member who adds an identity; null: somebody signs in.
    principal_id uuid,
    hash bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint sso_sign_ins_pkey primary key (org_id, id),
    constraint sso_sign_ins_connection_fkey foreign key (org_id, connection_id)
        references heddle.sso_connections (org_id, id) on delete cascade,
    constraint sso_sign_ins_principal_fkey foreign key (org_id, principal_id) references heddle.principals (org_id, id),
    constraint sso_sign_ins_key unique (hash),
    constraint sso_sign_ins_hash_check check (octet_length(hash) = 32)
);
create index sso_sign_ins_connection on heddle.sso_sign_ins (org_id, connection_id);
create index sso_sign_ins_expires on heddle.sso_sign_ins (org_id, expires_at);
select heddle.own_by_org('heddle.sso_sign_ins', 'select, insert, delete');

reset role;
