-- Why: what a member signs in with beside the password: a key that codes are made from (RFC 6238), sealed under a key that is not in the
-- database. One that nobody has confirmed yet is of no use for signing in.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.second_factors (
    org_id uuid not null,
    id uuid not null,
    principal_id uuid not null,
    sealed_key bytea not null,
    created_at timestamptz not null,
    confirmed_at timestamptz,
    -- The step of time whose code was used last: no code is used twice, nor an older one after it.
    last_step bigint not null,
    constraint second_factors_pkey primary key (org_id, id),
    constraint second_factors_principal_fkey foreign key (org_id, principal_id) references heddle.principals (org_id, id),
    constraint second_factors_principal_key unique (org_id, principal_id),
    constraint second_factors_step_check check (last_step >= 0)
);
select heddle.own_by_org('heddle.second_factors', 'select, insert, update, delete');

reset role;
