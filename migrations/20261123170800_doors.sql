-- Why: the only two ways to look across organisations, for the server's login role alone. Everything else runs inside
-- one organisation. There is no third: a test reads the catalogue.
-- Safe: adds only.

-- For whoever is no superuser: the receiver of an object must be allowed to create in its schema, for a moment.
set local role heddle_owner;
grant create on schema heddle to heddle_door;
grant select on heddle.orgs, heddle.tokens, heddle.meshes, heddle.join_tokens, heddle.changes to heddle_door;

set local role heddle_door;

-- Door 1: who holds this credential? `api` and `join` take the SHA-256 of a token. `org_name` takes the text of a name:
-- the credential of whoever administers the installation is the login role itself. Expiry and revocation are judged by the
-- caller, whose clock it is.
create function heddle.authenticate(kind text, credential bytea)
returns table (org_id uuid, org_name text, id uuid, name text, role text, mesh_id uuid,
               expires_at timestamptz, revoked_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select o.org_id, o.name, t.id, t.name, t.role, null::uuid, t.expires_at, t.revoked_at
    from heddle.tokens t
    join heddle.orgs o on o.org_id = t.org_id
    where $1 = 'api' and t.hash = $2
    union all
    select o.org_id, o.name, j.id, j.name, null, j.mesh_id, j.expires_at, j.revoked_at
    from heddle.join_tokens j
    join heddle.orgs o on o.org_id = j.org_id
    join heddle.meshes m on m.org_id = j.org_id and m.mesh_id = j.mesh_id
    where $1 = 'join' and j.hash = $2 and m.deleted_at is null
    union all
    select o.org_id, o.name, null, null, null, null, null, null
    from heddle.orgs o
    where $1 = 'org_name' and convert_to(o.name, 'UTF8') = $2
$$;

-- Door 2: which mesh is at which revision? Without a position: all live ones. With one: those that a transaction
-- changed which was not finished when the position was taken. The first row says where to go on.
create function heddle.feed(after xid8)
returns table (next xid8, org_id uuid, mesh_id uuid, revision bigint, deleted boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select pg_snapshot_xmin(pg_current_snapshot()), null::uuid, null::uuid, null::bigint, null::boolean
    union all
    select null, m.org_id, m.mesh_id, m.revision, false
    from heddle.meshes m
    where $1 is null and m.deleted_at is null
    union all
    select null, m.org_id, m.mesh_id, m.revision, m.deleted_at is not null
    from (select distinct c.org_id, c.mesh_id
          from heddle.changes c
          where c.revision is not null and c.xid >= $1) changed
    join heddle.meshes m on m.org_id = changed.org_id and m.mesh_id = changed.mesh_id
$$;

revoke all on function heddle.authenticate(text, bytea), heddle.feed(xid8) from public;
grant execute on function heddle.authenticate(text, bytea), heddle.feed(xid8) to heddle_server;

set local role heddle_owner;
revoke create on schema heddle from heddle_door;

reset role;
