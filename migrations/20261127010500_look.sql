-- Why: a request asks who calls, which mesh is meant, what is above an object and the object itself; each was a question of its
-- own, and the waiting in between was most of what a request cost. Here they are one, inside one transaction of the caller's
-- organisation: the first door says which that is, everything after it is read in the role and under the row security of any
-- other transaction. What comes out is judged by whoever asked; nothing of it is an answer before that.
-- Safe: a new function. The previous release does not call it.

set local role heddle_owner;

-- One row for the holder of the credential, then the mesh, each object of the path as far as there is one, and the page. A row
-- leaves in the other columns what was there before.
create function heddle.look(
    door text, credential bytea, wanted_mesh uuid, wanted_name text,
    -- The path below the mesh: of each object its kind, and either its identifier or its name.
    kinds text[], ids uuid[], names text[],
    -- The objects of one kind below the last one, by name, after one of them.
    page_kind text, after_name text, after_id uuid, page_limit bigint
)
returns table (org_id uuid, org_name text, id uuid, name text, role text, mesh_id uuid, expires_at timestamptz,
               revoked_at timestamptz, facts jsonb, kind text, parent_id uuid, spec jsonb, spec_version integer,
               from_revision bigint, created_at timestamptz, updated_at timestamptz, managed_by jsonb,
               trust_domain text, mesh_revision bigint)
-- Stable: everything is read as of one instant, and nothing can be written. Not a door: whoever calls it stays who they are.
language plpgsql stable
as $$
#variable_conflict use_column
declare
    inside uuid;
    above uuid;
begin
    select d.org_id, d.org_name, d.id, d.name, d.role, d.mesh_id, d.expires_at, d.revoked_at, d.facts
    into org_id, org_name, id, name, role, mesh_id, expires_at, revoked_at, facts
    from heddle.authenticate($1, $2) d limit 1;
    if not found then
        return;
    end if;
    return next;
    if revoked_at is not null then
        return;
    end if;
    facts := null;
    perform set_config('role', 'heddle_tenant', true), set_config('heddle.org_id', org_id::text, true);
    -- Two texts, because a plan that serves both columns serves neither.
    if $3 is null then
        select r.id, r.kind, r.parent_id, r.name, r.spec, r.spec_version, r.from_revision, r.created_at, r.updated_at, r.managed_by,
               m.trust_domain, m.revision
        into id, kind, parent_id, name, spec, spec_version, from_revision, created_at, updated_at, managed_by,
             trust_domain, mesh_revision
        from heddle.meshes m
        join heddle.resources r on r.org_id = m.org_id and r.mesh_id = m.mesh_id and r.id = m.mesh_id
                               and r.to_revision is null
        where m.deleted_at is null and m.name = $4;
    else
        select r.id, r.kind, r.parent_id, r.name, r.spec, r.spec_version, r.from_revision, r.created_at, r.updated_at, r.managed_by,
               m.trust_domain, m.revision
        into id, kind, parent_id, name, spec, spec_version, from_revision, created_at, updated_at, managed_by,
             trust_domain, mesh_revision
        from heddle.meshes m
        join heddle.resources r on r.org_id = m.org_id and r.mesh_id = m.mesh_id and r.id = m.mesh_id
                               and r.to_revision is null
        where m.deleted_at is null and m.mesh_id = $3;
    end if;
    if not found then
        return;
    end if;
    return next;
    inside := id;
    above := id;
    for i in 1 .. cardinality($5) loop
        if $6[i] is null then
            select r.id, r.kind, r.parent_id, r.name, r.spec, r.spec_version, r.from_revision, r.created_at, r.updated_at, r.managed_by
            into id, kind, parent_id, name, spec, spec_version, from_revision, created_at, updated_at, managed_by
            from heddle.resources r
            where r.mesh_id = inside and r.kind = $5[i] and coalesce(r.parent_id, r.mesh_id) = above
              and r.to_revision is null and r.name = $7[i];
        else
            select r.id, r.kind, r.parent_id, r.name, r.spec, r.spec_version, r.from_revision, r.created_at, r.updated_at, r.managed_by
            into id, kind, parent_id, name, spec, spec_version, from_revision, created_at, updated_at, managed_by
            from heddle.resources r
            where r.mesh_id = inside and r.kind = $5[i] and coalesce(r.parent_id, r.mesh_id) = above
              and r.to_revision is null and r.id = $6[i];
        end if;
        if not found then
            return;
        end if;
        return next;
        above := id;
    end loop;
    if $8 is null then
        return;
    end if;
    -- A name is there once below each parent, so that its order is one.
    if $9 is null then
        return query
        select null::uuid, null::text, r.id, r.name, null::text, null::uuid, null::timestamptz, null::timestamptz, null::jsonb,
               r.kind, r.parent_id, r.spec, r.spec_version, r.from_revision, r.created_at, r.updated_at, r.managed_by,
               null::text, null::bigint
        from heddle.resources r
        where r.mesh_id = inside and r.kind = $8 and coalesce(r.parent_id, r.mesh_id) = above and r.to_revision is null
        order by r.name limit $11;
    else
        return query
        select null::uuid, null::text, r.id, r.name, null::text, null::uuid, null::timestamptz, null::timestamptz, null::jsonb,
               r.kind, r.parent_id, r.spec, r.spec_version, r.from_revision, r.created_at, r.updated_at, r.managed_by,
               null::text, null::bigint
        from heddle.resources r
        where r.mesh_id = inside and r.kind = $8 and coalesce(r.parent_id, r.mesh_id) = above and r.to_revision is null
          and (r.name, r.id) > ($9, $10)
        order by r.name limit $11;
    end if;
end
$$;
revoke all on function heddle.look(text, bytea, uuid, text, text[], uuid[], text[], text, text, uuid, bigint) from public;
grant execute on function heddle.look(text, bytea, uuid, text, text[], uuid[], text[], text, text, uuid, bigint)
    to heddle_server;

reset role;
