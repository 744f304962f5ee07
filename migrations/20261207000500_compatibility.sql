-- Why: servers of the previous release go on while the schema is migrated and after, and may have to be started again meanwhile. So a server
-- must be able to tell a schema that is newer than it knows and still good for it from one that is not.
-- Safe: adds only. Releases from before do not read it, and refuse every schema that is newer.

set local role heddle_owner;

create table heddle.compatibility (
    one boolean not null default true,
    -- The oldest migration that a server has to know to work on this schema. Whatever takes away what older servers use raises it.
    since bigint not null,
    constraint compatibility_pkey primary key (one),
    constraint compatibility_one_check check (one)
);
insert into heddle.compatibility (since) values (20261207000500);
grant select on heddle.compatibility to heddle_server, heddle_ca;

reset role;
