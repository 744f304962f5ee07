//! The table of contents of signing in by a provider; and the schemas of what is answered.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Delete, Get, Patch, Post};
use utoipa::openapi::{RefOr, Schema};

use crate::accounts::{maybe, meta, object, sent, text, time};
use crate::openapi::{Op, from_json, list_of};
use crate::table::Table;
use crate::v1::{identities, sso_connections, sso_sign_ins};

const TAG: &str = "Single sign-on";

fn one(schema: &str) -> Option<String> {
    Some(schema.to_owned())
}

/// Adds the operations.
pub(crate) fn operations(table: Table) -> Table {
    identity_operations(sign_in_operations(connection_operations(table)))
}

fn connection_operations(table: Table) -> Table {
    let view = || one("SsoConnection");
    table
        .op(Get, sso_connections::COLLECTION, Op::new("list_sso_connections", "List connections to identity providers", TAG).paged().answer(200, "One page.", one("SsoConnectionList")), sso_connections::list)
        .op(Post, sso_connections::COLLECTION, Op::new("create_sso_connection", "Connect an identity provider", TAG).about("OpenID Connect, with the authorization code flow and PKCE. Register `redirect_uri` of the answer at the provider: it follows from the name. What a connection leads to stays: another issuer or client is another connection. For members it takes one who signed in within the last five minutes.").body("CreateSsoConnection", sso_connections::sample()).tries().once().answer(201, "Connected: test it.", view()), sso_connections::create)
        .op(Get, sso_connections::ITEM, Op::new("get_sso_connection", "Read a connection to an identity provider", TAG).answer(200, "The connection, without its secret.", view()), sso_connections::get)
        .op(Patch, sso_connections::ITEM, Op::new("patch_sso_connection", "Change a connection to an identity provider", TAG).about("A JSON Merge Patch (RFC 7396): its name for people, and its secret.").patch("SsoConnection", json!({"client_secret": "s3cr3t"})).tries().answer(200, "Changed, or equal already.", view()), sso_connections::patch)
        .op(Delete, sso_connections::ITEM, Op::new("delete_sso_connection", "Delete a connection to an identity provider", TAG).about("With it goes what members are known by there, and their sessions that began with a provider end, except the caller's. 409 when members have to sign in by a provider and there is no other.").conflicts().tries().answer(204, "Deleted.", None), sso_connections::delete)
        .op(Post, sso_connections::TESTS, Op::new("create_sso_connection_test", "Test a connection to an identity provider", TAG).about("Reads what the provider says of itself and its keys, and shows it the client's secret with a code that is none. Nothing is stored, nobody signs in.").body("Empty", json!({})).answer(200, "What was found.", one("SsoConnectionTest")), sso_connections::test)
}

fn sign_in_operations(table: Table) -> Table {
    table
        .special(Get, sso_sign_ins::OPTIONS, Op::new("list_sign_in_connections", "List what members of an organisation can sign in with", "Sessions").open().about("Anyone may ask. Nothing for an organisation that there is not.").query("org", "The name of the organisation.").answer(200, "The connections.", one("SignInConnections")), sso_sign_ins::options)
        .special(Post, sso_sign_ins::COLLECTION, Op::new("create_sso_sign_in", "Sign in by an identity provider: off to it", "Sessions").open().limited().errors(&[404]).about("Keep `secret` where only this browser has it, and send it to `authorization_url`. 409 (`HED-2101`) when the provider cannot be read.").body("CreateSsoSignIn", sso_sign_ins::sample()).answer(201, "Where to.", one("SsoSignIn")), sso_sign_ins::create)
        .special(Post, sso_sign_ins::COMPLETIONS, Op::new("create_sso_sign_in_completion", "Sign in by an identity provider: back from it", "Sessions").open().refuses().errors(&[403, 404]).about("With the secret, and the query of the address that the provider sent the browser to, once. 401 says whether the provider refused (`HED-2100`), its word is not accepted (`HED-2102`), or nobody was sent with that (`HED-2103`); 403 that no member is linked with the account (`HED-2104`). With the secret of an invitation, whoever the provider vouches for becomes a member. Whoever has a second factor is asked for it as after a password.").body("CompleteSsoSignIn", sso_sign_ins::completion_sample()).answer(201, "Signed in.", one("SignedIn")), sso_sign_ins::complete)
}

