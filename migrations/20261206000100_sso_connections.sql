-- Why: providers (OpenID Connect) by whose word members of an organisation sign in. The secret that is shown to one is sealed under a key that
-- is not in the database.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.sso_connections (
    org_id uuid not null,
    id uuid not null,
    name text not null,
    display_name text,
    issuer text not null,
    client_id text not null,
    -- Null: the provider asks for none.
    sealed_secret bytea,
    created_at timestamptz not null,
    created_by text not null,
    updated_at timestamptz not null,
    constraint sso_connections_pkey primary key (org_id, id),
    constraint sso_connections_name_key unique (org_id, name),
    constraint sso_connections_client_key unique (org_id, issuer, client_id)
);
select heddle.own_by_org('heddle.sso_connections', 'select, insert, update, delete');

reset role;
