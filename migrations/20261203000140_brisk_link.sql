-- Why: each row of a chain is hashed, by the audit log and by the journal of certificates. A function in SQL that an aggregate calls is begun anew
-- for each row, which costs several times the hash.
-- Safe: replaces the function by one that answers the same.

set local role heddle_owner;

create or replace function heddle.link(state bytea, head bytea, record text) returns bytea
language plpgsql immutable parallel safe
as $$
begin
    return pg_catalog.sha256(coalesce(state, head) || pg_catalog.convert_to(record, 'UTF8'));
end
$$;

reset role;
