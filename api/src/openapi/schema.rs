//! Schemas that are made from other schemas.

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};

const COMPONENTS: &str = "#/components/schemas/";

/// Makes the schema of an object that of its merge patch: nothing is required, every member may be `null`, and so on in
/// every object inside. Lists are replaced whole, so what is in them stays as it is.
pub(super) fn loosen(schema: &mut Value, components: &[(String, RefOr<Schema>)]) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    map.remove("required");
    let Some(Value::Object(properties)) = map.get_mut("properties") else {
        return;
    };
    for property in properties.values_mut() {
        if let Some(mut object) = object_behind(property, components) {
            loosen(&mut object, components);
            if let Some(about) = description(property) {
                object["description"] = about;
            }
            *property = object;
        }
        allow_null(property);
    }
}

/// The schema of an object with members that a property refers to, also where it may be `null` already.
fn object_behind(property: &Value, components: &[(String, RefOr<Schema>)]) -> Option<Value> {
    let options = property["oneOf"].as_array();
    let target = std::iter::once(property)
        .chain(options.into_iter().flatten())
        .find_map(|option| option["$ref"].as_str()?.strip_prefix(COMPONENTS))?;
    let (_, schema) = components.iter().find(|(name, _)| name == target)?;
    let schema = serde_json::to_value(schema).ok()?;
    schema["properties"].is_object().then_some(schema)
}

/// What a property says of itself, beside the reference or where it may be `null`.
fn description(property: &Value) -> Option<Value> {
    let options = property["oneOf"].as_array();
    std::iter::once(property)
        .chain(options.into_iter().flatten())
        .find_map(|option| option.get("description").cloned())
}

fn allow_null(property: &mut Value) {
    let null = json!("null");
    if let Some(kind) = property.get_mut("type") {
        match kind {
            Value::Array(kinds) if !kinds.contains(&null) => kinds.push(null),
            Value::String(one) => *kind = json!([one.clone(), "null"]),
            _ => {}
        }
    } else if property.get("$ref").is_some() {
        let about = property["description"].clone();
        let mut referred = property.take();
        if let Some(map) = referred.as_object_mut() {
            map.remove("description");
        }
        *property = json!({"oneOf": [{"type": "null"}, referred]});
        if !about.is_null() {
            property["description"] = about;
        }
    }
}
