//! Schemas that are made from other schemas.

use heddle_model::filter::Fields;
use heddle_model::kind::Spec;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};

use crate::parameters::WORDS;

const COMPONENTS: &str = "#/components/schemas/";

/// The parameters of a list of objects of the kind `T`, beside `limit`.
pub(super) fn list_parameters<T: Spec>() -> Vec<(&'static str, String, Value)> {
    let fields = Fields::of::<T>();
    let own = serde_json::to_value(T::schema()).unwrap_or_default();
    let mut shown = vec!["name"];
    shown.extend(
        own["properties"]
            .as_object()
            .into_iter()
            .flat_map(|own| own.keys().map(String::as_str)),
    );
    shown.extend(["meta", "status"]);
    let one = format!("({})", shown.join("|"));
    vec![
        (
            "cursor",
            String::from(
                "`next_cursor` of the page before, with the same `filter` and `order_by`.",
            ),
            json!({"type": "string", "pattern": "^c_([0-9a-f]{2}){25,}$"}),
        ),
        (
            "filter",
            format!(
                "Only what this holds for: comparisons such as `labels.team=\"pay\"` of {}; by `=` and `!=`, numbers and times also by `<`, `<=`, `>` and `>=`; joined by `AND`, `OR` and `NOT`, with parentheses where `AND` and `OR` meet.",
                fields
                    .names()
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            json!({"type": "string", "maxLength": heddle_model::filter::LONGEST, "examples": ["labels.team=\"pay\" AND NOT name=\"old\""]}),
        ),
        (
            "order_by",
            String::from("What comes first; ` desc` for the greatest."),
            json!({"type": "string", "enum": ["name", "name desc", "created_at", "created_at desc", "updated_at", "updated_at desc"], "default": "name"}),
        ),
        (
            "fields",
            String::from("Only these fields of each item, with commas between."),
            json!({"type": "string", "pattern": format!("^{one}(,{one})*$"), WORDS: shown, "examples": ["name,meta"]}),
        ),
    ]
}

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
