-- Why: what a proxy says of itself decides which listeners it gets. Kept with its status, so that what it is told can be shown
-- wherever it is connected, and after it has left.
-- Safe: adds only. The column is null in existing rows and in those that an older server writes, and stays what it was there.

set local role heddle_owner;

alter table heddle.proxies add column setup jsonb;

reset role;
