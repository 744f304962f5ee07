//! The OpenAPI 3.1 document: its frame, its schemas, and how one operation is described.

use heddle_model::kind::{AccessRule, Mesh, Route, Service, Spec, Split};
use serde_json::{Value, json};
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr,
    Required, ResponseBuilder,
};

use crate::table::bearer_requirement;

/// How one operation is described.
pub(crate) struct Op {
    id: String,
    summary: String,
    description: String,
    tag: &'static str,
    body: Option<(String, Value)>,
    answers: Vec<(u16, &'static str, Option<String>)>,
    query: Vec<(&'static str, &'static str)>,
    permission: Option<&'static str>,
    bearer: bool,
    writes: bool,
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
            query: Vec::new(),
            permission: None,
            bearer: true,
            writes: false,
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

    pub(crate) fn query(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push((name, about));
        self
    }

    pub(crate) fn paged(self) -> Self {
        self.query("limit", "How many items at most: 1 to 500; 50 when absent.")
            .query("cursor", "`next_cursor` of the page before.")
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

    /// It changes something that has an ETag.
    pub(crate) fn writes(mut self) -> Self {
        self.writes = true;
        self
    }

    pub(crate) fn build(self) -> OperationBuilder {
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
        if self.bearer {
            operation = operation.security(bearer_requirement());
        }
        for (name, about) in self.query {
            operation = operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Query)
                    .required(Required::False)
                    .description(Some(about))
                    .schema(Some(text_schema())),
            );
        }
        if let Some((schema, example)) = &self.body {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(schema)))
                .example(Some(example.clone()))
                .build();
            operation = operation.request_body(Some(
                RequestBodyBuilder::new()
                    .content("application/json", content)
                    .required(Some(Required::True))
                    .build(),
            ));
        }
        let mut errors: Vec<u16> = vec![400, 503];
        if self.bearer {
            errors.extend([401, 403, 404]);
        }
        if self.body.is_some() {
            errors.extend([409, 413, 415, 422]);
        }
        if self.writes {
            errors.extend([409, 412]);
        }
        errors.sort_unstable();
        errors.dedup();
        for (status, about, schema) in self.answers {
            let mut response = ResponseBuilder::new().description(about);
            if let Some(schema) = schema {
                let content = ContentBuilder::new()
                    .schema(Some(Ref::from_schema_name(&schema)))
                    .build();
                response = response.content("application/json", content);
            }
            operation = operation.response(status.to_string(), response);
        }
        for status in errors {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build();
            let response = ResponseBuilder::new()
                .description(
                    http::StatusCode::from_u16(status)
                        .ok()
                        .and_then(|s| s.canonical_reason())
                        .unwrap_or("Error"),
                )
                .content("application/problem+json", content);
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
    kind::<Route>("Route", &mut schemas);
    kind::<Split>("Split", &mut schemas);
    kind::<AccessRule>("AccessRule", &mut schemas);
    for (name, schema) in own_schemas() {
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
                    .description(Some("An API token (`heddle_pat_...`), or a join token where an operation says so."))
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
/// (`Service`) and its list. The last three are made from the first, so they cannot differ from it.
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
    let mut answer = spec;
    add_name(&mut answer);
    if let Value::Object(map) = &mut answer {
        map.remove("additionalProperties");
    }
    answer["properties"]["meta"] = json!({"$ref": "#/components/schemas/Meta"});
    answer["properties"]["status"] =
        json!({"type": "object", "readOnly": true, "description": "What Heddle observes."});
    if let Some(required) = answer["required"].as_array_mut() {
        required.push(json!("meta"));
    }
    schemas.push((view.to_owned(), from_json(answer)));
    schemas.push((format!("{view}List"), from_json(list_of(view))));
}

fn add_name(schema: &mut Value) {
    schema["properties"]["name"] = json!({
        "type": "string",
        "pattern": heddle_model::name::NAME_PATTERN,
        "description": "Chosen once, unique among its siblings, never changed.",
    });
    if !schema["required"].is_array() {
        schema["required"] = json!([]);
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.push(json!("name"));
    }
}

fn list_of(view: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items", "self"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{view}")}},
            "next_cursor": {"type": "string", "description": "The cursor of the next page; absent on the last one."},
            "self": {"type": "string", "description": "The address of this page."},
        },
    })
}

