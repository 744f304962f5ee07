-- Why: an invitation gives a role for as long as whoever made it, or sent it again, may give it: the member or service account, and the
-- API token, if it was one.
-- Safe: adds nullable columns. The links of invitations that were made before, or that the previous release makes meanwhile, lead to
-- nothing until they are sent again: nobody is known to answer for them.

set local role heddle_owner;

alter table heddle.invitations
    add column inviter_id uuid,
    add column token_id uuid,
    add constraint invitations_inviter_fkey foreign key (org_id, inviter_id) references heddle.principals (org_id, id) not valid,
    add constraint invitations_token_fkey foreign key (org_id, token_id) references heddle.tokens (org_id, id) not valid;
-- The foreign keys stay as they are: no row before them has either, and nobody is exempt from row security to look.

reset role;
