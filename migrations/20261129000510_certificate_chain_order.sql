-- no-transaction
-- Why: looking through the chain of a mesh's journal goes along it, and no two rows have one place.
-- Safe: built while rows are written.

create unique index concurrently if not exists certificates_chain_key
    on heddle.certificates (org_id, mesh_id, seq) where seq is not null;
