-- Why: whoever seals keys anew under another key has to come to every one of them, and those of people are in organisations that may have
-- no mesh. Like the turns of mails, this says which organisations these are and nothing else.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.sealing_orgs (
    whose uuid not null,
    constraint sealing_orgs_pkey primary key (whose)
);
grant insert on heddle.sealing_orgs to heddle_tenant;
grant select on heddle.sealing_orgs to heddle_server;

reset role;
