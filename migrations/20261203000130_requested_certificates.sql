-- Why: a certificate that was asked for by the API is held by nobody who has a stream or a watch, so nothing says whether its holder follows a
-- rotation. What is known: up to which revision its bundle went, and when it ends; until then a planned rotation waits.
-- Safe: adds only. An older server neither gives out such certificates nor waits for them.

set local role heddle_owner;

create table heddle.requested_certificates (
    org_id uuid not null,
    mesh_id uuid not null,
    serial text not null,
    service text collate "C" not null,
    -- The revision of the mesh up to which whoever got it trusts whom it should.
    revision bigint not null,
    not_after timestamptz not null,
    constraint requested_certificates_pkey primary key (org_id, mesh_id, serial),
    -- It is in the journal before it is signed, and signed before it is given out.
    constraint requested_certificates_journal_fkey foreign key (org_id, mesh_id, serial)
        references heddle.certificates (org_id, mesh_id, serial)
);
create index requested_certificates_end on heddle.requested_certificates (org_id, mesh_id, not_after);
select heddle.own_by_org('heddle.requested_certificates', 'select, insert, delete');

reset role;
