-- Why: the answer to a request that creates, under the key that its client gave it, so that the same request sent twice
-- creates once. Written by the transaction that makes the change, so neither is there without the other.
-- Safe: adds only. Rows are of use for a day; whoever writes one removes some that are older. No secret is in them.

set local role heddle_owner;

create table heddle.idempotent_answers (
    org_id uuid not null,
    actor text not null,
    key text not null,
    fingerprint bytea not null,
    status smallint not null,
    headers jsonb not null,
    body text not null,
    expires_at timestamptz not null,
    constraint idempotent_answers_pkey primary key (org_id, actor, key),
    constraint idempotent_answers_org_fkey foreign key (org_id) references heddle.orgs (org_id),
    constraint idempotent_answers_key_check check (length(key) between 1 and 255),
    constraint idempotent_answers_fingerprint_check check (octet_length(fingerprint) = 32),
    constraint idempotent_answers_status_check check (status between 200 and 499)
);
create index idempotent_answers_expires on heddle.idempotent_answers (org_id, expires_at);
select heddle.own_by_org('heddle.idempotent_answers', 'select, insert, update, delete');

reset role;
