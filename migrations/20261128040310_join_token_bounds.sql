-- Why: what a join token may be bound to beside its service: networks that its proxies come from, and labels that they get; and whether
-- its proxies are forgotten once they have been away for a while.
-- Safe: adds only. An older server makes tokens without any of it, and does not ask where a proxy comes from: bind tokens when all
-- servers are newer.

set local role heddle_owner;

alter table heddle.join_tokens
    add column ephemeral boolean not null default false,
    -- Null: from anywhere.
    add column networks text[],
    add column labels jsonb not null default '{}';
alter table heddle.join_tokens add constraint join_tokens_networks_check check (cardinality(networks) > 0) not valid;
alter table heddle.join_tokens validate constraint join_tokens_networks_check;
create index join_tokens_ephemeral on heddle.join_tokens (org_id, mesh_id) where ephemeral;

reset role;
