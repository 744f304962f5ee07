//! The table of contents: every operation, once.

use std::sync::Arc;

use axum::middleware;
use axum::{Extension, Router};
use heddle_model::code::Code;
use heddle_model::kind::{AccessRule, Mesh, Profile, Route, Service, Spec, Split};
use serde_json::Value;
use utoipa::openapi::path::HttpMethod::{Delete, Get, Patch, Post, Put};

use crate::accounts;
use crate::audit_log;
use crate::authorities;
use crate::authority_requests;
use crate::certificates;
use crate::complete::complete;
use crate::declared::{collection, singleton};
use crate::invited;
use crate::observations;
use crate::openapi::{Op, frame, history, live, proxy_config as shapes};
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::rotations;
use crate::second_steps;
use crate::single_sign_on;
use crate::state::App;
use crate::table::Table;
use crate::trust_bundle;
use crate::usage;
use crate::v1::{
    access_checks, apply, bootstrap, codes, effective, events, join_tokens, meshes, proxies,
    proxy_config, revisions, revocations, rollbacks, rollout, whoami,
};
use crate::webhooks;
use crate::{docs, health, limits, request};

fn table() -> Table {
    let table = Table::new(frame());
    let table = mesh_operations(table);
    let table = collection::<Service>(table);
    let table = collection::<Profile>(table);
    let table = collection::<Route>(table);
    let table = singleton::<Split>(table);
    let table = collection::<AccessRule>(table);
    let table = effective_operations(table);
    let table = access_check_operation(table);
    let table = apply_operation(table);
    let table = join_token_operations(table);
    let table = proxy_operations(table);
    let table = revocation_operations(table);
    let table = rotations::operations(table);
    let table = authority_requests::operations(table);
    let table = trust_bundle::operations(table);
    let table = authorities::operations(table);
    let table = certificates::operations(table);
    let table = observations::operations(table);
    let table = accounts::operations(table);
    let table = invited::operations(table);
    let table = second_steps::operations(table);
    let table = single_sign_on::operations(table);
    let table = webhooks::operations(table);
    let table = history_operations(table);
    let table = live_operations(table);
    let table = audit_log::operations(table);
    let table = usage::operations(table);
    open_operations(table)
}

fn mesh_operations(table: Table) -> Table {
    let view = || Some(String::from("Mesh"));
    let mut example = Mesh::sample();
    example["name"] = serde_json::json!("prod");
    table
        .op(Get, meshes::COLLECTION, Op::new("list_meshes", "List meshes, by name", "Meshes").listed::<Mesh>().answer(200, "One page.", Some(String::from("MeshList"))), meshes::list)
        .op(Post, meshes::COLLECTION, Op::new("create_mesh", "Create a mesh", "Meshes").about("409 when the name is taken: POST never overwrites.").body("CreateMesh", example).tries().owned().once().answer(201, "Created.", view()), meshes::create)
        .op(Get, meshes::ITEM, Op::new("get_mesh", "Read a mesh", "Meshes").answer(200, "The mesh.", view()), meshes::get)
        .op(Put, meshes::ITEM, Op::new("put_mesh", "Create or replace a mesh", "Meshes").about("Idempotent. Equal content makes no revision.").body("MeshSpec", Mesh::sample()).writes().tries().owned().closes().answer(200, "Replaced, or equal already.", view()).answer(201, "Created.", view()), meshes::put)
        .op(Patch, meshes::ITEM, Op::new("patch_mesh", "Change parts of a mesh", "Meshes").about("A JSON Merge Patch (RFC 7396), merged onto what was sent before and then judged as a whole.").patch("Mesh", serde_json::json!({"display_name": "Production"})).writes().tries().owned().closes().answer(200, "Changed, or equal already.", view()), meshes::patch)
        .op(Delete, meshes::ITEM, Op::new("delete_mesh", "Delete a mesh with everything in it", "Meshes").about("409 while `deletion_protection` is on, which is the default. Its proxies keep their last configuration; its trust domain is never given out again.").writes().tries().owned().answer(204, "Deleted.", None), meshes::delete)
}

