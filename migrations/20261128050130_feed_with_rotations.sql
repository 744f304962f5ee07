-- Why: servers take the steps of rotations, so the feed says in which meshes one is under way.
-- Safe: the door gets one more column, which an older server passes over.

set local role heddle_owner;
grant create on schema heddle to heddle_door;
grant select on heddle.rotations to heddle_door;

set local role heddle_door;

drop function heddle.feed(xid8);
create function heddle.feed(after xid8)
returns table (next xid8, org_id uuid, mesh_id uuid, revision bigint, deleted boolean, status bigint, rotating boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select pg_snapshot_xmin(pg_current_snapshot()), null::uuid, null::uuid, null::bigint, null::boolean, null::bigint, null::boolean
    union all
    select null, m.org_id, m.mesh_id, m.revision, false, coalesce(s.seq, 0),
           exists (select from heddle.rotations r where r.org_id = m.org_id and r.mesh_id = m.mesh_id and r.ended_at is null)
    from heddle.meshes m
    left join heddle.mesh_status s on s.org_id = m.org_id and s.mesh_id = m.mesh_id
    where $1 is null and m.deleted_at is null
    union all
    select null, m.org_id, m.mesh_id, m.revision, m.deleted_at is not null, coalesce(s.seq, 0),
           exists (select from heddle.rotations r where r.org_id = m.org_id and r.mesh_id = m.mesh_id and r.ended_at is null)
    from (select c.org_id, c.mesh_id
          from heddle.changes c
          where c.revision is not null and c.xid >= $1
          union
          select n.org_id, n.mesh_id
          from heddle.mesh_status n
          where n.xid >= $1) changed
    join heddle.meshes m on m.org_id = changed.org_id and m.mesh_id = changed.mesh_id
    left join heddle.mesh_status s on s.org_id = m.org_id and s.mesh_id = m.mesh_id
$$;

revoke all on function heddle.feed(xid8) from public;
grant execute on function heddle.feed(xid8) to heddle_server;

set local role heddle_owner;
revoke create on schema heddle from heddle_door;

reset role;
