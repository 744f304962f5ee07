-- Why: which mail is due, across organisations, for the servers that send it. A row says which mail of which organisation and nothing
-- about what, like the feed of changes: whoever takes one goes on inside of that organisation. A transaction of an organisation
-- adds turns and can neither see nor change any; the login role takes them and can add none.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.mail_turns (
    mail_id uuid not null,
    whose uuid not null,
    created_at timestamptz not null,
    -- When it is due. Whoever takes a turn moves this on: it is due again if nothing more is heard of it.
    due_at timestamptz not null,
    tries integer not null,
    constraint mail_turns_pkey primary key (mail_id),
    constraint mail_turns_tries_check check (tries >= 0)
);
create index mail_turns_due on heddle.mail_turns (due_at);
grant insert on heddle.mail_turns to heddle_tenant;
grant select, delete, update (due_at, tries) on heddle.mail_turns to heddle_server;

reset role;