fn from_json(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).expect("checked by the test that renders the document")
}

fn own_schemas() -> Vec<(&'static str, Value)> {
    let text = |about: &str| json!({"type": "string", "description": about});
    let time = |about: &str| json!({"type": "string", "format": "date-time", "description": about});
    let count = |about: &str| json!({"type": "integer", "minimum": 0, "description": about});
    vec![
        (
            "Problem",
            json!({
                "type": "object",
                "description": "RFC 9457: what went wrong.",
                "required": ["type", "title", "status", "detail", "code", "request_id"],
                "properties": {
                    "type": text("Where the code is explained."),
                    "title": text("The same for every occurrence of the code."),
                    "status": count("The HTTP status."),
                    "detail": text("What is wrong here."),
                    "instance": text("This occurrence."),
                    "code": text("A stable code, such as `HED-1002`."),
                    "request_id": text("Names this request in our logs."),
                    "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Violation"}},
                },
            }),
        ),
        (
            "Violation",
            json!({
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": text("A JSON pointer (RFC 6901) into the body as it was sent."),
                    "code": text("A stable code."),
                    "detail": text("What is wrong."),
                    "hint": text("What would be right."),
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
                    "uid": text("The identifier."),
                    "kind": text("The kind."),
                    "etag": text("For `If-Match`."),
                    "revision": count("The mesh revision that wrote it last."),
                    "created_at": time("When it was created."),
                    "updated_at": time("When it was written last."),
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
                "required": ["name", "service", "reusable", "expires_at", "state", "meta"],
                "properties": {
                    "name": text("Unique in the mesh."),
                    "service": text("The service that its proxies join."),
                    "reusable": {"type": "boolean", "description": "Whether several proxies may join with it."},
                    "expires_at": time("After this no new proxy joins with it."),
                    "state": text("active, used, expired or revoked."),
                    "proxies": count("How many proxies joined with it."),
                    "secret": text("The token itself: only in the answer that creates it."),
                    "meta": {"type": "object", "readOnly": true},
                },
            }),
        ),
        ("JoinTokenList", list_of("JoinToken")),
        (
            "Proxy",
            json!({
                "type": "object",
                "required": ["name", "service", "state", "revision", "meta"],
                "properties": {
                    "name": text("The Envoy's node id: unique within its service."),
                    "service": text("The service that it serves."),
                    "version": text("The version of the service that it runs."),
                    "state": text("connecting, ready (every type acknowledged the mesh's current revision), stale, nacked or offline."),
                    "address": text("Where other proxies reach it."),
                    "ports": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "envoy": {"type": "object"},
                    "revision": {"type": "object", "properties": {"target": count("The mesh's revision."), "acked": count("What every type has acknowledged."), "pending_types": {"type": "array", "items": {"type": "string"}}}},
                    "nacks": {"type": "array", "items": {"type": "object"}, "description": "What the Envoy refuses right now, each with the object and field that caused it."},
                    "meta": {"type": "object", "readOnly": true},
                },
            }),
        ),
        ("ProxyList", list_of("Proxy")),
        (
            "WhoAmI",
            json!({"type": "object", "properties": {"org": text("The organisation."), "role": text("The role."), "actor": text("Who this is."), "permissions": {"type": "array", "items": {"type": "string"}}}}),
        ),
        (
            "ErrorCode",
            json!({"type": "object", "properties": {"code": text("The code."), "status": count("The HTTP status."), "title": text("The title."), "cause": text("Why it happens."), "fix": text("What to do.")}}),
        ),
        (
            "Bootstrap",
            json!({"type": "object", "description": "An Envoy bootstrap: `envoy -c` takes it as it is."}),
        ),
    ]
}
