-- Why: where an organisation asks its members to sign in by its provider, the first door says of a session that it began with a password. An
-- owner with a second factor may: somebody has to, when the provider is away.
-- Safe: replaces the function by one that says one thing more, which the previous release does not read.

set local role heddle_owner;
grant create on schema heddle to heddle_door;

set local role heddle_door;

-- Door 1: who holds this credential? `api` and `join` take the SHA-256 of a token, `refresh` that of the lasting half of a refresh
-- secret, `device` that of a device's code. `session` takes the identifier of a session, whose signed token the caller has verified.
-- `org_name` takes the text of a name:
-- the credential of whoever administers the installation is the login role itself, and whoever signs in has proven nothing
-- yet. Expiry and revocation are judged by the caller, whose clock it is.
create or replace function heddle.authenticate(kind text, credential bytea)
returns table (org_id uuid, org_name text, id uuid, name text, role text, mesh_id uuid,
               expires_at timestamptz, revoked_at timestamptz, facts jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    -- Whoever a token belongs to.
    whose uuid;
    whose_kind text;
    whose_name text;
    gone_at timestamptz;
    scopes text[];
    meshes uuid[];
    used_at timestamptz;
    bindings jsonb;
    asks boolean;
    lacking boolean;
begin
    case $1
    when 'api' then
        select o.org_id, o.name, o.require_mfa, t.id, t.name, t.role, t.expires_at, t.revoked_at, t.principal_id, t.scopes,
               t.mesh_ids, t.last_used_at
        into org_id, org_name, asks, id, name, role, expires_at, revoked_at, whose, scopes, meshes, used_at
        from heddle.tokens t join heddle.orgs o on o.org_id = t.org_id
        where t.hash = $2;
        if not found then
            select o.org_id, o.name, o.require_mfa, t.id, t.name, t.role, least(t.expires_at, t.previous_until), t.revoked_at,
                   t.principal_id, t.scopes, t.mesh_ids, t.last_used_at
            into org_id, org_name, asks, id, name, role, expires_at, revoked_at, whose, scopes, meshes, used_at
            from heddle.tokens t join heddle.orgs o on o.org_id = t.org_id
            where t.previous_hash = $2;
        end if;
        if not found then
            return;
        end if;
        -- A token that belongs to nobody has no roles but its own.
        if whose is not null then
            select p.kind, p.name, p.deleted_at,
                   (select jsonb_agg(jsonb_build_object('role', b.role, 'mesh', b.mesh_id))
                    from heddle.role_bindings b where b.org_id = p.org_id and b.principal_id = p.id)
            into whose_kind, whose_name, gone_at, bindings
            from heddle.principals p where p.org_id = authenticate.org_id and p.id = whose;
            if asks and whose_kind = 'member' then
                lacking := not exists (select from heddle.second_factors f
                                       where f.org_id = authenticate.org_id and f.principal_id = whose and f.confirmed_at is not null);
            end if;
        end if;
        revoked_at := coalesce(revoked_at, gone_at);
        facts := jsonb_build_object(
            'principal', whose, 'kind', whose_kind, 'name', whose_name, 'scopes', scopes, 'meshes', meshes,
            'last_used_at', used_at, 'bindings', bindings, 'lacks_second_factor', lacking);
        return next;
    when 'session' then
        return query
        select o.org_id, o.name, s.id, p.name, null::text, null::uuid, s.expires_at,
               coalesce(s.revoked_at, p.deleted_at),
               jsonb_build_object(
                   'principal', p.id, 'kind', p.kind, 'name', p.name, 'scopes', s.scopes,
                   'bindings', (select jsonb_agg(jsonb_build_object('role', b.role, 'mesh', b.mesh_id))
                                from heddle.role_bindings b
                                where b.org_id = s.org_id and b.principal_id = s.principal_id),
                   'lacks_second_factor',
                   o.require_mfa and not exists (
                       select from heddle.second_factors f
                       where f.org_id = s.org_id and f.principal_id = s.principal_id and f.confirmed_at is not null),
                   'lacks_sso',
                   o.require_sso and s.method = 'password' and not (
                       exists (select from heddle.role_bindings b
                               where b.org_id = s.org_id and b.principal_id = s.principal_id
                                 and b.role = 'owner' and b.mesh_id is null)
                       and exists (select from heddle.second_factors f
                                   where f.org_id = s.org_id and f.principal_id = s.principal_id
                                     and f.confirmed_at is not null)))
        from heddle.sessions s
        join heddle.orgs o on o.org_id = s.org_id
        join heddle.principals p on p.org_id = s.org_id and p.id = s.principal_id
        -- By the index of the whole identifier: the token says whose it is, too.
        where s.org_id = encode(substring($2 from 1 for 16), 'hex')::uuid
          and s.id = encode(substring($2 from 17), 'hex')::uuid;
    when 'refresh' then
        return query
        select o.org_id, o.name, s.id, null::text, null::text, null::uuid, s.expires_at, s.revoked_at, null::jsonb
        from heddle.sessions s
        join heddle.orgs o on o.org_id = s.org_id
        where s.family_hash = $2;
    when 'device' then
        return query
        select o.org_id, o.name, d.request_id, null::text, null::text, null::uuid, d.expires_at, null::timestamptz, null::jsonb
        from heddle.device_requests r
        join heddle.device_decisions d on d.request_id = r.id
        join heddle.orgs o on o.org_id = d.org_id
        where r.device_hash = $2;
    when 'join' then
        return query
        select o.org_id, o.name, j.id, j.name, null::text, j.mesh_id, j.expires_at, j.revoked_at, null::jsonb
        from heddle.join_tokens j
        join heddle.orgs o on o.org_id = j.org_id
        join heddle.meshes m on m.org_id = j.org_id and m.mesh_id = j.mesh_id
        where j.hash = $2 and m.deleted_at is null;
    when 'org_name' then
        return query
        select o.org_id, o.name, null::uuid, null::text, null::text, null::uuid,
               null::timestamptz, null::timestamptz, null::jsonb
        from heddle.orgs o
        where o.name = convert_from($2, 'UTF8');
    else
        null;
    end case;
end
$$;

set local role heddle_owner;
revoke create on schema heddle from heddle_door;

reset role;
