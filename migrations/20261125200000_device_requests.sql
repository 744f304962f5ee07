-- Why: devices that ask to be let in (RFC 8628). Whoever asks has proven nothing and belongs to nobody yet, so these rows belong to the
-- installation, not to an organisation; what a member decides about one is in `device_decisions`. Of the codes only the SHA-256 is kept.
-- Safe: adds only. The login role reads and writes the table itself, because asking comes before any organisation. Rows are of use
-- for minutes; whoever writes one removes those that are older.

set local role heddle_owner;

create table heddle.device_requests (
    id uuid not null,
    device_hash bytea not null,
    user_hash bytea not null,
    client text not null,
    address text,
    scopes text[],
    -- How long the device waits between two questions, and when it asked last.
    interval_seconds integer not null,
    asked_at timestamptz,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint device_requests_pkey primary key (id),
    constraint device_requests_device_key unique (device_hash),
    constraint device_requests_user_key unique (user_hash),
    constraint device_requests_hash_check check (octet_length(device_hash) = 32 and octet_length(user_hash) = 32),
    constraint device_requests_interval_check check (interval_seconds between 1 and 60)
);
create index device_requests_expires on heddle.device_requests (expires_at);
grant select, insert, delete, update (interval_seconds, asked_at) on heddle.device_requests to heddle_server;

reset role;
