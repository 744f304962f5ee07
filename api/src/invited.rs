//! The table of contents of what people do with a link that they got by mail, and of how they get one; and the schemas of what
//! is answered.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Delete, Get, Post};
use utoipa::openapi::{RefOr, Schema};

use crate::accounts::{maybe, meta, object, sent, text, time};
use crate::openapi::{Op, from_json, list_of};
use crate::table::Table;
use crate::v1::{invitations, password_resets};

/// Adds the operations.
pub(crate) fn operations(table: Table) -> Table {
    password_reset_operations(invitation_operations(table))
}

fn one(schema: &str) -> Option<String> {
    Some(schema.to_owned())
}

fn invitation_operations(table: Table) -> Table {
    let view = || one("Invitation");
    table
        .op(Get, invitations::COLLECTION, Op::new("list_invitations", "List invitations, newest first", "Members").about("Those that are neither accepted nor withdrawn.").paged().answer(200, "One page.", one("InvitationList")), invitations::list)
        .op(Post, invitations::COLLECTION, Op::new("create_invitation", "Invite somebody", "Members").about("They get a link by mail, which works once and for seven days, and become a member with it. Nobody gives a role that may do more than they. 409 when there is such a member, or an invitation to the address.").body("CreateInvitation", invitations::sample()).limited().tries().once().answer(201, "Invited: the mail will be sent.", view()), invitations::create)
        .op(Get, invitations::ITEM, Op::new("get_invitation", "Read an invitation", "Members").about("Whatever became of it.").answer(200, "The invitation, without its link.", view()), invitations::get)
        .op(Delete, invitations::ITEM, Op::new("delete_invitation", "Withdraw an invitation", "Members").about("Its link leads to nothing from then on. 404 once it was accepted.").tries().answer(204, "Withdrawn.", None), invitations::withdraw)
        .op(Post, invitations::SENDINGS, Op::new("create_invitation_sending", "Send an invitation again", "Members").about("With another link: those that were sent before lead to nothing. It can be accepted for another seven days. 403 for one that gives more than the caller has.").body("Empty", json!({})).limited().tries().once().answer(201, "The mail will be sent.", view()), invitations::send_again)
        .special(Post, invitations::LOOKUPS, Op::new("create_invitation_lookup", "See what an invitation is for", "Members").open().limited().errors(&[404]).about("With the secret of a link. 404 says no more than that the link cannot be used.").body("LookUpInvitation", invitations::look_sample()).answer(200, "What it is for.", one("InvitationLookup")), invitations::look)
        .special(Post, invitations::ACCEPTANCES, Op::new("create_invitation_acceptance", "Become a member by an invitation", "Members").open().limited().errors(&[403, 404]).about("With the secret of a link, once, and with the address that it was sent to: 403 with another one. Who is a member of another organisation becomes another member here, with a password of its own. Sign in afterwards.").body("AcceptInvitation", invitations::accept_sample()).answer(201, "A member.", one("Member")), invitations::accept)
}

fn password_reset_operations(table: Table) -> Table {
    table
        .special(Post, password_resets::COLLECTION, Op::new("create_password_reset", "Ask for another password", "Sessions").open().limited().about("Whoever has the address gets a link by mail, which works once and for an hour, if there is such a member. The answer is the same whether there is or not, and takes as long.").body("CreatePasswordReset", password_resets::sample()).answer(202, "If there is such a member, a mail will be sent.", None), password_resets::create)
        .special(Post, password_resets::COMPLETIONS, Op::new("create_password_reset_completion", "Set another password by a link", "Sessions").open().limited().errors(&[404]).about("With the secret of a link, once. Ends all sessions of the member. 404 says no more than that the link cannot be used.").body("CompletePasswordReset", password_resets::completion_sample()).answer(204, "Set: sign in with it.", None), password_resets::complete)
}

/// Adds the schemas.
pub(crate) fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
    sent::<invitations::CreateInvitation>(all);
    sent::<invitations::LookUpInvitation>(all);
    sent::<invitations::AcceptInvitation>(all);
    sent::<password_resets::CreatePasswordReset>(all);
    sent::<password_resets::CompletePasswordReset>(all);
    for (name, schema) in answers() {
        all.push((name.to_owned(), from_json(schema)));
    }
}

fn answers() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Invitation",
            object(
                "Somebody who was asked to become a member.",
                &json!({
                    "email": text("Where it was sent, and what the member will sign in with."),
                    "role": text("The role in the whole organisation that comes with it."),
                    "state": {"type": "string", "enum": ["pending", "expired", "accepted", "withdrawn"], "description": "What became of it. One that has expired can be sent again."},
                    "delivery": {"type": ["string", "null"], "enum": ["queued", "sent", "failed", null], "description": "What became of its last mail: still to be sent, taken by a mail server, or given up after a day; null once nobody remembers."},
                    "expires_at": time("Until when it can be accepted."),
                    "member": maybe("The identifier of the member that it made."),
                    "meta": meta(json!({"created_by": text("Who invited them.")})),
                }),
            ),
        ),
        ("InvitationList", list_of("Invitation")),
        (
            "InvitationLookup",
            object(
                "What an invitation is for.",
                &json!({
                    "org": text("The name of the organisation."),
                    "email": text("The address that it is for."),
                    "role": text("The role that comes with it."),
                    "expires_at": time("Until when it can be accepted."),
                }),
            ),
        ),
    ]
}
