//! From the answer that names an object to the operations on it and below it: what people would type next, and how a
//! program finds its way without knowing the paths.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// One operation of the document.
struct Target {
    path: String,
    id: String,
    takes_etag: bool,
}

/// Where an answer has the name of the object that its links lead to.
const OWN: &str = "$response.body#/name";
const FIRST: &str = "$response.body#/items/0/name";

/// Adds links to every answer of POST and PUT whose body has a name, and from lists to their first item.
pub(super) fn add(document: &mut Value) {
    let targets = targets(document);
    let named = named_schemas(document);
    let paths: Vec<String> = targets.iter().map(|target| target.path.clone()).collect();
    let mut links = BTreeMap::new();
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, status) in [
            ("get", "200"),
            ("post", "201"),
            ("put", "200"),
            ("put", "201"),
        ] {
            let answer = item
                .get_mut(method)
                .and_then(|operation| operation["responses"].get_mut(status));
            let (Some(answer), Some(object)) = (answer, object(method, path, &paths)) else {
                continue;
            };
            let schema = answer["content"]["application/json"]["schema"]["$ref"]
                .as_str()
                .unwrap_or_default();
            let schema = schema.rsplit('/').next().unwrap_or_default();
            let listed = schema.strip_suffix("List").filter(|_| method == "get");
            if !named.iter().any(|name| name == listed.unwrap_or(schema))
                || (method == "get" && listed.is_none())
            {
                continue;
            }
            let near = targets.iter().filter(|target| match listed {
                Some(_) => target.path == object,
                None => target.path == object || is_one_level_below(object, &target.path),
            });
            let name = if listed.is_some() { FIRST } else { OWN };
            let found = near
                .map(|target| link(object, target, name, &mut links))
                .collect::<Map<_, _>>();
            if !found.is_empty() {
                answer["links"] = Value::Object(found);
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

fn is_one_level_below(object: &str, path: &str) -> bool {
    below(object, path).is_some_and(|rest| rest.matches('{').count() <= 1)
}

/// Describes one link among those that all answers share, and refers to it.
fn link(
    object: &str,
    target: &Target,
    name: &str,
    all: &mut BTreeMap<String, Value>,
) -> (String, Value) {
    let last = object.rsplit('/').next().unwrap_or_default();
    let variables = object.split('/').filter(|segment| is_variable(segment));
    let mut parameters: Map<String, Value> = variables
        .map(|variable| {
            let bare = variable.trim_matches(['{', '}']);
            // A singleton has no variable of its own: its links start at the object that it belongs to.
            let value = match variable == last {
                true => name.to_owned(),
                false => format!("$request.path.{bare}"),
            };
            (bare.to_owned(), json!(value))
        })
        .collect();
    // A write of exactly the state that the answer shows.
    if target.takes_etag && target.path == object && name == OWN {
        parameters.insert(
            String::from("header.If-Match"),
            json!("$response.body#/meta/etag"),
        );
    }
    let source = last.trim_matches(['{', '}']);
    let key = match name == FIRST {
        true => format!("{}_of_first_{source}", target.id),
        false => format!("{}_from_{source}", target.id),
    };
    let description = match name == FIRST {
        true => format!("`{}` of the first of these.", target.id),
        false => format!("`{}` of this object.", target.id),
    };
    let link =
        json!({"operationId": target.id, "parameters": parameters, "description": description});
    all.insert(key.clone(), link);
    (
        target.id.clone(),
        json!({"$ref": format!("#/components/links/{key}")}),
    )
}

fn targets(document: &Value) -> Vec<Target> {
    let mut targets = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            if let Some(id) = item[method]["operationId"].as_str() {
                let (path, id) = (path.clone(), id.to_owned());
                let parameters = item[method]["parameters"].as_array().into_iter().flatten();
                let takes_etag = parameters.clone().any(|one| one["name"] == "If-Match");
                targets.push(Target {
                    path,
                    id,
                    takes_etag,
                });
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
