-- Why: what a webhook is to be told, and what became of it. It says which row of the audit log or which revision, and nothing about what:
-- the message is made when it is sent.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.webhook_deliveries (
    org_id uuid not null,
    webhook_id uuid not null,
    -- The message: the same for every webhook that gets it, and whenever it is sent again. Later ones are greater.
    id uuid not null,
    topic text not null,
    mesh_id uuid,
    revision bigint,
    created_at timestamptz not null,
    state text not null default 'pending',
    -- When it is due, while it is to be sent.
    next_at timestamptz,
    tries integer not null default 0,
    -- The last try: when it was, what the answer was and how it began, or why there was none.
    tried_at timestamptz,
    status integer,
    duration_ms integer,
    error text,
    response text,
    constraint webhook_deliveries_pkey primary key (org_id, webhook_id, id),
    constraint webhook_deliveries_webhook_fkey foreign key (org_id, webhook_id) references heddle.webhooks (org_id, id),
    constraint webhook_deliveries_topic_check check (topic in ('revision', 'audit', 'ping')),
    constraint webhook_deliveries_revision_check check ((topic = 'revision') = (revision is not null)),
    constraint webhook_deliveries_state_check check (state in ('pending', 'delivered', 'failed')),
    constraint webhook_deliveries_next_check check ((state = 'pending') = (next_at is not null))
);
create index webhook_deliveries_pending on heddle.webhook_deliveries (org_id, webhook_id, next_at) where state = 'pending';
select heddle.own_by_org('heddle.webhook_deliveries', 'select, insert, update, delete');

reset role;