fn identity_operations(table: Table) -> Table {
    let session_only = "For members who signed in: 403 for API tokens.";
    table
        .op(Get, identities::COLLECTION, Op::new("list_identities", "List what members are known by at identity providers, newest first", TAG).about("The caller's own; with `members:read` everybody's, or those of `member`.").query("member", "The e-mail address or identifier of a member.").paged().answer(200, "One page.", one("IdentityList")), identities::list)
        .op(Post, identities::COLLECTION, Op::new("create_identity", "Link one's own account at an identity provider: back from it", TAG).about(format!("With what the request was answered with, and the query of the address that the provider sent the browser to, once. 409 when the account or the member is linked already. {session_only}")).body("CompleteSsoSignIn", sso_sign_ins::completion_sample()).conflicts().answer(201, "Linked.", one("Identity")), identities::create)
        .op(Post, identities::REQUESTS, Op::new("create_identity_request", "Link one's own account at an identity provider: off to it", TAG).about(format!("Also for members whose session is of no other use, as the organisation asks to sign in by its provider. {session_only}")).body("CreateIdentityRequest", identities::sample()).answer(201, "Where to.", one("SsoSignIn")), identities::request)
        .op(Get, identities::ITEM, Op::new("get_identity", "Read what a member is known by at an identity provider", TAG).answer(200, "What they are known by.", one("Identity")), identities::get)
        .op(Delete, identities::ITEM, Op::new("delete_identity", "Unlink an account at an identity provider", TAG).about("The caller's own, or with `members:write` that of a member who may do no more than the caller. The member's sessions that began with a provider end, except the caller's.").tries().answer(204, "Unlinked.", None), identities::delete)
}

/// Adds the schemas.
pub(crate) fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
    sent::<sso_connections::CreateSsoConnection>(all);
    sent::<sso_connections::PatchSsoConnection>(all);
    sent::<sso_sign_ins::CreateSsoSignIn>(all);
    sent::<sso_sign_ins::CompleteSsoSignIn>(all);
    sent::<identities::CreateIdentityRequest>(all);
    for (name, schema) in answers() {
        all.push((name.to_owned(), from_json(schema)));
    }
}

fn option() -> Value {
    object(
        "A connection, for whoever is about to sign in.",
        &json!({"name": text("Its name."), "display_name": maybe("What people call it.")}),
    )
}

fn answers() -> Vec<(&'static str, Value)> {
    let check = object(
        "Something that was looked at.",
        &json!({
            "check": {"type": "string", "enum": ["configuration", "keys", "client"], "description": "What."},
            "passed": {"type": "boolean", "description": "Whether it is as it should be."},
            "detail": text("In words."),
        }),
    );
    vec![
        (
            "SsoConnection",
            object(
                "A provider by whose word members sign in.",
                &json!({
                    "name": text("Unique among the organisation's connections."),
                    "display_name": maybe("What people call it."),
                    "issuer": text("The provider, as it calls itself."),
                    "client_id": text("What it calls Heddle."),
                    "has_client_secret": {"type": "boolean", "description": "Whether Heddle shows it a secret."},
                    "redirect_uri": text("Where it sends people back to: what is registered there."),
                    "meta": meta(json!({"created_by": text("Who made it."), "updated_at": time("When it was changed last.")})),
                }),
            ),
        ),
        ("SsoConnectionList", list_of("SsoConnection")),
        (
            "SsoConnectionTest",
            object(
                "Whether a connection would work, as far as can be seen without anybody signing in.",
                &json!({
                    "passed": {"type": "boolean", "description": "Whether all is as it should be."},
                    "checks": {"type": "array", "description": "What was looked at, up to the first thing without which the rest makes no sense.", "items": check},
                }),
            ),
        ),
        (
            "SignInConnections",
            object(
                "What members of an organisation can sign in with.",
                &json!({"items": {"type": "array", "description": "The connections.", "items": option()}}),
            ),
        ),
        (
            "SsoSignIn",
            object(
                "Somebody who is sent to a provider.",
                &json!({
                    "authorization_url": text("Where the browser goes."),
                    "secret": text("What they come back with, once. Only in this answer."),
                    "expires_in": {"type": "integer", "minimum": 0, "description": "For how many seconds they can be away."},
                    "org": text("The name of the organisation."),
                    "connection": option(),
                }),
            ),
        ),
        (
            "Identity",
            object(
                "What a member is known by at a provider.",
                &json!({
                    "member": {"type": "object", "description": "The member.", "properties": {"uid": text("The identifier."), "email": text("The e-mail address.")}},
                    "connection": {"type": "object", "description": "The connection.", "properties": {"uid": text("The identifier."), "name": text("The name.")}},
                    "subject": text("What the provider knows the member by, for good."),
                    "provider_email": maybe("The address that the provider had when it last vouched for the member."),
                    "last_used_at": time("When that was."),
                    "meta": meta(json!({})),
                }),
            ),
        ),
        ("IdentityList", list_of("Identity")),
    ]
}
