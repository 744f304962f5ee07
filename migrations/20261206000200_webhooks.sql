-- Why: where an organisation wants to be told what happens in it.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.webhooks (
    org_id uuid not null,
    id uuid not null,
    name text collate "C" not null,
    url text not null,
    topics text[] not null,
    -- Why it is told nothing: somebody wanted it so, it took nothing for days, too much waits for it, or it said that it is gone.
    disabled_why text,
    -- Since when nothing was taken, and how often in a row.
    failing_since timestamptz,
    failures integer not null default 0,
    -- Until when nobody tries, after many failures.
    paused_until timestamptz,
    -- Which server sends to it now, and until when nobody else does.
    lease uuid,
    leased_until timestamptz,
    created_at timestamptz not null,
    created_by text not null,
    updated_at timestamptz not null,
    constraint webhooks_pkey primary key (org_id, id),
    constraint webhooks_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint webhooks_name_key unique (org_id, name),
    constraint webhooks_topics_check check (topics <@ array['revision', 'audit'] and cardinality(topics) > 0),
    constraint webhooks_disabled_check check (disabled_why in ('by_hand', 'failing', 'backlog', 'gone')),
    constraint webhooks_lease_check check ((lease is null) = (leased_until is null))
);
select heddle.own_by_org('heddle.webhooks', 'select, insert, update, delete');

reset role;
