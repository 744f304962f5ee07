-- Why: authorities follow one another. Each row says what it is good for now, under which root it was made, and which rotation made
-- it give way.
-- Safe: adds only; what is there is active, and the new column with a foreign key is null everywhere, so that key need not be
-- validated. An older server signs with whichever authority lasts longest and knows no state: no rotation may be under way while
-- one still runs.

set local role heddle_owner;

alter table heddle.authorities add column state text not null default 'active';
alter table heddle.authorities add constraint authorities_state_check
    check (state in ('prepared', 'published', 'active', 'retiring', 'removed'));
-- The root that signed it; null for roots, and for what was made while a mesh had one root only.
alter table heddle.authorities add column parent_id uuid;
alter table heddle.authorities add constraint authorities_parent_fkey
    foreign key (org_id, mesh_id, parent_id) references heddle.authorities (org_id, mesh_id, id) not valid;
alter table heddle.authorities add column rotation_id uuid;
-- Whoever writes to the journal holds the row of the authority, so that none signs that gives way.
grant update (state, rotation_id) on heddle.authorities to heddle_tenant;

reset role;
