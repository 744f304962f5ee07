-- Why: what an organisation used on each day, in UTC: what a bill can be made of. Servers add to it every few seconds.
-- Safe: adds only. What the previous release does meanwhile is not counted.

set local role heddle_owner;

create table heddle.usage_days (
    org_id uuid not null,
    day date not null,
    meter text collate "C" not null,
    amount bigint not null,
    constraint usage_days_pkey primary key (org_id, day, meter),
    constraint usage_days_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint usage_days_amount_check check (amount >= 0)
);
select heddle.own_by_org('heddle.usage_days', 'select, insert, update, delete');

reset role;
