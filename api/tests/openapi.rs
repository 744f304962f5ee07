//! The OpenAPI document: the copy that is checked in is current, and what is in it is good enough to build on.
//!
//! `HEDDLE_GENERATE=1` (or `cargo xtask generate`) writes the copy.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

/// Operations that anyone may call, or that judge their caller in their own way; their line in the router says how.
const WITHOUT_PERMISSION: [&str; 16] = [
    "create_device_authorization",
    "create_device_token",
    "create_invitation_acceptance",
    "create_invitation_lookup",
    "create_password_reset",
    "create_password_reset_completion",
    "create_second_factor_session",
    "create_session",
    "create_session_refresh",
    "create_sso_sign_in",
    "create_sso_sign_in_completion",
    "get_bootstrap",
    "get_code",
    "get_whoami",
    "list_codes",
    "list_sign_in_connections",
];

fn document() -> Value {
    serde_json::to_value(heddle_api::document()).unwrap()
}

/// Every operation by its id, with method and path.
fn operations(document: &Value) -> Vec<(String, String, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("responses").is_some() {
                let id = operation["operationId"].as_str().unwrap_or_default();
                operations.push((id.to_owned(), method.clone(), path.clone(), operation));
            }
        }
    }
    assert!(operations.len() > 20, "{}", operations.len());
    operations
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(target) if key == "$ref" => {
                        found.insert(target);
                    }
                    other => references(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// References that lead nowhere.
fn dangling(document: &Value) -> Vec<&str> {
    let mut found = BTreeSet::new();
    references(document, &mut found);
    let leads_somewhere = |target: &str| {
        target
            .strip_prefix('#')
            .is_some_and(|pointer| document.pointer(pointer).is_some())
    };
    found
        .into_iter()
        .filter(|target| !leads_somewhere(target))
        .collect()
}

/// A response of its own or one that operations share.
fn resolved<'a>(document: &'a Value, response: &'a Value) -> &'a Value {
    match response["$ref"]
        .as_str()
        .and_then(|target| target.strip_prefix('#'))
    {
        Some(pointer) => document.pointer(pointer).unwrap(),
        None => response,
    }
}

#[test]
fn the_checked_in_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut current = serde_json::to_string_pretty(&document()).unwrap();
    current.push('\n');
    if std::env::var_os("HEDDLE_GENERATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, current).unwrap();
        return;
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = checked_in
        .lines()
        .zip(current.lines())
        .position(|(a, b)| a != b);
    assert!(
        checked_in == current,
        "api/openapi.json differs from line {:?} on; run `cargo xtask generate`",
        differing.map(|line| line + 1)
    );
}

#[test]
fn operation_ids_are_unique_and_say_what_they_do() {
    let document = document();
    let mut seen = BTreeMap::new();
    for (id, method, path, _) in operations(&document) {
        let verbs: &[&str] = match method.as_str() {
            "get" => &["get", "list"],
            "post" => &["create", "apply"],
            "patch" => &["patch"],
            "put" => &["put"],
            "delete" => &["delete"],
            _ => &[],
        };
        let verb = id.split('_').next().unwrap();
        assert!(verbs.contains(&verb), "{method} {path} is called {id}");
        let other = seen.insert(id.clone(), path.clone());
        assert_eq!(other, None, "{id} is also at {path}");
    }
}

#[test]
fn every_operation_says_what_it_is_and_what_it_needs() {
    let document = document();
    let mut without_permission = Vec::new();
    for (id, _, path, operation) in operations(&document) {
        assert!(
            !operation["summary"].as_str().unwrap_or_default().is_empty(),
            "{id}"
        );
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{id}");
        let description = operation["description"].as_str().unwrap_or_default();
        let bearer = operation["security"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        if description.contains("Needs the permission `") {
            assert!(bearer, "{id} needs a permission, but no credential");
        } else {
            without_permission.push(id.clone());
        }
        assert!(!description.is_empty(), "{id} has no description");
        assert!(
            operation["security"].is_array(),
            "{id} does not say who may call it"
        );
        let scope = operation["x-heddle-permission"]
            .as_str()
            .unwrap_or_default();
        let expected = match (bearer, description.contains("Needs the permission `")) {
            (false, _) => scope == "public",
            (true, false) => scope == "authenticated",
            (true, true) => description.contains(&format!("`{scope}`")),
        };
        assert!(expected, "{id} has the permission {scope:?}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{id}"
        );
        let body = operation.get("requestBody").is_some();
        let precondition = operation["parameters"]
            .as_array()
            .is_some_and(|all| all.iter().any(|p| p["name"] == "If-Match"));
        let needed = [
            (true, &["400", "500", "503"][..]),
            (bearer, &["401", "403", "404"]),
            (body, &["409", "413", "415", "422"]),
            (precondition, &["412"]),
        ];
        for (status, _) in needed
            .iter()
            .filter(|(when, _)| *when)
            .flat_map(|(_, all)| all.iter().map(|s| (*s, ())))
        {
            assert!(responses.contains_key(status), "{id} does not say {status}");
        }
        for (status, response) in responses {
            if status.starts_with(['4', '5']) {
                let response = resolved(&document, response);
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/Problem", "{id} {status}");
            }
        }
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let declared: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let in_path: BTreeSet<&str> = path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        assert_eq!(declared, in_path, "{id}");
        for parameter in &parameters {
            let about = parameter["description"].as_str().unwrap_or_default();
            assert!(!about.is_empty(), "{id} {}", parameter["name"]);
            assert!(
                parameter["schema"].is_object(),
                "{id} {}",
                parameter["name"]
            );
        }
    }
    without_permission.sort();
    assert_eq!(without_permission, WITHOUT_PERMISSION);
}

/// Adds the schemas that something refers to, and those that they refer to.
fn refer(document: &Value, value: &Value, referred: &mut Map<String, Value>) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("#/components/schemas/")
                && !referred.contains_key(name)
            {
                let schema = &document["components"]["schemas"][name];
                referred.insert(name.to_owned(), schema.clone());
                refer(document, schema, referred);
            }
        }
        Value::Object(map) => map.values().for_each(|v| refer(document, v, referred)),
        Value::Array(items) => items.iter().for_each(|v| refer(document, v, referred)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a value breaks of a schema of the document.
fn broken(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    // What it refers to comes along, and not the rest: reading all of it costs more than everything else here.
    let mut referred = Map::new();
    refer(document, schema, &mut referred);
    let mut schema = schema.clone();
    schema["components"] = json!({"schemas": referred});
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_example_is_there_and_valid() {
    let document = document();
    let mut bodies = 0;
    let mut missing = Vec::new();
    for (id, method, _, operation) in operations(&document) {
        let body = operation.get("requestBody");
        assert!(
            body.is_some() || (method != "post" && method != "put" && method != "patch"),
            "{id} has no body"
        );
        for (kind, content) in body
            .into_iter()
            .flat_map(|body| body["content"].as_object().unwrap())
        {
            let problems = broken(&document, &content["schema"], &content["example"]);
            assert!(problems.is_empty(), "{id} {kind}: {problems:?}");
            let anything =
                broken(&document, &content["schema"], &json!({"no_such_field": 1})).is_empty();
            assert!(!anything, "{id} takes anything");
            bodies += 1;
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                let Some(example) = content.get("example") else {
                    missing.push(format!("{id} {status} {kind}"));
                    continue;
                };
                let problems = broken(&document, &content["schema"], example);
                assert!(
                    problems.is_empty(),
                    "{id} {status} {kind}: {problems:?}\n{example:#}"
                );
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let what = format!("{id} {} {}", parameter["in"], parameter["name"]);
            if let Some(example) = parameter.get("example") {
                let problems = broken(&document, &parameter["schema"], example);
                assert!(problems.is_empty(), "{what}: {problems:?}");
            }
        }
    }
    assert!(bodies >= 10, "{bodies}");
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "a text with a pattern needs an example of its own"
    );
}

/// Fields without a description, of their own or of what they refer to.
fn undescribed(document: &Value, at: &str, schema: &Value, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        let target = field["$ref"]
            .as_str()
            .and_then(|target| document.pointer(target.strip_prefix('#')?));
        let about = [Some(field), target]
            .into_iter()
            .flatten()
            .find_map(|s| s["description"].as_str());
        if about.is_none_or(str::is_empty) {
            found.push(at.clone());
        }
        undescribed(document, &at, field, found);
        undescribed(document, &at, &field["items"], found);
    }
}

#[test]
fn every_field_and_every_schema_is_described() {
    let document = document();
    let mut found = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if schema["description"].as_str().is_none_or(str::is_empty) {
            found.push(name.clone());
        }
        undescribed(&document, name, schema, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_link_names_an_operation_and_parameters_that_it_has() {
    let document = document();
    let operations = operations(&document);
    let links = document["components"]["links"].as_object().unwrap();
    assert!(links.len() > 20, "{}", links.len());
    for (name, link) in links {
        let target = operations
            .iter()
            .find(|(id, ..)| link["operationId"] == **id);
        let (_, _, path, _) = target.unwrap_or_else(|| panic!("{name} leads nowhere"));
        for parameter in link["parameters"].as_object().unwrap().keys() {
            let known =
                parameter == "header.If-Match" || path.contains(&format!("{{{parameter}}}"));
            assert!(known, "{name}: {parameter}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let mut document = document();
    assert_eq!(dangling(&document), Vec::<&str>::new());
    document["components"]["schemas"]
        .as_object_mut()
        .unwrap()
        .remove("Problem");
    assert_eq!(dangling(&document), ["#/components/schemas/Problem"]);
}
