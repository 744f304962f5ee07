-- Why: every write asks this at its end, while it holds its mesh. It is no door: what it names is named with its schema, so that the search path
-- need not be set and set back, which cost more than the question.
-- Safe: replaces the function by one that answers the same.

set local role heddle_owner;

create or replace function heddle.still(token uuid, digest bytea, session uuid, whose uuid, at timestamptz) returns jsonb
language plpgsql volatile
as $$
declare
    alive boolean := true;
    bindings jsonb;
begin
    -- A statement for each, so that what a caller did not come with is not even looked for.
    if $1 is not null then
        alive := coalesce((select t.revoked_at is null and (t.expires_at is null or t.expires_at > $5)
                                  and (t.hash = $2 or t.previous_hash = $2 and t.previous_until > $5)
                           from heddle.tokens t where t.id = $1), false);
    end if;
    if alive and $3 is not null then
        alive := coalesce((select s.revoked_at is null and s.expires_at > $5
                           from heddle.sessions s where s.id = $3), false);
    end if;
    if $4 is not null then
        bindings := (select jsonb_agg(jsonb_build_object('role', b.role, 'mesh', b.mesh_id))
                     from heddle.role_bindings b where b.principal_id = $4);
    end if;
    return jsonb_build_object('alive', alive, 'bindings', bindings);
end
$$;

reset role;
