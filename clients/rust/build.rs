//! Generates the client from the API's document. What generators of Rust clients read is OpenAPI 3.0, so the document is said
//! again in that first, without what a client has no use for: bounds and patterns are judged by the server.
#![expect(
    clippy::expect_used,
    reason = "a build that cannot go on has nobody to tell but cargo"
)]

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

fn main() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/openapi.json");
    println!("cargo::rerun-if-changed={}", document.display());
    let text = std::fs::read_to_string(&document).expect("the document is checked in");
    let document: Value = serde_json::from_str(&text).expect("the document is JSON");
    let document = serde_json::from_value(older(document)).expect("the document is OpenAPI 3.0");
    let mut settings = progenitor::GenerationSettings::default();
    settings.with_interface(progenitor::InterfaceStyle::Builder);
    let tokens = progenitor::Generator::new(&settings)
        .generate_tokens(&document)
        .expect("the document can be generated from");
    let file = syn::parse2(tokens).expect("the generator writes Rust");
    let out: PathBuf = std::env::var_os("OUT_DIR").expect("cargo sets it").into();
    std::fs::write(out.join("client.rs"), prettyplease::unparse(&file))
        .expect("OUT_DIR can be written");
}

/// The document in OpenAPI 3.0.
fn older(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    document["info"]["license"] = json!({"name": "Apache-2.0"});
    for (_, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            simplify(operation);
        }
    }
    if let Some(components) = document["components"].as_object_mut() {
        components.remove("links");
        components.remove("securitySchemes");
        for response in members(components, "responses") {
            as_json(response);
        }
        for (name, schema) in components["schemas"].as_object_mut().into_iter().flatten() {
            *schema = match name.starts_with("Patch") {
                // A merge patch tells null from absent, which no struct can.
                true => json!({"type": "object", "additionalProperties": true}),
                false => older_schema(schema.take()),
            };
        }
    }
    document
}

fn members<'a>(map: &'a mut Map<String, Value>, name: &str) -> impl Iterator<Item = &'a mut Value> {
    let inner = map.get_mut(name).and_then(Value::as_object_mut);
    inner.into_iter().flat_map(|inner| inner.values_mut())
}

/// One operation: one type of body, one type of answer, schemas of the older form.
fn simplify(operation: &mut Value) {
    let Some(operation) = operation.as_object_mut() else {
        return;
    };
    operation.remove("security");
    let parameters = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        parameter["schema"] = older_schema(parameter["schema"].take());
        if let Some(map) = parameter.as_object_mut() {
            map.remove("example");
        }
    }
    if let Some(body) = operation.get_mut("requestBody") {
        as_json(body);
    }
    let responses = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    if let Some(responses) = responses {
        // Neither an answer nor a problem: only who asks for it gets it.
        responses.remove("304");
        for response in responses.values_mut() {
            as_json(response);
        }
    }
}

/// Keeps the JSON of a body, whatever else it may be sent as, and only its schema.
fn as_json(body: &mut Value) {
    let Some(map) = body.as_object_mut() else {
        return;
    };
    map.remove("links");
    let Some(Value::Object(content)) = map.get_mut("content") else {
        return;
    };
    let mut taken = content.remove("application/json");
    taken = taken.or_else(|| content.remove("application/problem+json"));
    let schema = taken.map(|mut one| older_schema(one["schema"].take()));
    if let Some(schema) = schema {
        *content = Map::new();
        content.insert(String::from("application/json"), json!({"schema": schema}));
    }
}

/// What a client has no use for. Enums are open: what a newer server says must not break an older client.
const LEFT_OUT: [&str; 18] = [
    "enum",
    "const",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "propertyNames",
    "uniqueItems",
    "examples",
    "example",
    "default",
    "x-heddle-words",
    "title",
];

fn older_schema(schema: Value) -> Value {
    let Value::Object(mut map) = schema else {
        return schema;
    };
    if let Some(target) = map.get("$ref") {
        return json!({"$ref": target});
    }
    if map.get("type") == Some(&json!("integer")) {
        let counts = map
            .get("minimum")
            .and_then(Value::as_i64)
            .is_some_and(|least| least >= 0);
        map.insert(
            String::from("format"),
            json!(if counts { "uint64" } else { "int64" }),
        );
    } else if map
        .get("format")
        .is_some_and(|format| format != "date-time")
    {
        map.remove("format");
    }
    for name in LEFT_OUT {
        map.remove(name);
    }
    if let Some(Value::Array(kinds)) = map.get("type").cloned() {
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| kind != "null").collect();
        match kinds.as_slice() {
            [one] => {
                map.insert(String::from("type"), one.clone());
                map.insert(String::from("nullable"), json!(true));
            }
            // Anything.
            _ => return json!({"description": map.get("description").cloned().unwrap_or_default()}),
        }
    }
    for union in ["oneOf", "anyOf"] {
        if let Some(Value::Array(options)) = map.remove(union) {
            let options = options
                .into_iter()
                .filter(|option| option["type"] != "null");
            let mut options = options.filter(|option| option.get("$ref").is_some());
            if let (Some(one), None) = (options.next(), options.next()) {
                map.insert(String::from("allOf"), json!([one]));
                map.insert(String::from("nullable"), json!(true));
            }
        }
    }
    for field in members(&mut map, "properties") {
        *field = older_schema(field.take());
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema) = map.get_mut(inner) {
            *schema = older_schema(schema.take());
        }
    }
    Value::Object(map)
}
