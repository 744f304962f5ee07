-- no-transaction
-- Why: somebody may have a role for several services of a mesh, for each once.
-- Safe: built while rows are written; what it replaces goes afterwards.

create unique index concurrently if not exists role_bindings_place_key
    on heddle.role_bindings (org_id, principal_id, role, coalesce(mesh_id, org_id), coalesce(service, ''));
