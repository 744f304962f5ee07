-- Why: rows that were there before are as the check says.
-- Safe: validates without keeping anybody out.

set local role heddle_owner;

alter table heddle.sessions validate constraint sessions_method_check;

reset role;
