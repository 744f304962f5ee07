-- Why: whoever may change a webhook is told by mail when it was switched off.
-- Safe: more is allowed than before.

set local role heddle_owner;

alter table heddle.mails drop constraint mails_kind_check;
alter table heddle.mails add constraint mails_kind_check check (
    kind in ('password_reset', 'invitation', 'password_changed', 'second_factor_added', 'second_factor_removed', 'webhook_disabled')) not valid;
alter table heddle.mails validate constraint mails_kind_check;

reset role;
