//! The OpenAPI 3.1 document: its frame, its schemas, and how one operation is described.

pub(crate) mod history;

use heddle_model::kind::{AccessRule, Mesh, Profile, Route, Service, Spec, Split};
use serde_json::{Value, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr,
    Required, ResponseBuilder,
};

use crate::complete::error_name;
use crate::table::bearer_requirement;

mod declared;
mod schema;

/// How one operation is described.
pub(crate) struct Op {
    id: String,
    summary: String,
    description: String,
    tag: &'static str,
    body: Option<(String, Value)>,
    answers: Vec<(u16, &'static str, Option<String>)>,
    /// The type of what it answers with when that is not plain JSON.
    media: &'static str,
    query: Vec<(&'static str, &'static str)>,
    permission: Option<&'static str>,
    bearer: bool,
    writes: bool,
    patch: bool,
    flags: Vec<(&'static str, &'static str)>,
    typed: Vec<(&'static str, String, Value)>,
    errors: Vec<u16>,
    owned: bool,
    once: bool,
    writes_many: bool,
    parameters: Vec<Parameter>,
}

impl Op {
    pub(crate) fn new(
        id: impl Into<String>,
        summary: impl Into<String>,
        tag: &'static str,
    ) -> Self {
        Self {
            id: id.into(),
            summary: summary.into(),
            description: String::new(),
            tag,
            body: None,
            answers: Vec::new(),
            media: "application/json",
            query: Vec::new(),
            permission: None,
            bearer: true,
            writes: false,
            patch: false,
            flags: Vec::new(),
            typed: Vec::new(),
            errors: Vec::new(),
            owned: false,
            once: false,
            writes_many: false,
            parameters: Vec::new(),
        }
    }

    pub(crate) fn about(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    pub(crate) fn body(mut self, schema: impl Into<String>, example: Value) -> Self {
        self.body = Some((schema.into(), example));
        self
    }

    pub(crate) fn answer(
        mut self,
        status: u16,
        about: &'static str,
        schema: Option<String>,
    ) -> Self {
        self.answers.push((status, about, schema));
        self
    }

    /// An answer that is not plain JSON.
    pub(crate) fn answer_as(
        mut self,
        status: u16,
        about: &'static str,
        media: &'static str,
        schema: &str,
    ) -> Self {
        self.media = media;
        self.answer(status, about, Some(schema.to_owned()))
    }

    pub(crate) fn query(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push((name, about));
        self
    }

    pub(crate) fn paged(self) -> Self {
        self.errors(&[422])
            .query("limit", "How many items at most: 1 to 500; 50 when absent.")
            .query("cursor", "`next_cursor` of the page before.")
    }

    /// A list of objects of the kind `T`.
    pub(crate) fn listed<T: Spec>(mut self) -> Self {
        self.typed = schema::list_parameters::<T>();
        self.errors.push(422);
        self.query("limit", "How many items at most: 1 to 500; 50 when absent.")
    }

    pub(crate) fn permission(mut self, scope: &'static str) -> Self {
        self.permission = Some(scope);
        self
    }

    /// Anyone may call it.
    pub(crate) fn open(mut self) -> Self {
        self.bearer = false;
        self
    }

    /// It changes something that other things may depend on.
    pub(crate) fn conflicts(mut self) -> Self {
        self.errors.push(409);
        self
    }

    /// It checks a credential in its body, and slows guesses down.
    pub(crate) fn refuses(mut self) -> Self {
        self.errors.extend([401, 429]);
        self
    }

    /// It can be done so often and no more.
    pub(crate) fn limited(mut self) -> Self {
        self.errors.push(429);
        self
    }

    /// Errors that it can give beyond those that its shape brings along.
    pub(crate) fn errors(mut self, statuses: &[u16]) -> Self {
        self.errors.extend(statuses);
        self
    }

    /// It changes something that has an ETag.
    pub(crate) fn writes(mut self) -> Self {
        self.writes = true;
        self
    }

    /// The headers with which a client says what it believes to be there.
    fn preconditions(&self) -> Vec<(&'static str, &'static str, RefOr<Schema>)> {
        let only_star = || {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(["*"]))
                .into()
        };
        let mut headers = Vec::new();
        if self.writes {
            headers.push((
                "If-Match",
                "The ETag of the state that this replaces or deletes; `*` for whatever is there.",
                text_schema(),
            ));
        }
        if self.writes && self.body.is_some() && !self.patch {
            headers.push((
                "If-None-Match",
                "`*` only creates: 412 when there is something already.",
                only_star(),
            ));
        }
        if self.owned {
            headers.push((
                "Heddle-Manager",
                "Which program looks after the object and writes it here: `terraform; ref=\"app.terraform.io/acme/payments\"; url=\"https://...\"`. The first one to say so owns it.",
                text_schema(),
            ));
        }
        if self.once {
            headers.push((
                "Idempotency-Key",
                "Up to 255 printable characters. The same request with the same key within 24 hours is done once and answered again as before, with `Idempotency-Replayed: true`; a secret is not shown again (`Heddle-Secret-Withheld: true`). What failed is not remembered.",
                text_schema(),
            ));
        }
        if self.answers.iter().any(|(status, ..)| *status == 304) {
            headers.push((
                "If-None-Match",
                "The ETags that the client has: 304 without a body when one of them is current.",
                text_schema(),
            ));
        }
        headers
    }

    /// It can be tried without being kept.
    pub(crate) fn tries(mut self) -> Self {
        self.flags.push((
            "dry_run",
            "`true`: check and answer as always, but keep nothing; the answer has `Heddle-Dry-Run: true`.",
        ));
        self
    }

    /// It changes several things that have ETags, which its body names.
    pub(crate) fn writes_many(mut self) -> Self {
        self.writes_many = true;
        self
    }

    /// It writes what may have a manager.
    pub(crate) fn owned(mut self) -> Self {
        self.owned = true;
        self.flags.push((
            "takeover",
            "`true`: write although another program manages the object. It belongs to whom `Heddle-Manager` names then, or to nobody.",
        ));
        self
    }

    /// It is done once for each key that the client gives it.
    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Its body is a JSON Merge Patch of the kind that is shown as `view`.
    pub(crate) fn patch(mut self, view: &str, example: Value) -> Self {
        self.patch = true;
        self.body(format!("Patch{view}"), example)
    }

    /// A parameter that the others have no way to describe.
    pub(crate) fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub(crate) fn build(self) -> OperationBuilder {
        let preconditions = self.preconditions();
        let mut description = self.description;
        if let Some(scope) = self.permission {
            if !description.is_empty() {
                description.push_str("\n\n");
            }
            description.push_str(&format!("Needs the permission `{scope}`."));
        }
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .description(Some(description))
            .tag(self.tag);
        if let Some(scope) = self.permission {
            let extension = ExtensionsBuilder::new().add("x-heddle-permission", scope);
            operation = operation.extensions(Some(extension.build()));
        }
        if self.bearer {
            operation = operation.security(bearer_requirement());
        }
        for (name, about) in &self.query {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(*name)
                    .parameter_in(ParameterIn::Query)
                    .required(Required::False)
                    .description(Some(*about))
                    .schema(Some(text_schema())),
            );
        }
        for (name, about, schema) in preconditions {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Header)
                    .required(Required::False)
                    .description(Some(about))
                    .schema(Some(schema)),
            );
        }
        for (name, about, schema) in self.typed {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Query)
                    .required(Required::False)
                    .description(Some(about))
                    .schema(Some(from_json(schema))),
            );
        }
        for (name, about) in self.flags {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Query)
                    .required(Required::False)
                    .description(Some(about))
                    .schema(Some(ObjectBuilder::new().schema_type(Type::Boolean))),
            );
        }
        for parameter in self.parameters {
            operation = operation.parameter(parameter);
        }
        if let Some((schema, example)) = &self.body {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(schema)))
                .example(Some(example.clone()))
                .build();
            let mut body = RequestBodyBuilder::new();
            if self.patch {
                body = body.content("application/merge-patch+json", content.clone());
            }
            let body = body.content("application/json", content);
            operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
        }
        let mut errors: Vec<u16> = vec![400, 500, 503];
        errors.extend(&self.errors);
        if self.bearer {
            errors.extend([401, 403, 404]);
        }
        if self.body.is_some() {
            errors.extend([409, 413, 415, 422]);
        }
        if self.writes || self.writes_many {
            errors.extend([409, 412, 428]);
        }
        errors.sort_unstable();
        errors.dedup();
        for (status, about, schema) in self.answers {
            let mut response = ResponseBuilder::new().description(about);
            if let Some(schema) = schema {
                let content = ContentBuilder::new()
                    .schema(Some(Ref::from_schema_name(&schema)))
                    .build();
                response = response.content(self.media, content);
            }
            operation = operation.response(status.to_string(), response);
        }
        for status in errors {
            let response = Ref::from_response_name(error_name(status));
            operation = operation.response(status.to_string(), response);
        }
        operation
    }
}

