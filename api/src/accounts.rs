//! The table of contents of who may do what: members, service accounts, roles, tokens and sessions; and the schemas of
//! what they send and get.

use serde_json::{Value, json};
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod::{Delete, Get, Patch, Post};
use utoipa::openapi::{RefOr, Schema};

use crate::openapi::{Op, from_json, list_of};
use crate::table::Table;
use crate::v1::{
    devices, members, permissions, principals, role_bindings, service_accounts, sessions, tokens,
};

/// Adds the operations.
pub(crate) fn operations(table: Table) -> Table {
    let table = member_operations(table);
    let table = service_account_operations(table);
    let table = role_binding_operations(table);
    let table = token_operations(table);
    let table = session_operations(table);
    device_operations(table)
}

fn one(schema: &str) -> Option<String> {
    Some(schema.to_owned())
}

fn member_operations(table: Table) -> Table {
    table
        .op(Get, members::COLLECTION, Op::new("list_members", "List members, by e-mail address", "Members").paged().answer(200, "One page.", one("MemberList")), principals::list::<members::Member>)
        .op(Post, members::COLLECTION, Op::new("create_member", "Create a member", "Members").about("The answer holds a password to begin with; no later one does, and a dry run shows none.").body("CreateMember", members::sample()).tries().once().answer(201, "Created.", one("NewMember")), members::create)
        .op(Get, members::ITEM, Op::new("get_member", "Read a member", "Members").answer(200, "The member.", one("Member")), principals::get::<members::Member>)
        .op(Patch, members::ITEM, Op::new("patch_member", "Change a member", "Members").about("A JSON Merge Patch (RFC 7396).").patch("Principal", json!({"display_name": "Ada"})).tries().answer(200, "Changed, or equal already.", one("Member")), principals::patch::<members::Member>)
        .op(Delete, members::ITEM, Op::new("delete_member", "Remove a member with its roles, tokens and sessions", "Members").about("409 for the last owner; 403 for who may do more than the caller.").conflicts().tries().answer(204, "Removed.", None), principals::delete::<members::Member>)
        .op(Post, members::PASSWORD_RESETS, Op::new("create_member_password_reset", "Give a member a new password", "Members").about("Ends the member's sessions. The answer holds the password; no later one does, and a dry run shows none. 403 for who may do more than the caller.").body("Empty", json!({})).tries().once().answer(201, "Reset.", one("NewMember")), members::reset_password)
}

fn service_account_operations(table: Table) -> Table {
    let view = || one("ServiceAccount");
    table
        .op(
            Get,
            service_accounts::COLLECTION,
            Op::new(
                "list_service_accounts",
                "List service accounts, by name",
                "Service accounts",
            )
            .paged()
            .answer(200, "One page.", one("ServiceAccountList")),
            principals::list::<service_accounts::ServiceAccount>,
        )
        .op(
            Post,
            service_accounts::COLLECTION,
            Op::new(
                "create_service_account",
                "Create a service account",
                "Service accounts",
            )
            .body("CreateServiceAccount", service_accounts::sample())
            .tries()
            .once()
            .answer(201, "Created.", view()),
            service_accounts::create,
        )
        .op(
            Get,
            service_accounts::ITEM,
            Op::new(
                "get_service_account",
                "Read a service account",
                "Service accounts",
            )
            .answer(200, "The service account.", view()),
            principals::get::<service_accounts::ServiceAccount>,
        )
        .op(
            Patch,
            service_accounts::ITEM,
            Op::new(
                "patch_service_account",
                "Change a service account",
                "Service accounts",
            )
            .about("A JSON Merge Patch (RFC 7396).")
            .patch("Principal", json!({"display_name": "Deploys"}))
            .tries()
            .answer(200, "Changed, or equal already.", view()),
            principals::patch::<service_accounts::ServiceAccount>,
        )
        .op(
            Delete,
            service_accounts::ITEM,
            Op::new(
                "delete_service_account",
                "Remove a service account with its roles and tokens",
                "Service accounts",
            )
            .about("403 for one that may do more than the caller.")
            .tries()
            .answer(204, "Removed.", None),
            principals::delete::<service_accounts::ServiceAccount>,
        )
}