fn effective_operations(table: Table) -> Table {
    let answer = || Some(String::from("Effective"));
    let about = "From the mesh's `defaults`, the profile's, the service's and the route's: the one closest to the call wins, field by field. What nobody sets is `built_in`. With `caller`, for the calls of that service: what it says under `upstreams[].override` wins over all of them.";
    let caller =
        "The service whose calls are meant; without one, those of whoever makes no exception.";
    table
        .op(
            Get,
            effective::SERVICE,
            Op::new(
                "get_effective_service",
                "Read the settings in force for a service",
                "Services",
            )
            .about(about)
            .query("caller", caller)
            .errors(&[422])
            .answer(200, "Every setting.", answer()),
            effective::get,
        )
        .op(
            Get,
            effective::ROUTE,
            Op::new(
                "get_effective_route",
                "Read the settings in force for a route",
                "Routes",
            )
            .about(about)
            .query("caller", caller)
            .errors(&[422])
            .answer(200, "Every setting.", answer()),
            effective::get,
        )
}

fn access_check_operation(table: Table) -> Table {
    table.op(
        Post,
        access_checks::PATH,
        Op::new(
            "create_access_check",
            "Find out why a call is allowed or denied",
            "Access rules",
        )
        .about("Changes nothing. With `call`, a call that you think of: decided by the rules as they are now, as every proxy that has them decides it. With `log`, a call that happened: paste the line of the access log, or the response code details of the 403, that the called service's proxy wrote, and the rule in it is told as it was then, with who wrote it, and whether it has been changed or deleted since.")
        .body("CheckAccess", access_checks::sample())
        .answer(200, "What decides.", Some(String::from("AccessChecked"))),
        access_checks::create,
    )
}

fn apply_operation(table: Table) -> Table {
    table.op(
        Post,
        apply::PATH,
        Op::new("apply_mesh", "Write several objects as one revision", "Meshes")
            .about("All or nothing: objects of any kind, in any order, each as its PUT takes it. Every rule that any of them breaks is reported at once. `sync` also deletes what carries the same `managed_by` and is not in the list, and nothing else. Access rules need the permission `access:write` as well.")
            .body("Apply", apply::sample())
            .writes_many()
            .tries()
            .owned()
            .closes()
            .once()
            .answer(200, "What became of each object.", Some(String::from("Applied"))),
        apply::apply,
    )
}

fn join_token_operations(table: Table) -> Table {
    let view = || Some(String::from("JoinToken"));
    table
        .op(Get, join_tokens::COLLECTION, Op::new("list_join_tokens", "List join tokens, by name", "Proxies").paged().answer(200, "One page.", Some(String::from("JoinTokenList"))), join_tokens::list)
        .op(Post, join_tokens::COLLECTION, Op::new("create_join_token", "Create a join token", "Proxies").about("The answer holds the secret; no later one does, and a dry run shows none.").body("CreateJoinToken", join_tokens::sample()).tries().once().answer(201, "Created.", view()), join_tokens::create)
        .op(Get, join_tokens::ITEM, Op::new("get_join_token", "Read a join token", "Proxies").answer(200, "The token, without its secret.", view()), join_tokens::get)
        .op(Delete, join_tokens::ITEM, Op::new("delete_join_token", "Revoke a join token", "Proxies").about("Proxies that joined with it are disconnected within seconds and may not come back.").tries().answer(204, "Revoked.", None), join_tokens::delete)
}

