-- Why: what members decide about devices that ask to be let in. A request is decided once, in whichever organisation: the key over
-- `request_id` alone says so. There is no foreign key to the request, which belongs to no organisation.
-- Safe: adds only. Rows are of use for minutes; whoever writes one removes those of the organisation that are older.

set local role heddle_owner;

create table heddle.device_decisions (
    org_id uuid not null,
    request_id uuid not null,
    principal_id uuid not null,
    approved boolean not null,
    -- As the member saw it.
    client text not null,
    scopes text[],
    decided_at timestamptz not null,
    expires_at timestamptz not null,
    redeemed_at timestamptz,
    constraint device_decisions_pkey primary key (org_id, request_id),
    constraint device_decisions_request_key unique (request_id),
    constraint device_decisions_principal_fkey foreign key (org_id, principal_id)
        references heddle.principals (org_id, id),
    constraint device_decisions_redeemed_check check (approved or redeemed_at is null)
);
create index device_decisions_expires on heddle.device_decisions (org_id, expires_at);
select heddle.own_by_org('heddle.device_decisions', 'select, insert, update, delete');

reset role;