pub(crate) fn text_schema() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

/// The document without operations.
pub(crate) fn frame() -> OpenApi {
    let mut schemas: Vec<(String, RefOr<Schema>)> = Vec::new();
    kind::<Mesh>("Mesh", &mut schemas);
    kind::<Service>("Service", &mut schemas);
    kind::<Profile>("Profile", &mut schemas);
    kind::<Route>("Route", &mut schemas);
    kind::<Split>("Split", &mut schemas);
    kind::<AccessRule>("AccessRule", &mut schemas);
    crate::accounts::schemas(&mut schemas);
    crate::audit_log::schemas(&mut schemas);
    let others = declared::schemas().into_iter().chain(history::schemas());
    for (name, schema) in own_schemas().into_iter().chain(others) {
        schemas.push((name.to_owned(), from_json(schema)));
    }
    schemas.sort_by(|a, b| a.0.cmp(&b.0));
    let components = schemas
        .into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, schema)| components.schema(name, schema))
        .security_scheme(
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some("An API token (`heddle_pat_...`, `heddle_svc_...`), the token of a session, or a join token where an operation says so."))
                    .build(),
            ),
        )
        .build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Heddle")
                .version("1")
                .description(Some(
                    "The hosted control plane for the Envoys that people already run.",
                ))
                .license(Some(
                    LicenseBuilder::new()
                        .name("Apache-2.0")
                        .identifier(Some("Apache-2.0"))
                        .build(),
                )),
        )
        .components(Some(components))
        .build()
}

