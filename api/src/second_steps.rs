//! The table of contents of second factors, and of who has to have one; and the schemas of what is answered.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Get, Patch, Post};
use utoipa::openapi::{RefOr, Schema};

use crate::accounts::{maybe_time, object, optional, sent, text, time};
use crate::openapi::{Op, from_json};
use crate::table::Table;
use crate::v1::{second_factors, sessions, sign_in_policy};

const TAG: &str = "Second factors";

fn one(schema: &str) -> Option<String> {
    Some(schema.to_owned())
}

/// Adds the operations.
pub(crate) fn operations(table: Table) -> Table {
    let session_only = "For members who signed in: 403 for API tokens.";
    table
        .special(Post, sessions::SECOND_FACTORS, Op::new("create_second_factor_session", "Sign in: the second step", "Sessions").open().about("With the challenge that the first step was answered with, and a code. 401 when the code is wrong or was used before (`HED-2001`: the challenge works on, for a few codes), or the challenge cannot be answered any more (`HED-2091`); 429 after too many attempts.").body("AnswerChallenge", sessions::challenge_sample()).refuses().answer(201, "Signed in.", one("SignedIn")), sessions::answer)
        .op(Get, second_factors::ITEM, Op::new("get_second_factor", "Read what is known of one's own second factor", TAG).errors(&[409]).answer(200, "What is known of it.", one("SecondFactor")), second_factors::get)
        .op(Post, second_factors::ENROLMENTS, Op::new("create_second_factor_enrolment", "Begin to set up a second factor", TAG).about(format!("Time-based codes (RFC 6238), as every authenticator makes them. It counts once it was confirmed, within 15 minutes. The answer holds the key; no later one does, and a dry run shows none. Also for members without the second factor that the organisation asks for. 409 when there is one already. {session_only}")).body("Empty", json!({})).conflicts().tries().once().answer(201, "The key.", one("SecondFactorEnrolment")), second_factors::enrol)
        .op(Post, second_factors::CONFIRMATIONS, Op::new("create_second_factor_confirmation", "Confirm a second factor", TAG).about(format!("With a code of it. From then on it is asked for at each sign-in, and the member's other sessions end. The answer holds ten recovery codes; no later one does. Of codes nothing is kept, so an `Idempotency-Key` stands for the address alone, whatever the body. {session_only}")).body("ShowSecondFactor", second_factors::sample()).conflicts().limited().tries().once().answer(201, "Confirmed.", one("RecoveryCodes")), second_factors::confirm)
        .op(Post, second_factors::RECOVERY_CODES, Op::new("create_recovery_codes", "Get other recovery codes", TAG).about(format!("For a code. Those before lead to nothing from then on. An `Idempotency-Key` stands for the address alone. {session_only}")).body("ShowSecondFactor", second_factors::sample()).conflicts().limited().tries().once().answer(201, "Ten others.", one("RecoveryCodes")), second_factors::renew_recovery_codes)
        .op(Post, second_factors::REMOVALS, Op::new("create_second_factor_removal", "Remove one's own second factor", TAG).about(format!("For a code of it, or a recovery code. Where the organisation asks for a second factor, there is nothing to do afterwards but to set up another. An `Idempotency-Key` stands for the address alone. {session_only}")).body("ShowSecondFactor", second_factors::sample()).conflicts().limited().tries().once().answer(204, "Removed.", None), second_factors::remove)
        .op(Post, second_factors::RESETS, Op::new("create_member_second_factor_reset", "Remove the second factor of a member who has lost it", "Members").about("Ends the member's sessions; they are told by mail. 403 for who may do more than the caller, 409 for who has none.").body("Empty", json!({})).conflicts().tries().once().answer(204, "Removed.", None), second_factors::reset)
        .op(Get, sign_in_policy::ITEM, Op::new("get_sign_in_policy", "Read what the organisation asks of its members when they sign in", "Members").answer(200, "What it asks.", one("SignInPolicy")), sign_in_policy::get)
        .op(Patch, sign_in_policy::ITEM, Op::new("patch_sign_in_policy", "Change what the organisation asks of its members when they sign in", "Members").about(format!("A JSON Merge Patch (RFC 7396). 409 for whoever asks others for a second factor and has none, or to sign in by a provider and did not. {session_only}")).patch("SignInPolicy", json!({"require_mfa": true})).conflicts().tries().answer(200, "Changed, or equal already.", one("SignInPolicy")), sign_in_policy::patch)
}

/// Adds the schemas.
pub(crate) fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
    sent::<sessions::AnswerChallenge>(all);
    sent::<second_factors::ShowSecondFactor>(all);
    sent::<sign_in_policy::PatchSignInPolicy>(all);
    for (name, schema) in answers() {
        all.push((name.to_owned(), from_json(schema)));
    }
}

fn answers() -> Vec<(&'static str, Value)> {
    let once = "Only in this answer.";
    let enrolment = object(
        "What an authenticator takes.",
        &json!({"expires_at": time("Until when it can be confirmed.")}),
    );
    let secret = text(&format!("The key, to type: base32. {once}"));
    let uri = text(&format!(
        "The key as an authenticator reads it off a QR code. {once}"
    ));
    let codes = json!({"type": "array", "items": {"type": "string"}, "description": format!("Ten codes, each of use once, for whoever has lost the authenticator. {once}")});
    vec![
        (
            "SecondFactor",
            object(
                "What is known of a member's second factor.",
                &json!({
                    "enrolled": {"type": "boolean", "description": "Whether there is one."},
                    "confirmed_at": maybe_time("Since when."),
                    "recovery_codes_left": {"type": "integer", "minimum": 0, "description": "How many recovery codes were not used yet."},
                    "required": {"type": "boolean", "description": "Whether the organisation asks its members for one."},
                }),
            ),
        ),
        (
            "SecondFactorEnrolment",
            optional(optional(enrolment, "secret", secret), "otpauth_uri", uri),
        ),
        (
            "RecoveryCodes",
            optional(
                object("What is written down.", &json!({})),
                "recovery_codes",
                codes,
            ),
        ),
        (
            "SignInPolicy",
            object(
                "What the organisation asks of its members when they sign in.",
                &json!({
                    "require_mfa": {"type": "boolean", "description": "A second factor, of every member."},
                    "members_without_second_factor": {"type": "integer", "minimum": 0, "description": "How many members have none."},
                    "require_sso": {"type": "boolean", "description": "To sign in by an identity provider, of every member."},
                    "members_without_identity": {"type": "integer", "minimum": 0, "description": "How many members are linked with no account there."},
                }),
            ),
        ),
    ]
}