fn role_binding_operations(table: Table) -> Table {
    let view = || one("RoleBinding");
    table
        .op(Get, role_bindings::COLLECTION, Op::new("list_role_bindings", "List who has which role", "Roles").paged().query("member", "Only those of a member: the e-mail address or the identifier.").query("service_account", "Only those of a service account: its name or its identifier.").query("mesh", "Only those at a mesh: its name or its identifier.").answer(200, "One page.", one("RoleBindingList")), role_bindings::list)
        .op(Post, role_bindings::COLLECTION, Op::new("create_role_binding", "Give a role", "Roles").about("In the whole organisation or at one mesh. Nobody gives more than they have.").body("CreateRoleBinding", role_bindings::sample()).tries().once().answer(201, "Given.", view()), role_bindings::create)
        .op(Get, role_bindings::ITEM, Op::new("get_role_binding", "Read a role binding", "Roles").answer(200, "The binding.", view()), role_bindings::get)
        .op(Delete, role_bindings::ITEM, Op::new("delete_role_binding", "Take a role away", "Roles").about("With the next request it is gone. 409 for the last owner. Nobody takes away more than they have.").conflicts().tries().answer(204, "Taken away.", None), role_bindings::delete)
        .op(Post, permissions::CHECK, Op::new("create_permission_check", "Ask what would be permitted", "Roles").body("CheckPermissions", permissions::sample()).answer(200, "The answers.", one("PermissionsChecked")), permissions::check)
}

fn token_operations(table: Table) -> Table {
    table
        .op(Get, tokens::COLLECTION, Op::new("list_tokens", "List API tokens, by name", "API tokens").about("Without `tokens:read`, the caller's own.").paged().query("member", "Only those of a member: the e-mail address or the identifier.").query("service_account", "Only those of a service account: its name or its identifier.").answer(200, "One page.", one("ApiTokenList")), tokens::list)
        .op(Post, tokens::COLLECTION, Op::new("create_token", "Create an API token", "API tokens").about("The caller's own, or with `tokens:write` a service account's. It can do what its owner can, or less, and never more than who makes it. The answer holds the secret; no later one does, and a dry run shows none.").body("CreateApiToken", tokens::sample()).tries().once().answer(201, "Created.", one("NewApiToken")), tokens::create)
        .op(Get, tokens::ITEM, Op::new("get_token", "Read an API token", "API tokens").answer(200, "The token, without its secret.", one("ApiToken")), tokens::get)
        .op(Delete, tokens::ITEM, Op::new("delete_token", "Revoke an API token", "API tokens").about("The caller's own, or with `tokens:write` anybody's. The next request with it is refused.").tries().answer(204, "Revoked.", None), tokens::delete)
        .op(Post, tokens::ROTATIONS, Op::new("create_token_rotation", "Give an API token a new secret", "API tokens").about("The old secret works on for `overlap`, so that whoever uses it can change over.").body("RotateApiToken", tokens::rotation_sample()).tries().once().answer(201, "Rotated; with the new secret.", one("NewApiToken")), tokens::rotate)
}

