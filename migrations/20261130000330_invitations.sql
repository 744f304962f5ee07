-- Why: people who were asked to become members. One address has at most one invitation that is open.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.invitations (
    org_id uuid not null,
    id uuid not null,
    email text not null,
    role text not null,
    created_at timestamptz not null,
    created_by text not null,
    -- Moved on when it is sent again.
    expires_at timestamptz not null,
    accepted_at timestamptz,
    -- The member that it made.
    principal_id uuid,
    withdrawn_at timestamptz,
    constraint invitations_pkey primary key (org_id, id),
    constraint invitations_principal_fkey foreign key (org_id, principal_id) references heddle.principals (org_id, id),
    constraint invitations_ended_check check (accepted_at is null or withdrawn_at is null),
    constraint invitations_accepted_check check ((accepted_at is null) = (principal_id is null))
);
create unique index invitations_email_key on heddle.invitations (org_id, email)
    where accepted_at is null and withdrawn_at is null;
select heddle.own_by_org('heddle.invitations', 'select, insert, update');

reset role;
