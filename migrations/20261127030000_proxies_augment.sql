-- Why: a proxy may keep listeners of its own and get only the rest from here. It takes no calls of the mesh, so without this
-- column it would look like one that has not got its listeners yet.
-- Safe: adds only. An older server leaves the column at its default, which is what every proxy was until now.

set local role heddle_owner;

alter table heddle.proxies add column augments boolean not null default false;

reset role;
