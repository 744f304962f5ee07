-- Why: whether somebody always watched a service is a question about proxies that have gone, too.
-- Safe: adds a column that may be empty; a server of the previous release leaves it so, and such a row says nothing about a service.

set local role heddle_owner;

alter table heddle.observers add column service text collate "C";

reset role;
