-- Why: API tokens that belong to a member or a service account have that principal's roles, or fewer: `scopes` and `mesh_ids`
-- narrow them. A token made on the command line keeps a role of its own and belongs to nobody. A rotated token has two
-- secrets for a while.
-- Safe: adds nullable columns; the previous release goes on with tokens that have a role and refuses the others.

set local role heddle_owner;

alter table heddle.tokens
    alter column role drop not null,
    add column principal_id uuid,
    -- Permissions and meshes that it is narrowed to; null: not narrowed.
    add column scopes text[],
    add column mesh_ids uuid[],
    add column last_used_at timestamptz,
    add column rotated_at timestamptz,
    add column previous_hash bytea,
    add column previous_until timestamptz,
    add constraint tokens_owner_check check ((role is null) <> (principal_id is null)) not valid,
    add constraint tokens_previous_check check (
        (previous_hash is null) = (previous_until is null) and octet_length(previous_hash) = 32) not valid,
    add constraint tokens_principal_fkey foreign key (org_id, principal_id)
        references heddle.principals (org_id, id) not valid;
alter table heddle.tokens validate constraint tokens_owner_check;
alter table heddle.tokens validate constraint tokens_previous_check;
-- The foreign key stays as it is: no row before it has a principal, and nobody is exempt from row security to look.
create unique index tokens_previous_key on heddle.tokens (previous_hash) where previous_hash is not null;
create index tokens_principal on heddle.tokens (org_id, principal_id) where principal_id is not null;

reset role;
