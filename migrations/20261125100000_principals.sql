-- Why: people (members) and programs (service accounts) of one organisation. A member is known by an e-mail address within the
-- organisation: the same person in two organisations is two members, so nothing here looks across.
-- Safe: adds only. A removed principal gives its name back; its row stays, because the audit log names it.

set local role heddle_owner;

create table heddle.principals (
    org_id uuid not null,
    id uuid not null,
    kind text not null,
    -- A member's e-mail address in lower case; a service account's name.
    name text collate "C" not null,
    display_name text,
    -- Argon2id in PHC form; null: cannot sign in with a password.
    password_hash text,
    created_at timestamptz not null,
    created_by text not null,
    deleted_at timestamptz,
    constraint principals_pkey primary key (org_id, id),
    constraint principals_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint principals_kind_check check (kind in ('member', 'service_account')),
    constraint principals_name_check check (
        case kind when 'member' then name ~ '^[!-~]{1,64}@[a-z0-9.-]{1,189}$' and name = lower(name)
                  else name ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$' end),
    constraint principals_password_check check (password_hash is null or kind = 'member')
);
create unique index principals_name_key on heddle.principals (org_id, kind, name) where deleted_at is null;
select heddle.own_by_org('heddle.principals', 'select, insert, update');

reset role;