/// The schemas of one kind: what is sent (`ServiceSpec`), what creates (`CreateService`), what comes back
/// (`Service`), what patches (`PatchService`) and its list. All are made from the first, so they cannot differ from it.
fn kind<T: Spec>(view: &str, schemas: &mut Vec<(String, RefOr<Schema>)>) {
    let mut nested = Vec::new();
    T::schemas(&mut nested);
    for (name, schema) in nested {
        if !schemas.iter().any(|(n, _)| *n == name) {
            schemas.push((name, schema));
        }
    }
    let spec = serde_json::to_value(T::schema()).unwrap_or(Value::Null);
    schemas.push((T::name().into_owned(), T::schema()));
    let mut create = spec.clone();
    add_name(&mut create);
    schemas.push((format!("Create{view}"), from_json(create)));
    let mut patch = spec.clone();
    add_name(&mut patch);
    schema::loosen(&mut patch, schemas);
    schemas.push((format!("Patch{view}"), from_json(patch)));
    let mut answer = spec;
    add_name(&mut answer);
    if let Value::Object(map) = &mut answer {
        map.remove("additionalProperties");
    }
    answer["properties"]["meta"] = json!({"$ref": "#/components/schemas/Meta"});
    let status = if view == "Mesh" {
        "MeshStatus"
    } else {
        "Status"
    };
    answer["properties"]["status"] = json!({"$ref": format!("#/components/schemas/{status}")});
    if let Some(required) = answer["required"].as_array_mut() {
        required.push(json!("meta"));
    }
    let mut item = answer.clone();
    schemas.push((view.to_owned(), from_json(answer)));
    // In a list, `fields` may leave out anything.
    if let Value::Object(map) = &mut item {
        map.remove("required");
    }
    schemas.push((format!("{view}Item"), from_json(item)));
    schemas.push((
        format!("{view}List"),
        from_json(list_of(&format!("{view}Item"))),
    ));
}

