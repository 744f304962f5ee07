-- Why: a session can be narrowed: a device that was let in does what the member granted it, and no more. Null: whatever the member can do.
-- Safe: adds a column without a default; the previous release neither reads nor writes it.

set local role heddle_owner;

alter table heddle.sessions add column scopes text[];

reset role;
