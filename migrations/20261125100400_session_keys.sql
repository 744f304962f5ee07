-- Why: the keys that sign sessions' tokens. They belong to the installation, not to an organisation; the private ones are sealed
-- under a key that is not in the database. A key that another one has replaced verifies until `verify_until`.
-- Safe: adds only. The login role reads and writes the table itself, because signing in comes before any organisation.

set local role heddle_owner;

create table heddle.session_keys (
    id uuid not null,
    public_key bytea not null,
    sealed_key bytea not null,
    created_at timestamptz not null,
    verify_until timestamptz,
    constraint session_keys_pkey primary key (id),
    constraint session_keys_public_check check (octet_length(public_key) = 32)
);
grant select, insert, update (verify_until) on heddle.session_keys to heddle_server;

reset role;