fn session_operations(table: Table) -> Table {
    let signed_in = || one("SignedIn");
    table
        .special(Post, sessions::SIGN_IN, Op::new("create_session", "Sign in", "Sessions").open().about("With e-mail address and password. 401 says no more than that something is wrong; 429 after too many attempts. Of who has a second factor it asks for that, too: 401 with the code `HED-2090` and a `challenge` for the second step. The answer holds a token that works for minutes, and a refresh secret that gets the next one.").body("CreateSession", sessions::sample()).refuses().answer(201, "Signed in.", signed_in()), sessions::create)
        .special(Post, sessions::REFRESHES, Op::new("create_session_refresh", "Get the next token of a session", "Sessions").open().about("A refresh secret works once. One that is used twice ends its session: somebody has a copy.").body("RefreshSession", sessions::refresh_sample()).refuses().answer(201, "Refreshed.", signed_in()), sessions::refresh)
        .op(Get, sessions::COLLECTION, Op::new("list_sessions", "List sessions, newest first", "Sessions").about("Without `members:read`, the caller's own.").paged().query("member", "Only those of a member: the e-mail address or the identifier.").answer(200, "One page.", one("SessionList")), sessions::list)
        .op(Get, sessions::ITEM, Op::new("get_session", "Read a session", "Sessions").about("`current` is that of the request.").answer(200, "The session.", one("Session")), sessions::get)
        .op(Delete, sessions::ITEM, Op::new("delete_session", "End a session", "Sessions").about("The caller's own, or with `members:write` anybody's; `current` is that of the request, which also a member may end without the second factor that the organisation asks for. The next request with its token is refused.").tries().answer(204, "Ended.", None), sessions::delete)
        .op(Post, sessions::PASSWORD_CHANGES, Op::new("create_password_change", "Change one's own password", "Sessions").about("Ends the member's other sessions. Of passwords nothing is kept, so an `Idempotency-Key` stands for the address alone, whatever the body.").body("ChangePassword", sessions::password_sample()).tries().once().refuses().answer(204, "Changed.", None), sessions::change_password)
}

fn device_operations(table: Table) -> Table {
    let view = || one("DeviceAuthorization");
    table
        .special(Post, devices::COLLECTION, Op::new("create_device_authorization", "Ask to be let in without a browser", "Sessions").open().limited().about("Device authorization (RFC 8628), with JSON bodies. Show the member `user_code` and where to type it, and ask for the session every `interval` seconds.").body("CreateDeviceAuthorization", devices::sample()).answer(201, "Asked.", one("NewDeviceAuthorization")), devices::create)
        .special(Post, devices::TOKENS, Op::new("create_device_token", "Get the session of a device that was let in", "Sessions").open().about("400 until a member has decided, and when none did: `error` is `authorization_pending`, `slow_down` (wait `interval` seconds from now on), `access_denied`, `expired_token`, or `invalid_grant` for a code that is unknown or was used. The session comes once.").body("CreateDeviceToken", devices::token_sample()).answer(201, "Let in.", one("SignedIn")), devices::token)
        .op(Get, devices::ITEM, Op::new("get_device_authorization", "Read what a device asks for", "Sessions").about("For members who signed in: 403 for API tokens. Codes that lead to nothing are counted: 429.").limited().answer(200, "What it asks for.", view()), devices::get)
        .op(Post, devices::APPROVALS, Op::new("create_device_approval", "Let a device in", "Sessions").about("It gets a session of the caller, narrowed to the permissions that it asks for. Once: 404 afterwards. For members who signed in: 403 for API tokens.").limited().body("Empty", json!({})).tries().once().answer(201, "It will be let in when it asks next.", view()), devices::approve)
        .op(Post, devices::DENIALS, Op::new("create_device_denial", "Do not let a device in", "Sessions").about("Once: 404 afterwards. For members who signed in: 403 for API tokens.").limited().body("Empty", json!({})).tries().once().answer(201, "It will be told so.", view()), devices::deny)
}

/// Adds the schemas.
pub(crate) fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
    sent::<members::CreateMember>(all);
    sent::<principals::PatchPrincipal>(all);
    sent::<members::Empty>(all);
    sent::<service_accounts::CreateServiceAccount>(all);
    sent::<role_bindings::CreateRoleBinding>(all);
    sent::<tokens::CreateApiToken>(all);
    sent::<tokens::RotateApiToken>(all);
    sent::<permissions::CheckPermissions>(all);
    sent::<sessions::CreateSession>(all);
    sent::<sessions::RefreshSession>(all);
    sent::<sessions::ChangePassword>(all);
    sent::<devices::CreateDeviceAuthorization>(all);
    sent::<devices::CreateDeviceToken>(all);
    for (name, schema) in answers() {
        all.push((name.to_owned(), from_json(schema)));
    }
}

