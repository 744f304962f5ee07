-- Why: what members are known by at a provider. Nobody is recognised by anything else: the address is what was last said there, to be shown.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.identities (
    org_id uuid not null,
    id uuid not null,
    principal_id uuid not null,
    connection_id uuid not null,
    subject text not null,
    email text,
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    constraint identities_pkey primary key (org_id, id),
    constraint identities_principal_fkey foreign key (org_id, principal_id) references heddle.principals (org_id, id),
    constraint identities_connection_fkey foreign key (org_id, connection_id)
        references heddle.sso_connections (org_id, id) on delete cascade,
    constraint identities_subject_key unique (org_id, connection_id, subject),
    constraint identities_principal_key unique (org_id, principal_id, connection_id)
);
select heddle.own_by_org('heddle.identities', 'select, insert, update, delete');

reset role;
