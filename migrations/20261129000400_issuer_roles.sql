-- Why: a process that holds the sealing key logs in as a role of its own, and may do no more than its work: read authorities, write
-- the journal, and put sealed keys in the place of those that another key had sealed.
-- Safe: adds only. May run in several databases of one cluster at once, as the first migration.
--
--   heddle_issuer  what each of its transactions runs as: one organisation at a time
--   heddle_ca      what `heddled ca` logs in as: may become heddle_issuer, list meshes, and use the keys of sessions

do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('heddle_issuer', 'nologin'),
            ('heddle_ca', 'login noinherit')) as roles (name, attributes)
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
               where rolname in ('heddle_issuer', 'heddle_ca') and (rolsuper or rolbypassrls)) then
        raise exception 'heddle_issuer and heddle_ca must be neither superuser nor bypassrls';
    end if;

    -- The server too: where all roles are one process, it seals and signs itself.
    for wanted in select * from (values ('heddle_ca'), ('heddle_server')) as members (name)
    loop
        if not pg_has_role(wanted.name, 'heddle_issuer', 'member') then
            begin
                execute format('grant heddle_issuer to %I', wanted.name);
            exception
                when internal_error or unique_violation then null; -- "tuple concurrently updated": the other one granted it
            end;
            if not pg_has_role(wanted.name, 'heddle_issuer', 'member') then
                raise exception '% is not a member of heddle_issuer', wanted.name;
            end if;
        end if;
    end loop;
end
$$;

set local role heddle_owner;

grant usage on schema heddle to heddle_issuer, heddle_ca;
grant select (version, success) on heddle._sqlx_migrations to heddle_ca;
grant execute on function heddle.org_id() to heddle_issuer;

grant select, update (sealed_key) on heddle.authorities to heddle_issuer;
grant select, insert on heddle.certificates to heddle_issuer;
-- Whom it must not issue for any more, and which trust domain is whose.
grant select (org_id, mesh_id, trust_domain, deleted_at) on heddle.meshes to heddle_issuer;
grant select (org_id, mesh_id, service, proxy_id, lifted_at) on heddle.revocations to heddle_issuer;

-- The keys of sessions belong to no organisation, so the login roles touch them themselves.
grant select, update (sealed_key) on heddle.session_keys to heddle_ca;
grant update (sealed_key) on heddle.session_keys to heddle_server;

set local role heddle_door;
grant execute on function heddle.feed(xid8) to heddle_ca;

reset role;
