//! The schemas of one declarative kind.

use heddle_model::kind::Spec;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};

use super::{from_json, list_of, schema};

/// The schemas of one kind: what is sent (`ServiceSpec`), what creates (`CreateService`), what comes back
/// (`Service`), what patches (`PatchService`) and its list. All are made from the first, so they cannot differ from it.
pub(super) fn kind<T: Spec>(view: &str, schemas: &mut Vec<(String, RefOr<Schema>)>) {
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
