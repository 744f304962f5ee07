//! From the answer that names an object to the operations on it and below it: what people would type next, and how a
//! program finds its way without knowing the paths.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// One operation of the document.
struct Target {
    path: String,
    id: String,
}

/// Adds links to every answer of POST and PUT whose body has a name.
pub(super) fn add(document: &mut Value) {
    let targets = targets(document);
    let named = named_schemas(document);
    let items: Vec<String> = document["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(path, _)| path.clone())
        .collect();
    let mut links = BTreeMap::new();
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for method in ["post", "put"] {
            let Some(operation) = item.get_mut(method) else {
                continue;
            };
            let Some(object) = object(method, path, &items) else {
                continue;
            };
            for status in ["200", "201"] {
                let Some(answer) = operation["responses"].get_mut(status) else {
                    continue;
                };
                let schema = answer["content"]["application/json"]["schema"]["$ref"].as_str();
                if schema.is_some_and(|schema| {
                    named
                        .iter()
                        .any(|name| schema.ends_with(&format!("/{name}")))
                }) {
                    let found = from(object, &targets, &mut links);
                    if !found.is_empty() {
                        answer["links"] = Value::Object(found);
                    }
                }
            }
        }
    }
    document["components"]["links"] = json!(links);
}

/// The path of the object that the operation answers with.
fn object<'a>(method: &str, path: &'a str, paths: &'a [String]) -> Option<&'a str> {
    match method {
        "put" => Some(path),
        _ => paths
            .iter()
            .map(String::as_str)
            .find(|other| below(path, other).is_some_and(is_variable)),
    }
}

/// What follows a path in a longer one.
fn below<'a>(path: &str, longer: &'a str) -> Option<&'a str> {
    longer.strip_prefix(path)?.strip_prefix('/')
}

fn is_variable(rest: &str) -> bool {
    rest.starts_with('{') && rest.ends_with('}') && !rest.contains('/')
}

/// Links from an object to its own operations and to those one level below it.
fn from(object: &str, targets: &[Target], all: &mut BTreeMap<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    let own: Vec<&str> = object
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
        .collect();
    // A singleton has no variable of its own: its links start at the object that it belongs to.
    let last = object
        .rsplit('/')
        .next()
        .filter(|segment| is_variable(segment));
    for target in targets {
        let near = target.path == object
            || below(object, &target.path).is_some_and(|rest| rest.matches('{').count() <= 1);
        if !near {
            continue;
        }
        let parameters: Map<String, Value> = own
            .iter()
            .map(|name| {
                let value = match last.is_some_and(|last| last[1..last.len() - 1] == **name) {
                    true => String::from("$response.body#/name"),
                    false => format!("$request.path.{name}"),
                };
                ((*name).to_owned(), json!(value))
            })
            .collect();
        let name = format!("{}_from_{}", target.id, own.last().unwrap_or(&"root"));
        let description = format!("`{}` of this object.", target.id);
        all.insert(
            name.clone(),
            json!({"operationId": target.id, "parameters": parameters, "description": description}),
        );
        found.insert(
            target.id.clone(),
            json!({"$ref": format!("#/components/links/{name}")}),
        );
    }
    found
}

fn targets(document: &Value) -> Vec<Target> {
    let mut targets = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            if let Some(id) = item[method]["operationId"].as_str() {
                let (path, id) = (path.clone(), id.to_owned());
                targets.push(Target { path, id });
            }
        }
    }
    targets
}

fn named_schemas(document: &Value) -> Vec<String> {
    let schemas = document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten();
    schemas
        .filter(|(_, schema)| {
            schema["required"]
                .as_array()
                .is_some_and(|all| all.contains(&json!("name")))
        })
        .map(|(name, _)| name.clone())
        .collect()
}
