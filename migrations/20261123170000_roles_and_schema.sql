-- Why: who may touch what. Four roles, one schema, and the one helper that makes a table belong to organisations.
-- Safe: adds only. May run in several databases of one cluster at once: roles are shared, so losing a race is fine.
--
--   heddle_owner   owns everything in schema `heddle`; nobody logs in as it
--   heddle_door    owns the two functions that look across organisations, and nothing else
--   heddle_tenant  what every transaction of the server runs as: one organisation at a time
--   heddle_server  what the server logs in as: may become heddle_tenant and call the doors

do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('heddle_owner', 'nologin'),
            ('heddle_door', 'nologin bypassrls'),
            ('heddle_tenant', 'nologin'),
            ('heddle_server', 'login noinherit')) as roles (name, attributes)
    loop
        if not exists (select from pg_roles where rolname = wanted.name) then
            begin
                execute format('create role %I %s', wanted.name, wanted.attributes);
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise exception 'role % does not exist and % may not create it', wanted.name, current_user
                        using hint = format('As a superuser: create role %I %s;', wanted.name, wanted.attributes);
            end;
        end if;
    end loop;

    if exists (select from pg_roles
               where rolname in ('heddle_owner', 'heddle_tenant', 'heddle_server') and (rolsuper or rolbypassrls)) then
        raise exception 'heddle_owner, heddle_tenant and heddle_server must be neither superuser nor bypassrls';
    end if;
    if not exists (select from pg_roles
                   where rolname = 'heddle_door' and rolbypassrls and not rolsuper and not rolcanlogin) then
        raise exception 'heddle_door must be bypassrls, not superuser and not able to log in';
    end if;

    if not pg_has_role('heddle_server', 'heddle_tenant', 'member') then
        begin
            execute 'grant heddle_tenant to heddle_server';
        exception
            when internal_error or unique_violation then null; -- "tuple concurrently updated": the other one granted it
        end;
        if not pg_has_role('heddle_server', 'heddle_tenant', 'member') then
            raise exception 'heddle_server is not a member of heddle_tenant';
        end if;
    end if;

    -- A superuser may hand objects over; anyone else must be a member of the roles that receive them.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        if not pg_has_role(current_user, 'heddle_owner', 'member') then
            execute format('grant heddle_owner to %I', current_user);
        end if;
        if not pg_has_role(current_user, 'heddle_door', 'member') then
            execute format('grant heddle_door to %I', current_user);
        end if;
        execute format('grant create on database %I to heddle_owner', current_database());
    end if;
end
$$;

alter schema heddle owner to heddle_owner;
alter table heddle._sqlx_migrations owner to heddle_owner;

set local role heddle_owner;

revoke all on schema heddle from public;
grant usage on schema heddle to heddle_tenant, heddle_server, heddle_door;
-- The server refuses to work on a schema that it does not know; for that it must see which one this is.
grant select (version, success) on heddle._sqlx_migrations to heddle_server;

-- The organisation of the running transaction. Loud without one: an unset parameter is unrecognised, one that an
-- earlier transaction of the connection had set is the empty text, which is no uuid. Never null, so never "all rows".
create function heddle.org_id() returns uuid
language sql stable
as $$ select current_setting('heddle.org_id')::uuid $$;
revoke all on function heddle.org_id() from public;
grant execute on function heddle.org_id() to heddle_tenant;

-- Makes a table belong to organisations. Forced, so that it binds the owner too. The sub-select makes the predicate
-- a constant of the query, which an index condition can use.
create function heddle.own_by_org(target regclass, privileges text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format('create policy own_org on %s using (org_id = (select heddle.org_id())) '
                   'with check (org_id = (select heddle.org_id()))', target);
    execute format('grant %s on %s to heddle_tenant', privileges, target);
end
$$;
revoke all on function heddle.own_by_org(regclass, text) from public;

reset role;
