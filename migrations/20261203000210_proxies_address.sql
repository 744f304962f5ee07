-- no-transaction
-- Why: which services have a proxy at the address of a caller is asked for every caller that is listed, and under the lock of a mesh.
-- Safe: adds an index, without holding up anybody who writes.

create index concurrently if not exists proxies_address
    on heddle.proxies (org_id, mesh_id, host(address)) where address is not null;
