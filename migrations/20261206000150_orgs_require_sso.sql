-- Why: an organisation can ask every member to sign in by its provider.
-- Safe: adds a column with a default; the previous release neither reads nor writes it.

set local role heddle_owner;

alter table heddle.orgs add column require_sso boolean not null default false;

reset role;
