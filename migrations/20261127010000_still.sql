-- Why: a write asks once more whether its caller still may, after all that it waited for and before its commit. As a function, because
-- a statement that waits for a lock inside goes on with what it saw before, and a volatile function looks again.
-- Safe: a new function. The previous release does not call it.

set local role heddle_owner;

-- What is left of a caller who came with a token and the digest of its secret, or with a session, and who is `whose`; what it did not
-- come with is null. `alive`: whether that still opens the door. `bindings`: the roles of whoever it is.
create function heddle.still(token uuid, digest bytea, session uuid, whose uuid, at timestamptz) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'alive',
            coalesce((select t.revoked_at is null and (t.expires_at is null or t.expires_at > $5)
                             and (t.hash = $2 or t.previous_hash = $2 and t.previous_until > $5)
                      from heddle.tokens t where t.id = $1), $1 is null)
            and coalesce((select s.revoked_at is null and s.expires_at > $5
                          from heddle.sessions s where s.id = $3), $3 is null),
            'bindings',
            (select jsonb_agg(jsonb_build_object('role', b.role, 'mesh', b.mesh_id))
             from heddle.role_bindings b where b.principal_id = $4)));
end
$$;
revoke all on function heddle.still(uuid, bytea, uuid, uuid, timestamptz) from public;
grant execute on function heddle.still(uuid, bytea, uuid, uuid, timestamptz) to heddle_tenant;

reset role;
