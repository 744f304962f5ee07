-- Why: a role for programs that get certificates by the API and do nothing else, at a mesh also for one service of it.
-- Safe: widens a check and adds a column that the previous release leaves empty. It does not know the role: give it when all servers are newer.

set local role heddle_owner;

alter table heddle.role_bindings
    -- By name, as join tokens and certificates have it.
    add column service text collate "C",
    drop constraint role_bindings_role_check,
    add constraint role_bindings_role_check
        check (role in ('owner', 'admin', 'operator', 'developer', 'viewer', 'auditor', 'issuer')) not valid,
    add constraint role_bindings_service_check
        check (service is null or role = 'issuer' and mesh_id is not null) not valid;
alter table heddle.role_bindings validate constraint role_bindings_role_check;
alter table heddle.role_bindings validate constraint role_bindings_service_check;

reset role;
