-- Why: a session says which second factor it began with, if any.
-- Safe: adds a column without a default; the previous release neither reads nor writes it.

set local role heddle_owner;

alter table heddle.sessions add column second_factor text
    constraint sessions_second_factor_check check (second_factor in ('totp', 'recovery_code'));

reset role;
