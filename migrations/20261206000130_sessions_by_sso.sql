-- Why: a session can begin by the word of a provider, which may say when it last asked who somebody is.
-- Safe: the previous release writes none of the new methods, and shows whatever it finds. The check is validated by the next file.

set local role heddle_owner;

alter table heddle.sessions add column authenticated_at timestamptz;
alter table heddle.sessions drop constraint sessions_method_check;
alter table heddle.sessions
    add constraint sessions_method_check check (method in ('password', 'device', 'sso')) not valid;

reset role;
