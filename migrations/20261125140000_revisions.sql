-- Why: a revision is something of its own: who made it, with which token and client, what they said about it, and how much it
-- changed. A row for each keeps lists cheap however many changes there are; what exactly changed is in `resources`.
-- Safe: adds only. Revisions from before get their row here. The table is append-only, like `changes`.

set local role heddle_owner;

create table heddle.revisions (
    org_id uuid not null,
    mesh_id uuid not null,
    revision bigint not null,
    actor text not null,
    token_id uuid,
    client text,
    message text,
    change_group text collate "C",
    -- The revision that this one restored, or the one that it took back.
    rolled_back_to bigint,
    reverted bigint,
    added bigint not null,
    changed bigint not null,
    removed bigint not null,
    created_at timestamptz not null,
    constraint revisions_pkey primary key (org_id, mesh_id, revision),
    constraint revisions_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint revisions_revision_check check (revision > 0),
    constraint revisions_message_check check (char_length(message) <= 500),
    constraint revisions_cause_check check (rolled_back_to is null or reverted is null)
);
create index revisions_group on heddle.revisions (org_id, mesh_id, change_group, revision)
    where change_group is not null;
select heddle.own_by_org('heddle.revisions', 'select, insert');

alter table heddle.changes add column token_id uuid;
alter table heddle.changes add column message text;
alter table heddle.changes add column change_group text collate "C";

-- What differs between two revisions began or ended between them.
create index resources_began on heddle.resources (org_id, mesh_id, from_revision);
create index resources_ended on heddle.resources (org_id, mesh_id, to_revision) where to_revision is not null;

-- Row security binds the owner too; the role of the doors may look at every organisation.
grant insert on heddle.revisions to heddle_door;
set local role heddle_door;
insert into heddle.revisions (org_id, mesh_id, revision, actor, client, added, changed, removed, created_at)
select c.org_id, c.mesh_id, c.revision, min(c.actor), min(c.client),
       count(distinct c.resource_id) filter (where c.action = 'create'),
       count(distinct c.resource_id) filter (where c.action = 'replace'),
       count(distinct c.resource_id) filter (where c.action = 'delete'),
       min(c.at)
from heddle.changes c
where c.revision is not null
group by c.org_id, c.mesh_id, c.revision;
set local role heddle_owner;
revoke insert on heddle.revisions from heddle_door;

reset role;
