//! What the OpenAPI document has beyond its table of operations, made from the table so that no operation can lack it:
//! answers that operations share, examples, links between operations, tags, and what each parameter looks like.

mod errors;
mod example;
mod limits;
mod links;
mod parameters;
mod tags;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use example::Examples;

pub(crate) use errors::name as error_name;

/// Completes the document.
pub(crate) fn complete(document: OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("a document is plain data");
    document["servers"] =
        json!([{"url": "/", "description": "The server that serves this document."}]);
    document["info"]["contact"] = json!({"name": "Heddle"});
    document["tags"] = tags::of(&document);
    describe_references(&mut document["components"]["schemas"]);
    for (path, operation) in operations(&mut document) {
        // Whatever a path names may not be there.
        if path.contains('{') {
            let reference = json!({"$ref": format!("#/components/responses/{}", error_name(404))});
            if let Some(answers) = operation
                .get_mut("responses")
                .and_then(Value::as_object_mut)
            {
                answers.entry("404").or_insert(reference);
            }
        }
        // Said, and not only left out: anyone may call it.
        let open = operation.entry("security").or_insert_with(|| json!([]));
        let permission = match open.as_array().is_some_and(Vec::is_empty) {
            true => "public",
            false => "authenticated",
        };
        operation
            .entry("x-heddle-permission")
            .or_insert_with(|| json!(permission));
        for parameter in operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            parameters::refine(parameter);
        }
    }
    limits::add(&mut document);
    errors::add(&mut document);
    let examples = Examples::of(&document);
    for (_, operation) in operations(&mut document) {
        add_examples(operation, &examples);
    }
    links::add(&mut document);
    drop_unused(&mut document);
    document
}

/// Schemas are made for every kind alike; what no operation uses says nothing.
fn drop_unused(document: &mut Value) {
    let schemas = document["components"]["schemas"].take();
    let Value::Object(mut schemas) = schemas else {
        return;
    };
    let mut used = BTreeSet::new();
    let mut open = Vec::new();
    named_schemas(document, &mut open);
    while let Some(name) = open.pop() {
        if let Some(schema) = schemas.get(&name)
            && used.insert(name)
        {
            named_schemas(schema, &mut open);
        }
    }
    schemas.retain(|name, _| used.contains(name));
    document["components"]["schemas"] = Value::Object(schemas);
}

/// The names of the schemas that something refers to, also where a discriminator does so.
fn named_schemas(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            names.extend(
                text.strip_prefix("#/components/schemas/")
                    .map(str::to_owned),
            );
        }
        Value::Object(map) => map.values().for_each(|value| named_schemas(value, names)),
        Value::Array(items) => items.iter().for_each(|item| named_schemas(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Every operation with its path.
fn operations(document: &mut Value) -> impl Iterator<Item = (String, &mut Map<String, Value>)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        item.as_object_mut()
            .into_iter()
            .flatten()
            .filter_map(|(_, operation)| operation.as_object_mut())
            .filter(|operation| operation.contains_key("responses"))
            .map(|operation| (path.clone(), operation))
    })
}

/// A reference that may be null comes as `oneOf` with the description inside of it, where nobody looks.
fn describe_references(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let inner = map
                .get_mut("oneOf")
                .and_then(Value::as_array_mut)
                .and_then(|options| {
                    options
                        .iter_mut()
                        .find_map(|option| option.as_object_mut()?.remove("description"))
                });
            if let Some(description) = inner {
                map.entry("description").or_insert(description);
            }
            map.values_mut().for_each(describe_references);
        }
        Value::Array(items) => items.iter_mut().for_each(describe_references),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Gives each answer of one operation the example of its schema.
fn add_examples(operation: &mut Map<String, Value>, examples: &Examples) {
    let answers = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    for (_, answer) in answers.into_iter().flatten() {
        let contents = answer.get_mut("content").and_then(Value::as_object_mut);
        for (_, content) in contents.into_iter().flatten() {
            let made = content
                .get("schema")
                .and_then(|schema| examples.make(schema));
            if let (Some(example), Some(content)) = (made, content.as_object_mut()) {
                content.entry("example").or_insert(example);
            }
        }
    }
}
