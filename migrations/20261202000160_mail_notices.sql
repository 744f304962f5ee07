-- Why: members are told by mail what was done about how they sign in.
-- Safe: allows what the previous release never writes; it leaves such mail to those who know it, and tries again later.

set local role heddle_owner;

alter table heddle.mails drop constraint mails_kind_check;
alter table heddle.mails add constraint mails_kind_check check (
    kind in ('password_reset', 'invitation', 'password_changed', 'second_factor_added', 'second_factor_removed')) not valid;
alter table heddle.mails validate constraint mails_kind_check;

reset role;
