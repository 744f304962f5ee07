-- no-transaction
-- Why: each object that is created is counted among those of its kind in the organisation.
-- Safe: built beside writers.

create index concurrently if not exists resources_kind on heddle.resources (org_id, kind, mesh_id) where to_revision is null;