fn proxy_operations(table: Table) -> Table {
    let view = || Some(String::from("Proxy"));
    table
        .op(Get, proxies::COLLECTION, Op::new("list_proxies", "List proxies", "Proxies").paged().answer(200, "One page.", Some(String::from("ProxyList"))), proxies::list)
        .op(Get, proxies::ITEM, Op::new("get_proxy", "Read a proxy", "Proxies").answer(200, "The proxy.", view()), proxies::get)
        .op(Delete, proxies::ITEM, Op::new("delete_proxy", "Forget a proxy", "Proxies").about("It is disconnected and loses its binding to the join token; with a reusable token it may join again.").tries().answer(204, "Forgotten.", None), proxies::delete)
        .op(Get, proxy_config::PATH, Op::new("get_proxy_config", "Read the effective configuration of a proxy", "Proxies").paged().parameter(shapes::of_type()).about("Every Envoy resource that the proxy is told, how far it is with each, and the object and field that it came from. Worked out from the mesh as every server does it; how far the proxy is comes from what its server wrote down. Certificates by what is public of them; a key or token is never in it. Needs the permission `config:read` as well.").answer(200, "One page.", Some(String::from("ProxyConfig"))), proxy_config::get)
        // Its own check: a member's API token with bootstrap:read, or the join token itself.
        .special(
            Get,
            bootstrap::PATH,
            Op::new("get_bootstrap", "Render the bootstrap of a proxy", "Proxies")
                .about("With an API token (permission `bootstrap:read`) the join token is read from a file on the proxy's host; with a join token that very token is inlined, unless `token_file` is given. With `mode=augment` it is an overlay, for an Envoy that keeps its own file and listeners: `envoy -c own.yaml --config-yaml \"$(cat overlay.yaml)\"`; parameters of listeners and of the admin interface do not go with it. YAML with `Accept: application/yaml`.")
                .query("mode", "`managed` (when absent): a whole bootstrap, all listeners come from Heddle. `augment`: an overlay for an Envoy with a file of its own.")
                .query("keep_node", "With `mode=augment`: `true` leaves `node.id` and `node.cluster` as the Envoy's own file says them. It has to say them then.")
                .query("proxy", "A name for this Envoy, unique within its service. Required.")
                .query("service", "The service. Required with an API token; a join token knows its own.")
                .query("version", "The version of the service that runs there.")
                .query("bind_address", "Where the Envoy listens; 0.0.0.0 when absent.")
                .query("advertise_address", "Where other proxies reach it; required unless `bind_address` is given, or with `mode=augment`.")
                .query("app_address", "Where the application listens; 127.0.0.1 when absent.")
                .query("inbound_port", "The first inbound port; 15006 when absent.")
                .query("inbound_ports", "Each inbound port: `http:15006,grpc:15007`. Not together with `inbound_port`.")
                .query("outbound_port", "Where the application sends its calls; 15001 when absent.")
                .query("admin_address", "Where Envoy's admin interface listens.")
                .query("admin_port", "The port of Envoy's admin interface; 15000 when absent.")
                .query("token_file", "Where the join token lies on the proxy's host; /etc/heddle/token when absent.")
                .errors(&[422])
                .answer(200, "A bootstrap, or an overlay.", Some(String::from("Bootstrap"))),
            bootstrap::get,
        )
}

fn revocation_operations(table: Table) -> Table {
    let view = || Some(String::from("Revocation"));
    table
        .op(Get, revocations::COLLECTION, Op::new("list_revocations", "List revocations, newest first", "Proxies").about("Those that were lifted stay in the list.").paged().answer(200, "One page.", Some(String::from("RevocationList"))), revocations::list)
        .op(Post, revocations::COLLECTION, Op::new("create_revocation", "Revoke a proxy, or a service", "Proxies").about("Of a proxy: it is disconnected within seconds, does not come back under its name, and gets no certificate; what it holds runs out within the lifetime of a certificate. Of a service: the same for all of its proxies, and every other proxy of the mesh refuses its calls as soon as the new revision has reached it. 409 when it is revoked already.").body("CreateRevocation", revocations::sample()).tries().once().answer(201, "Revoked.", view()), revocations::create)
        .op(Get, revocations::ITEM, Op::new("get_revocation", "Read a revocation", "Proxies").answer(200, "The revocation.", view()), revocations::get)
        .op(Delete, revocations::ITEM, Op::new("delete_revocation", "Lift a revocation", "Proxies").about("The identity may join again and gets new certificates; the old ones stay revoked. The revocation stays in the list.").tries().answer(204, "Lifted.", None), revocations::delete)
}

fn history_operations(table: Table) -> Table {
    let named = |name: &str| Some(name.to_owned());
    let with = |op: Op, parameters: Vec<_>| parameters.into_iter().fold(op, Op::parameter);
    table
        .op(
            Get,
            revisions::COLLECTION,
            with(
                Op::new(
                    "list_revisions",
                    "List the revisions of a mesh, newest first",
                    "History",
                ),
                history::by_number(),
            )
            .parameter(history::change_group())
            .answer(200, "One page.", named("RevisionList")),
            revisions::list,
        )
        .op(
            Get,
            revisions::ITEM,
            Op::new(
                "get_revision",
                "Read a revision with the objects that it changed",
                "History",
            )
            .answer(200, "The revision.", named("Revision"))
            .answer(304, "The state that If-None-Match names is current.", None),
            revisions::get,
        )
        .op(
            Get,
            revisions::DIFF,
            with(
                Op::new(
                    "get_revision_diff",
                    "Read what differs between two revisions",
                    "History",
                ),
                history::by_id(),
            )
            .about("Field by field: objects are compared member by member, lists as a whole.")
            .parameter(history::from())
            .answer(200, "One page.", named("RevisionDiff")),
            revisions::diff,
        )
        .op(
            Get,
            revisions::RESOURCES,
            with(
                with(
                    Op::new(
                        "list_revision_resources",
                        "Read a whole mesh as it was at a revision",
                        "History",
                    ),
                    history::by_id(),
                ),
                history::wanted(),
            )
            .answer(200, "One page.", named("RevisionResourceList")),
            revisions::list_resources,
        )
        .op(
            Get,
            revisions::RESOURCE,
            Op::new(
                "get_revision_resource",
                "Read an object as it was at a revision",
                "History",
            )
            .answer(200, "The object.", named("RevisionResource"))
            .answer(304, "The state that If-None-Match names is current.", None),
            revisions::get_resource,
        )
        .op(
            Post,
            rollbacks::COLLECTION,
            Op::new(
                "create_rollback",
                "Go back to a revision, or take one back",
                "History",
            )
            .about("Makes a new revision; history is never rewritten. With `to_revision` the mesh becomes what it was; with `revert_revision` what that revision changed is taken back, and every later change of anything else stays: what was changed again since is named in `conflicts` (409). Nothing to do is a 200 without a revision. Access rules need the permission `access:write` as well, the mesh's own settings `meshes:write`.")
            .body("CreateRollback", rollbacks::sample())
            .writes_many()
            .parameter(history::if_match())
            .tries()
            .owned()
            .closes()
            .once()
            .answer(200, "There was nothing to do.", named("Rollback"))
            .answer(201, "Done: the new revision.", named("Rollback")),
            rollbacks::create,
        )
}