/// What a body is decoded into, with what it refers to.
pub(crate) fn sent<T: ToSchema + PartialSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
    let mut named = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut named);
    for (name, schema) in named {
        if !all.iter().any(|(known, _)| *known == name) {
            all.push((name, schema));
        }
    }
}

pub(crate) fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

pub(crate) fn maybe(about: &str) -> Value {
    json!({"type": ["string", "null"], "description": about})
}

pub(crate) fn time(about: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": about})
}

pub(crate) fn maybe_time(about: &str) -> Value {
    json!({"type": ["string", "null"], "format": "date-time", "description": about})
}

/// An object all of whose fields are in every answer.
pub(crate) fn object(about: &str, fields: &Value) -> Value {
    let required: Vec<&String> = fields
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k)
        .collect();
    json!({"type": "object", "description": about, "required": required, "properties": fields})
}

/// The same with a field that is not in every answer.
pub(crate) fn optional(mut schema: Value, field: &str, of: Value) -> Value {
    schema["properties"][field] = of;
    schema
}

pub(crate) fn meta(mut further: Value) -> Value {
    further["uid"] = text("The identifier.");
    further["kind"] = text("The kind.");
    further["created_at"] = time("When it was created.");
    let mut meta = object("What Heddle keeps about it.", &further);
    meta["readOnly"] = json!(true);
    meta
}

fn member() -> Value {
    object(
        "A person in the organisation.",
        &json!({
            "email": text("What the member signs in with."),
            "display_name": maybe("What people call the member."),
            "roles": roles(),
            "has_second_factor": {"type": "boolean", "description": "Whether the member has a second factor."},
            "meta": meta(json!({})),
        }),
    )
}

fn roles() -> Value {
    json!({
        "type": "array",
        "description": "The roles that it has.",
        "items": {
            "type": "object",
            "required": ["role"],
            "properties": {"role": text("The role."), "mesh": text("The identifier of the mesh that it is bound to; absent: the whole organisation.")},
        },
    })
}

fn principal(nullable: bool) -> Value {
    let kind = if nullable {
        json!(["object", "null"])
    } else {
        json!("object")
    };
    json!({
        "type": kind,
        "description": "The member or service account.",
        "properties": {"kind": text("member or service_account."), "uid": text("The identifier."), "email": text("A member's e-mail address."), "name": text("A service account's name.")},
    })
}

fn api_token() -> Value {
    object(
        "What a person or a program calls with.",
        &json!({
            "name": text("Unique among the organisation's tokens that are not revoked."),
            "owner": principal(true),
            "role": maybe("The role of a token that was made on the command line and belongs to nobody."),
            "scopes": {"type": ["array", "null"], "items": {"type": "string"}, "description": "The permissions that it is narrowed to."},
            "meshes": {"type": ["array", "null"], "items": {"type": "string"}, "description": "The identifiers of the meshes that it is narrowed to."},
            "expires_at": maybe_time("When it stops working; null: when it is revoked."),
            "state": text("active, expired or revoked."),
            "meta": meta(json!({
                "created_by": text("Who made it."),
                "last_used_at": maybe_time("When it was last used, exact to about a minute."),
                "rotated_at": maybe_time("When it got its present secret, if that is not the first."),
                "previous_secret_until": maybe_time("Until when the secret before this one works."),
                "revoked_at": maybe_time("When it was revoked."),
            })),
        }),
    )
}

fn with(mut schema: Value, field: &str, about: &str) -> Value {
    schema["properties"][field] = text(about);
    schema
}

