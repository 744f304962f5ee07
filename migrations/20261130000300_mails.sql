-- Why: mail that is to be sent. It is written down in the transaction that wants it and sent afterwards by whichever server comes to it,
-- so that neither a crash nor a mail server that is away loses any. What is written down holds no secret: the link in a mail is drawn
-- when the mail is sent, see `link_secrets`.
-- Safe: adds only.

set local role heddle_owner;

create table heddle.mails (
    org_id uuid not null,
    id uuid not null,
    kind text not null,
    recipient text not null,
    -- What it is about: the invitation. A reset of a password is about whoever has the address when it is sent.
    about uuid,
    created_at timestamptz not null,
    -- What became of it. One that turned out to be for nobody is neither.
    sent_at timestamptz,
    failed_at timestamptz,
    constraint mails_pkey primary key (org_id, id),
    constraint mails_kind_check check (kind in ('password_reset', 'invitation')),
    constraint mails_outcome_check check (sent_at is null or failed_at is null)
);
create index mails_created on heddle.mails (org_id, created_at);
create index mails_about on heddle.mails (org_id, about) where about is not null;
select heddle.own_by_org('heddle.mails', 'select, insert, update, delete');

reset role;
