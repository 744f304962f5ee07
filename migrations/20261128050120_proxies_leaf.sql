-- Why: which leaf a proxy has acknowledged, so that it is known when nobody holds one of an authority any more.
-- Safe: adds only; null in existing rows, and an older server leaves it so.

set local role heddle_owner;

alter table heddle.proxies add column leaf_serial text;

reset role;
