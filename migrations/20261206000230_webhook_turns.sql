-- Why: which webhook is to be looked at when, across organisations, for the servers that send: like the turns of mails, it names an
-- organisation and a webhook and nothing of what there is to send. A transaction of an organisation adds turns and can neither see nor
-- change any, so writers never wait for each other or for who sends; the login role takes all of a webhook at once.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.webhook_turns (
    id uuid not null default gen_random_uuid(),
    whose uuid not null,
    webhook_id uuid not null,
    due_at timestamptz not null,
    constraint webhook_turns_pkey primary key (id)
);
create index webhook_turns_due on heddle.webhook_turns (due_at);
create index webhook_turns_webhook on heddle.webhook_turns (webhook_id);
grant insert on heddle.webhook_turns to heddle_tenant;
grant select, insert, delete, update (due_at) on heddle.webhook_turns to heddle_server;

reset role;
