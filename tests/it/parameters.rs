//! Every query parameter of every operation, held against the document: what it does not have is refused by name, and so is
//! what has another form than it promises. No operation has to be listed here.

use heddle_tests::{ServerOptions, Stack, repository};
use reqwest::Method;
use serde_json::{Value, json};

/// A text that the schema of a parameter does not allow.
fn broken(schema: &Value) -> String {
    match (schema["type"].as_str(), schema["maxLength"].as_u64()) {
        (Some("boolean"), _) => String::from("maybe"),
        (Some("integer"), _) => String::from("1.5"),
        (_, Some(most)) => "x".repeat(usize::try_from(most).unwrap() + 1),
        // No pattern of ours allows a control character.
        _ => String::from("%01"),
    }
}

/// The address of an operation, with the document's examples in its path.
fn address(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().cloned();
    let named = parameters.unwrap_or_default();
    let in_path = named.iter().filter(|parameter| parameter["in"] == "path");
    in_path.fold(path.to_owned(), |path, parameter| {
        let name = parameter["name"].as_str().unwrap();
        let example = &parameter["example"];
        let text = example
            .as_str()
            .map_or_else(|| example.to_string(), str::to_owned);
        let text = if example.is_null() { "none" } else { &text };
        path.replace(&format!("{{{name}}}"), text)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_parameter_is_judged_as_the_document_says() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "prod", json!({}), &["payments"]).await;
    let text = std::fs::read_to_string(repository().join("api/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "patch", "delete"] {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let parameters = operation["parameters"].as_array().cloned();
            let in_query = parameters.unwrap_or_default();
            let in_query = in_query.iter().filter(|one| one["in"] == "query");
            let declared = in_query.map(|one| {
                let name = one["name"].as_str().unwrap().to_owned();
                let value = broken(&one["schema"]);
                (name, value)
            });
            let unknown = (String::from("no-such-parameter"), String::from("1"));
            for (name, value) in declared.chain([unknown]) {
                let at = format!("{}?{name}={value}", address(path, operation));
                let verb: Method = method.to_uppercase().parse().unwrap();
                let reply = api.raw(verb, &at, &[], Vec::new()).await;
                tried += 1;
                // The header of the same meaning is what its problem names.
                let named = match name.as_str() {
                    "message" => "Heddle-Message",
                    other => other,
                };
                if reply.status != 400 || reply.json["parameter"] != named {
                    wrong.push(format!("{method} {at}: {} {}", reply.status, reply.text));
                }
            }
        }
    }
    assert!(tried > 150, "{tried}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
