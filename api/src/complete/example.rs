//! Examples of whole values, put together from the examples and bounds of the fields.

use heddle_model::kind::{AccessRule, Mesh, Profile, Route, Service, Spec, Split};
use serde_json::{Map, Value, json};

/// Schemas contain each other; none that is sent is deeper.
const DEEPEST: usize = 12;

/// The component schemas of a document.
pub(super) struct Examples {
    schemas: Map<String, Value>,
}

impl Examples {
    pub(super) fn of(document: &Value) -> Self {
        let schemas = document["components"]["schemas"].as_object().cloned();
        Self {
            schemas: schemas.unwrap_or_default(),
        }
    }

    /// A value that the schema allows; none where a text has a pattern and no example.
    pub(super) fn make(&self, schema: &Value) -> Option<Value> {
        self.at(schema, 0)
    }

    fn at(&self, schema: &Value, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        if let Some(given) = given(schema) {
            return Some(given);
        }
        if let Some(target) = schema["$ref"].as_str() {
            let name = target.rsplit('/').next()?;
            return sample(name, self).or_else(|| self.at(self.schemas.get(name)?, depth + 1));
        }
        if let Some(options) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let option = options.iter().find(|option| option["type"] != "null")?;
            return self.at(option, depth + 1);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in parts {
                whole.extend(self.at(part, depth + 1)?.as_object()?.clone());
            }
            return Some(Value::Object(whole));
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => {
                let item = schema
                    .get("items")
                    .and_then(|items| self.at(items, depth + 1))?;
                Some(json!([item]))
            }
            "integer" | "number" => {
                Some(schema.get("minimum").cloned().unwrap_or_else(|| json!(1)))
            }
            "boolean" => Some(json!(false)),
            "string" => text(schema),
            _ => None,
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Option<Value> {
        let mut made = Map::new();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            made.insert(name.clone(), self.at(field, depth + 1)?);
        }
        Some(Value::Object(made))
    }
}

/// What the schema itself gives as its value.
fn given(schema: &Value) -> Option<Value> {
    let first = |field: &str| {
        schema[field]
            .as_array()
            .and_then(|all| all.first())
            .cloned()
    };
    schema
        .get("example")
        .cloned()
        .or_else(|| first("examples"))
        .or_else(|| schema.get("const").cloned())
        .or_else(|| schema.get("default").cloned())
        .or_else(|| first("enum"))
}

/// The type; of several the first that is not null.
fn kind(schema: &Value) -> &str {
    let one = schema["type"].as_str();
    let several = || {
        schema["type"]
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .find(|t| *t != "null")
    };
    one.or_else(several).unwrap_or_default()
}

fn text(schema: &Value) -> Option<Value> {
    match schema["format"].as_str() {
        Some("date-time") => Some(json!("2026-11-23T09:00:00.000Z")),
        Some("uuid") => Some(json!("0193590c-3a3c-7b5f-8d1e-2f3a4b5c6d7e")),
        _ if schema.get("pattern").is_some() => None,
        _ => Some(json!("text")),
    }
}

/// The objects that people write: their sample is better than what can be put together.
fn sample(schema: &str, examples: &Examples) -> Option<Value> {
    let (view, sent, name) = match schema.strip_suffix("Item").unwrap_or(schema) {
        "Mesh" => (schema, Mesh::sample(), "prod"),
        "Service" => (schema, Service::sample(), "payments"),
        "Route" => (schema, Route::sample(), "charges"),
        "Split" => (schema, Split::sample(), "split"),
        "Profile" => (schema, Profile::sample(), "std-backend"),
        "AccessRule" => (schema, AccessRule::sample(), "checkout-may-charge"),
        _ => return None,
    };
    let mut whole = Map::new();
    whole.insert(String::from("name"), json!(name));
    whole.extend(sent.as_object()?.clone());
    for field in ["meta", "status"] {
        if let Some(schema) = examples.schemas.get(view)?["properties"].get(field) {
            whole.insert(field.to_owned(), examples.at(schema, 1)?);
        }
    }
    Some(Value::Object(whole))
}
