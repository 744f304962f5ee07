-- Why: an organisation can ask every member for a second factor.
-- Safe: adds a column with a default; the previous release neither reads nor writes it.

set local role heddle_owner;

alter table heddle.orgs add column require_mfa boolean not null default false;

reset role;
