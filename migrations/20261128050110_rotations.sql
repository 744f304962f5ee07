-- Why: how far the replacement of a mesh's authorities is, so that any server goes on where another one stopped.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.rotations (
    org_id uuid not null,
    mesh_id uuid not null,
    id uuid not null,
    what text not null,
    mode text not null,
    -- Whether each step waits for somebody to ask for it.
    manual boolean not null,
    state text not null,
    -- It was turned round: what was there before signs again.
    reversing boolean not null default false,
    -- Grows with every step: whoever takes one says which it follows.
    generation bigint not null default 1,
    -- The new authorities; no root where the old one stays.
    root_id uuid,
    issuing_id uuid not null,
    -- Since when leaves of those that give way are replaced, and over which time.
    replaced_from timestamptz,
    replace_over_ms bigint not null,
    -- The revision of the mesh that the present state made.
    revision bigint not null,
    created_at timestamptz not null,
    created_by text not null,
    moved_at timestamptz not null,
    ended_at timestamptz,
    constraint rotations_pkey primary key (org_id, mesh_id, id),
    constraint rotations_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id),
    constraint rotations_root_fkey foreign key (org_id, mesh_id, root_id)
        references heddle.authorities (org_id, mesh_id, id),
    constraint rotations_issuing_fkey foreign key (org_id, mesh_id, issuing_id)
        references heddle.authorities (org_id, mesh_id, id),
    constraint rotations_what_check check (what in ('intermediate', 'root')),
    constraint rotations_mode_check check (mode in ('planned', 'emergency', 'break_trust')),
    constraint rotations_state_check check (
        state in ('prepared', 'published', 'active', 'retiring', 'removed', 'cancelled')),
    constraint rotations_ended_check check ((ended_at is not null) = (state in ('removed', 'cancelled')))
);
create unique index rotations_open on heddle.rotations (org_id, mesh_id) where ended_at is null;
select heddle.own_by_org('heddle.rotations',
    'select, insert, update (state, reversing, generation, replaced_from, revision, moved_at, ended_at)');

reset role;
