//! The OpenAPI 3.1 document: its frame, and the parts that it is put together from.

mod access_checks;
mod declared;
pub(crate) mod history;
mod kind;
pub(crate) mod live;
mod objects;
mod operation;
pub(crate) mod proxy_config;
mod revocations;
mod schema;

use heddle_model::kind::{AccessRule, Mesh, Profile, Route, Service, Split};
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, Schema,
};

pub(crate) use operation::{Op, text_schema};

use kind::kind;

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
    crate::invited::schemas(&mut schemas);
    crate::second_steps::schemas(&mut schemas);
    crate::single_sign_on::schemas(&mut schemas);
    crate::webhooks::schemas(&mut schemas);
    crate::audit_log::schemas(&mut schemas);
    crate::accounts::sent::<crate::v1::access_checks::CheckAccess>(&mut schemas);
    let others = declared::schemas().into_iter().chain(history::schemas());
    let others = others.chain(live::schemas());
    let others = others.chain(proxy_config::schemas());
    let others = others.chain(access_checks::schemas());
    let others = others.chain(revocations::schemas());
    let others = others.chain(crate::rotations::schemas());
    let others = others.chain(crate::trust_bundle::schemas());
    let others = others.chain(crate::authorities::schemas());
    let others = others.chain(crate::certificates::schemas());
    let others = others.chain(crate::authority_requests::schemas());
    let others = others.chain(crate::observations::schemas());
    let others = others.chain(crate::usage::schemas());
    crate::accounts::sent::<crate::v1::authority_requests::CreateAuthorityRequest>(&mut schemas);
    crate::accounts::sent::<crate::v1::certificates::CreateCertificate>(&mut schemas);
    crate::accounts::sent::<crate::v1::rotations::CreateRotation>(&mut schemas);
    crate::accounts::sent::<crate::v1::rotations::ActOnRotation>(&mut schemas);
    for (name, schema) in objects::schemas().into_iter().chain(others) {
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