fn add_name(schema: &mut Value) {
    schema["properties"]["name"] = json!({
        "type": "string",
        "pattern": heddle_model::name::NAME_PATTERN,
        "examples": ["payments"],
        "description": "Chosen once, unique among its siblings, never changed.",
    });
    if !schema["required"].is_array() {
        schema["required"] = json!([]);
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.push(json!("name"));
    }
}

pub(crate) fn list_of(view: &str) -> Value {
    json!({
        "type": "object",
        "description": "One page of a list.",
        "required": ["items", "self"],
        "properties": {
            "items": {"type": "array", "description": "The page.", "items": {"$ref": format!("#/components/schemas/{view}")}},
            "next_cursor": {"type": "string", "description": "The cursor of the next page; absent on the last one.", "examples": ["a_70726f64"]},
            "self": {"type": "string", "description": "The address of this page.", "examples": ["/v1/orgs/-/meshes?limit=50"]},
        },
    })
}

pub(crate) fn from_json(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).expect("checked by the test that renders the document")
}

fn own_schemas() -> Vec<(&'static str, Value)> {
    let text = |about: &str| json!({"type": "string", "description": about});
    let like = |about: &str, example: &str| json!({"type": "string", "description": about, "examples": [example]});
    let may_lack = |about: &str, example: &str| json!({"type": ["string", "null"], "description": about, "examples": [example]});
    let one_of = |about: &str, values: &[&str]| json!({"type": "string", "description": about, "enum": values});
    let time = |about: &str| json!({"type": "string", "format": "date-time", "description": about});
    let time_or_null = |about: &str| json!({"type": ["string", "null"], "format": "date-time", "description": about});
    let count = |about: &str| json!({"type": "integer", "minimum": 0, "description": about});
    let flag = |about: &str| json!({"type": "boolean", "description": about});
    vec![
        (
            "Problem",
            json!({
                "type": "object",
                "description": "RFC 9457: what went wrong.",
                "required": ["type", "title", "status", "detail", "code", "request_id"],
                "properties": {
                    "type": like("Where the code is explained.", "/v1/codes/HED-2003"),
                    "title": like("The same for every occurrence of the code.", "Not found"),
                    "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status.", "examples": [404]},
                    "detail": like("What is wrong here.", "there is no such object"),
                    "instance": like("This occurrence.", "/requests/0193590c3a3c7b5f8d1e2f3a4b5c6d7e"),
                    "code": like("A stable code.", "HED-2003"),
                    "request_id": like("Names this request in our logs; also in the header `Heddle-Request-Id`.", "0193590c3a3c7b5f8d1e2f3a4b5c6d7e"),
                    "errors": {"type": "array", "description": "Everything that is wrong with the body, not only the first of it.", "items": {"$ref": "#/components/schemas/Violation"}},
                    "parameter": like("With 400: the parameter that is wrong.", "limit"),
                    "permission": like("With 403: the permission that the caller lacks.", "config:write"),
                    "error": like("For a device that asks for its session: the word of RFC 8628 for the code.", "authorization_pending"),
                    "interval": {"type": "integer", "minimum": 0, "description": "For a device that asks for its session: how many seconds to wait before asking again.", "examples": [5]},
                    "current_etag": like("With 412: the ETag that the object has now.", "\"r42-5c1e9b07\""),
                },
            }),
        ),
        (
            "Violation",
            json!({
                "type": "object",
                "description": "One broken rule.",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": like("A JSON pointer (RFC 6901) into the body as it was sent.", "/ports/0/port"),
                    "code": like("A stable code.", "HED-1005"),
                    "detail": like("What is wrong.", "65536 is more than 65535"),
                    "hint": like("What would be right.", "1 to 65535"),
                },
            }),
        ),
        (
            "Meta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about an object.",
                "required": ["uid", "kind", "etag", "revision", "created_at", "updated_at"],
                "properties": {
                    "uid": like("The identifier. It stands wherever the name may stand, and outlives nothing: a new object of the same name has another one.", "svc_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": like("The kind.", "service"),
                    "etag": like("For `If-Match`.", "\"r42-5c1e9b07\""),
                    "revision": {"type": "integer", "minimum": 0, "description": "The mesh revision that wrote it last.", "examples": [42]},
                    "created_at": time("When it was created."),
                    "updated_at": time("When it was written last."),
                    "managed_by": {"$ref": "#/components/schemas/ManagedBy"},
                    "parent": {"type": "object", "description": "What it is below: kind to name.", "additionalProperties": {"type": "string"}},
                },
            }),
        ),
        (
            "MeshStatus",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle observes of a mesh.",
                "required": ["revision", "trust_domain"],
                "properties": {
                    "revision": {"type": "integer", "minimum": 0, "description": "The newest revision: it grows by one with each accepted change.", "examples": [42]},
                    "findings": {"type": "array", "description": "What somebody should look at.", "items": {"$ref": "#/components/schemas/Violation"}},
                    "trust_domain": like("The trust domain of its SPIFFE ids. It is never given out again.", "prod-01jdbg8ehw.heddle.internal"),
                },
            }),
        ),
        (
            "CreateJoinToken",
            serde_json::to_value(
                <crate::v1::join_tokens::CreateJoinToken as utoipa::PartialSchema>::schema(),
            )
            .unwrap_or_default(),
        ),
        (
            "JoinToken",
            json!({
                "type": "object",
                "description": "What Envoys present to become proxies of a service.",
                "required": ["name", "service", "reusable", "expires_at", "state", "proxies", "meta"],
                "properties": {
                    "name": like("Unique in the mesh.", "payments-host-1"),
                    "service": like("The service that its proxies join.", "payments"),
                    "reusable": flag("Whether several proxies may join with it."),
                    "expires_at": time_or_null("After this no new proxy joins with it."),
                    "state": one_of("Whether it opens anything now.", &["active", "used", "expired", "revoked"]),
                    "proxies": count("How many proxies joined with it."),
                    "secret": like("The token itself: only in the answer that creates it.", "heddle_join_..."),
                    "meta": {"$ref": "#/components/schemas/JoinTokenMeta"},
                },
            }),
        ),
        (
            "JoinTokenMeta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about a join token.",
                "required": ["uid", "kind", "created_at"],
                "properties": {
                    "uid": like("The identifier.", "jt_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": one_of("The kind.", &["join_token"]),
                    "created_at": time("When it was created."),
                    "last_used_at": time_or_null("When a proxy joined with it last."),
                    "revoked_at": time_or_null("When it was revoked."),
                },
            }),
        ),
        ("JoinTokenList", list_of("JoinToken")),
        (
            "Proxy",
            json!({
                "type": "object",
                "description": "An Envoy that is or was connected.",
                "required": ["name", "service", "state", "revision", "meta"],
                "properties": {
                    "name": like("The Envoy's node id: unique within its service.", "payments-1"),
                    "service": like("The service that it serves.", "payments"),
                    "version": may_lack("The version of the service that it runs.", "v2"),
                    "state": one_of("`ready`: every type acknowledged the mesh's current revision.", &["connecting", "ready", "stale", "nacked", "offline"]),
                    "address": may_lack("Where other proxies reach it.", "10.0.3.17"),
                    "ports": {"type": ["object", "null"], "description": "Its inbound port for each port of the service.", "additionalProperties": {"type": "integer"}, "examples": [{"http": 15006}]},
                    "envoy": {"type": "object", "description": "What it says of itself.", "properties": {"version": may_lack("The version of Envoy.", "1.40.0")}},
                    "revision": {"$ref": "#/components/schemas/ProxyRevision"},
                    "nacks": {"type": "array", "items": {"type": "object", "description": "One refusal."}, "description": "What the Envoy refuses right now, each with the object and field that caused it."},
                    "meta": {"$ref": "#/components/schemas/ProxyMeta"},
                },
            }),
        ),
        (
            "ProxyRevision",
            json!({
                "type": "object",
                "description": "How far the proxy is.",
                "required": ["target"],
                "properties": {
                    "target": {"type": "integer", "minimum": 0, "description": "The mesh's revision.", "examples": [42]},
                    "acked": {"type": ["integer", "null"], "minimum": 0, "description": "What every type has acknowledged.", "examples": [42]},
                    "pending_types": {"type": "array", "description": "The types that are not acknowledged yet.", "items": text("A type, as in delta ADS."), "examples": [["RDS"]]},
                },
            }),
        ),
        (
            "ProxyMeta",
            json!({
                "type": "object",
                "readOnly": true,
                "description": "What Heddle keeps about a proxy.",
                "required": ["uid", "kind", "join_token", "first_joined_at"],
                "properties": {
                    "uid": like("The identifier.", "px_01jdbg8ehwfdftt7h57xet4v7y"),
                    "kind": one_of("The kind.", &["proxy"]),
                    "join_token": like("The identifier of the token that it joined with.", "jt_01jdbg8ehwfdftt7h57xet4v7y"),
                    "first_joined_at": time("When it joined."),
                    "last_seen_at": time_or_null("When it was connected last."),
                },
            }),
        ),
        ("ProxyList", list_of("Proxy")),
        (
            "WhoAmI",
            json!({
                "type": "object",
                "description": "The caller of this request.",
                "required": ["org", "actor", "permissions", "meshes"],
                "properties": {
                    "org": {"type": "object", "description": "The organisation.", "properties": {"name": text("Its name."), "uid": text("Its identifier.")}},
                    "actor": text("Who this is, as the audit log names it."),
                    "principal": {"type": ["object", "null"], "description": "The member or service account; null for a token that belongs to nobody.", "properties": {"kind": text("member or service_account."), "uid": text("The identifier."), "email": text("A member's e-mail address."), "name": text("A service account's name.")}},
                    "token": {"type": ["object", "null"], "description": "The API token of this request; null for a session.", "properties": {"uid": text("Its identifier.")}},
                    "session": {"type": ["object", "null"], "description": "The session of this request; null for an API token.", "properties": {"uid": text("Its identifier.")}},
                    "role": {"type": ["string", "null"], "description": "The strongest role in the whole organisation; null for who has roles at meshes only."},
                    "permissions": {"type": "array", "description": "What is permitted in the whole organisation.", "items": {"type": "string"}},
                    "meshes": {"type": "object", "description": "By the name of a mesh, what is permitted there beyond `permissions`.", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
                },
            }),
        ),
        (
            "ErrorCode",
            json!({
                "type": "object",
                "description": "A stable code and what to do about it.",
                "required": ["code", "status", "title", "cause", "fix"],
                "properties": {
                    "code": like("The code.", "HED-1002"),
                    "status": {"type": "integer", "description": "The HTTP status that carries it, alone or in `errors`.", "examples": [422]},
                    "title": like("The title.", "Unknown field"),
                    "cause": like("Why it happens.", "The object has no such field."),
                    "fix": like("What to do.", "Remove the field or correct its spelling."),
                },
            }),
        ),
        (
            "ErrorCodeList",
            json!({
                "type": "object",
                "description": "All codes.",
                "required": ["items", "self"],
                "properties": {
                    "items": {"type": "array", "description": "In ascending order.", "items": {"$ref": "#/components/schemas/ErrorCode"}},
                    "self": like("The address of this list.", "/v1/codes"),
                },
            }),
        ),
        (
            "Bootstrap",
            json!({"type": "object", "description": "An Envoy bootstrap: `envoy -c` takes it as it is.", "examples": [{"node": {"id": "payments-1", "cluster": "payments"}}]}),
        ),
    ]
}
