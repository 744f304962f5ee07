-- Why: that nobody was reported means nothing as long as nobody reports. Each proxy that has something to report says every few minutes that
-- it could, and since when it has been doing so without a gap.
-- Safe: adds only. No foreign key to proxies: an older server that forgets one does not know of this row, which then says nothing about
-- anybody.

set local role heddle_owner;

create table heddle.observers (
    org_id uuid not null,
    mesh_id uuid not null,
    proxy_id uuid not null,
    since timestamptz not null,
    heard_at timestamptz not null,
    constraint observers_pkey primary key (org_id, mesh_id, proxy_id),
    constraint observers_mesh_fkey foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id)
);
select heddle.own_by_org('heddle.observers', 'select, insert, update, delete');

reset role;
