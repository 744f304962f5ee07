-- Why: which program looks after an object, so that another one, or a person, does not undo its work unawares.
-- Safe: adds a column without a default; the previous release neither reads nor writes it. Null: nobody does.

set local role heddle_owner;

alter table heddle.resources add column managed_by jsonb;
alter table heddle.resources
    add constraint resources_managed_by_check check (jsonb_typeof(managed_by) = 'object') not valid;
alter table heddle.resources validate constraint resources_managed_by_check;

reset role;
