-- Why: how much an organisation may have, where that is not what the installation gives to everybody. Null: as much as it likes.
-- Safe: adds only. The previous release limits nothing, and what it lets in stays.

set local role heddle_owner;

create table heddle.quotas (
    org_id uuid not null,
    quota text collate "C" not null,
    most bigint,
    set_at timestamptz not null,
    constraint quotas_pkey primary key (org_id, quota),
    constraint quotas_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint quotas_most_check check (most >= 0)
);
select heddle.own_by_org('heddle.quotas', 'select, insert, update, delete');

reset role;
