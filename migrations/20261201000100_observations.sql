-- Why: who still calls a port in plain text, and whom an access rule that only reports would refuse: by the word of the proxies that took
-- the calls. Counted by the day, so that what a caller costs does not grow with its calls, and kept for thirty days. Counts are "at
-- least": proxies drop what they cannot send.
-- Safe: adds only. An older server tells its proxies to report nothing.

set local role heddle_owner;

create table heddle.observations (
    org_id uuid not null,
    mesh_id uuid not null,
    day date not null,
    service text collate "C" not null,
    port text collate "C" not null,
    -- The mode of the port in which the call came in plain text; of a rule's calls `rule`.
    what text collate "C" not null,
    -- The access rule; of calls in plain text the nil identifier.
    rule uuid not null,
    -- An address or a SPIFFE id; empty for all callers of a day that came after so many others.
    caller text collate "C" not null,
    requests bigint not null,
    -- Those among them that were refused by access rules or for want of a token, whatever the mode.
    refused bigint not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    constraint observations_pkey primary key (org_id, mesh_id, service, day, port, what, rule, caller),
    constraint observations_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint observations_what_check check (what in ('permissive', 'off', 'rule')),
    constraint observations_caller_check check (octet_length(caller) <= 300),
    constraint observations_count_check check (requests >= 0 and refused >= 0)
);
create index observations_day on heddle.observations (org_id, day);
select heddle.own_by_org('heddle.observations', 'select, insert, update, delete');

reset role;
