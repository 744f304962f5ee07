-- no-transaction
-- Why: the other index says more, and this one would not let anybody have a role for two services.
-- Safe: nothing names it.

drop index concurrently if exists heddle.role_bindings_key;
