-- Why: what messages to a webhook are signed with, sealed under a key that is not in the database. While one takes the place of another,
-- both sign.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.webhook_secrets (
    org_id uuid not null,
    id uuid not null,
    webhook_id uuid not null,
    sealed_key bytea not null,
    created_at timestamptz not null,
    -- Until when it signs, once there is another one.
    until timestamptz,
    constraint webhook_secrets_pkey primary key (org_id, id),
    constraint webhook_secrets_webhook_fkey foreign key (org_id, webhook_id) references heddle.webhooks (org_id, id)
);
create index webhook_secrets_webhook on heddle.webhook_secrets (org_id, webhook_id);
select heddle.own_by_org('heddle.webhook_secrets', 'select, insert, update, delete');

reset role;
