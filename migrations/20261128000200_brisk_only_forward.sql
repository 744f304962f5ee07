-- Why: every write moves the head of a chain. The trigger names nothing that a search path could lead elsewhere, so that it need not be
-- set and set back for each row.
-- Safe: replaces the function by one that refuses the same.

set local role heddle_owner;

create or replace function heddle.only_forward() returns trigger
language plpgsql
as $$
begin
    if new.org_id <> old.org_id or new.chain <> old.chain or new.seq <= old.seq then
        raise exception 'a chain of the audit log only grows';
    end if;
    return new;
end
$$;

reset role;