fn answers() -> Vec<(&'static str, Value)> {
    let whom = json!({"type": "object", "description": "The member.", "properties": {"uid": text("The identifier."), "email": text("The e-mail address.")}});
    let new_password = "A password to begin with: only in this answer.";
    vec![
        (
            "NewMember",
            with(member(), "initial_password", new_password),
        ),
        ("Member", member()),
        ("MemberList", list_of("Member")),
        (
            "ServiceAccount",
            object(
                "A program that calls the API.",
                &json!({
                    "name": text("Unique among the organisation's service accounts."),
                    "display_name": maybe("What people call it."),
                    "roles": roles(),
                    "meta": meta(json!({})),
                }),
            ),
        ),
        ("ServiceAccountList", list_of("ServiceAccount")),
        (
            "RoleBinding",
            object(
                "A role that somebody has.",
                &json!({
                    "role": text("The role."),
                    "principal": principal(false),
                    "mesh": {"type": ["object", "null"], "description": "The mesh that it is bound to; null: the whole organisation.", "properties": {"name": text("Its name."), "uid": text("Its identifier.")}},
                    "service": {"type": ["string", "null"], "description": "The only service of the mesh that it is for; null: all of them.", "examples": ["payments"]},
                    "meta": meta(json!({"created_by": text("Who gave it.")})),
                }),
            ),
        ),
        ("RoleBindingList", list_of("RoleBinding")),
        (
            "NewApiToken",
            with(
                api_token(),
                "secret",
                "The token itself: only in this answer.",
            ),
        ),
        ("ApiToken", api_token()),
        ("ApiTokenList", list_of("ApiToken")),
        (
            "PermissionsChecked",
            object(
                "Answers, in the order of the questions.",
                &json!({"results": {"type": "array", "description": "One for each question.", "items": {"type": "object", "properties": {"permission": text("The permission."), "mesh": maybe("The mesh, as it was named."), "allowed": {"type": "boolean", "description": "Whether it is permitted there."}}}}}),
            ),
        ),
        (
            "SignedIn",
            object(
                "What a member gets who signed in.",
                &json!({
                    "access_token": text("What requests are sent with: `Authorization: Bearer`."),
                    "token_type": text("Bearer."),
                    "expires_in": {"type": "integer", "minimum": 0, "description": "For how many seconds the token works."},
                    "expires_at": time("Until when the token works."),
                    "refresh_token": text("What gets the next token, once."),
                    "session": {"type": "object", "description": "The session.", "properties": {"uid": text("The identifier.")}},
                    "member": whom,
                    "org": {"type": "object", "description": "The organisation.", "properties": {"uid": text("The identifier."), "name": text("The name.")}},
                }),
            ),
        ),
        (
            "Session",
            object(
                "A member who signed in.",
                &json!({
                    "member": whom,
                    "method": text("How it began: password, device or sso."),
                    "second_factor": maybe("The second factor that it began with: totp or recovery_code; null: none."),
                    "client": maybe("What the client called itself."),
                    "scopes": {"type": ["array", "null"], "items": {"type": "string"}, "description": "The permissions that it is narrowed to; null: all that the member has."},
                    "expires_at": time("When it ends unless it is refreshed."),
                    "meta": meta(json!({"refreshed_at": time("When it got its present token.")})),
                }),
            ),
        ),
        ("SessionList", list_of("Session")),
        (
            "NewDeviceAuthorization",
            object(
                "A device that asks to be let in.",
                &json!({
                    "device_code": text("What the device asks for its session with; nobody else sees it."),
                    "user_code": text("What the member types: eight letters."),
                    "verification_uri": text("Where."),
                    "verification_uri_complete": text("The same with the code, for a link or a picture."),
                    "expires_in": {"type": "integer", "minimum": 0, "description": "For how many seconds a member can decide."},
                    "expires_at": time("Until when."),
                    "interval": {"type": "integer", "minimum": 1, "description": "How many seconds to wait between two questions."},
                }),
            ),
        ),
        (
            "DeviceAuthorization",
            object(
                "What a device asks for.",
                &json!({
                    "client": text("What the device calls itself: whoever asks may say anything."),
                    "address": maybe("The address that it asked from."),
                    "scopes": {"type": ["array", "null"], "items": {"type": "string"}, "description": "The permissions that it shall be narrowed to; null: all that the member has."},
                    "state": {"type": "string", "enum": ["pending", "approved", "denied"], "description": "What became of it."},
                    "expires_at": time("Until when a member can decide."),
                    "meta": meta(json!({})),
                }),
            ),
        ),
    ]
}
