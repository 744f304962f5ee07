-- Why: several servers on one database. A server says that it lives by a lease that it renews; what proxies' rows say of a server
-- whose lease ran out is taken for gone by those that live. Two servers judge that by one clock, the database's. News about
-- proxies come with the feed, so that each server learns of workloads that are connected to another.
-- Safe: adds only; the door gets one more column and every mesh whose proxies have news, which an older server passes over. Rows
-- that an older server writes belong to no lease: while it still runs beside a newer one, its proxies are shown as not connected.

set local role heddle_owner;

-- Of the installation and of no organisation: it says nothing about any.
create table heddle.replicas (
    -- A server, from its start to its end.
    replica uuid not null,
    started_at timestamptz not null,
    lease_until timestamptz not null,
    constraint replicas_pkey primary key (replica)
);
grant select, insert, update, delete on heddle.replicas to heddle_server;
grant select on heddle.replicas to heddle_tenant;

alter table heddle.mesh_status add column xid xid8 not null default pg_current_xact_id();
create index mesh_status_xid on heddle.mesh_status (xid);

grant create on schema heddle to heddle_door;
grant select on heddle.mesh_status to heddle_door;

set local role heddle_door;

drop function heddle.feed(xid8);
create function heddle.feed(after xid8)
returns table (next xid8, org_id uuid, mesh_id uuid, revision bigint, deleted boolean, status bigint)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select pg_snapshot_xmin(pg_current_snapshot()), null::uuid, null::uuid, null::bigint, null::boolean, null::bigint
    union all
    select null, m.org_id, m.mesh_id, m.revision, false, coalesce(s.seq, 0)
    from heddle.meshes m
    left join heddle.mesh_status s on s.org_id = m.org_id and s.mesh_id = m.mesh_id
    where $1 is null and m.deleted_at is null
    union all
    select null, m.org_id, m.mesh_id, m.revision, m.deleted_at is not null, coalesce(s.seq, 0)
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