fn live_operations(table: Table) -> Table {
    table.op(
        Get,
        rollout::PATH,
        Op::new("get_revision_rollout", "See whether a revision is live", "History")
            .about("Counted from what proxies acknowledged. A proxy has a revision when it acknowledged everything up to it (`acked`), or when nothing that it should have changed with it (`skipped`). `done` when nobody holds it up; otherwise `held_up_by` says who does, and why. A proxy that holds a later revision holds this one.")
            .parameter(live::wait("How long to wait until it is settled: done, or refused by somebody with nobody else missing. At most `60s`, which larger values are taken as; without it the answer comes at once. The answer says in `returned` why it came."))
            .limited()
            .answer(200, "How far it is.", Some(String::from("Rollout"))),
        rollout::get,
    )
    .op(
        Get,
        events::PATH,
        live::events()
            .into_iter()
            .fold(
                Op::new("list_mesh_events", "Follow what happens in a mesh", "History"),
                Op::parameter,
            )
            .about("Server-Sent Events with `Accept: text/event-stream`, otherwise JSON, one text a line. Revisions and the audit log are told one by one, proxies as they are now. The stream ends within ten seconds when the credential loses what it needs, with an `end` that says why. The topics `proxy` and `rollout` need the permission `proxies:read` as well, `audit` needs `audit:read`.")
            .limited()
            .answer_as(200, "Events.", crate::v1::audit_log::NDJSON, "Event")
            .also_as(events::SSE),
        events::get,
    )
}

fn open_operations(table: Table) -> Table {
    table
        .special(
            Get,
            "/v1/whoami",
            Op::new(
                "get_whoami",
                "Who the caller is and what it may do",
                "About",
            )
            .about("Any credential that is valid now may ask.")
            .answer(200, "The caller.", Some(String::from("WhoAmI"))),
            whoami::get,
        )
        .special(
            Get,
            "/v1/codes",
            Op::new("list_codes", "List error codes", "About")
                .open()
                .about("Every code that a problem or one of its `errors` can carry, with cause and fix. Anyone may read them.")
                .answer(200, "All codes.", Some(String::from("ErrorCodeList"))),
            codes::list,
        )
        .special(
            Get,
            "/v1/codes/{code}",
            Op::new("get_code", "Explain an error code", "About")
                .open()
                .about("The `type` of every problem leads here. Anyone may read it.")
                .answer(200, "The code.", Some(String::from("ErrorCode"))),
            codes::get,
        )
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> Value {
    complete(table().finish().1)
}

async fn no_such_address() -> Problem {
    Problem::not_found()
}

async fn no_such_method() -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        "this address does not answer that method",
    )
}

/// The whole surface.
pub fn router(app: App) -> Router {
    let (operations, document) = table().finish();
    let document = complete(document);
    // What the document says of parameters is enforced by whatever reads a query.
    let parameters = Arc::new(Parameters::of(&document));
    operations
        .layer(Extension(parameters))
        .layer(middleware::from_fn_with_state(app.clone(), limits::limit))
        .merge(docs::routes(&document))
        .merge(health::routes())
        .method_not_allowed_fallback(no_such_method)
        .fallback(no_such_address)
        .layer(middleware::from_fn_with_state(
            app.clone(),
            request::surround,
        ))
        .with_state(app)
}
