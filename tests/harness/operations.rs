//! Which operations of the published document a list of requests leaves out: a new operation that no table of a test
//! knows is found, and not forgotten.

use reqwest::Method;
use serde_json::Value;

/// The document as it is checked in.
const DOCUMENT: &str = include_str!("../../api/openapi.json");
const ORG: &str = "/v1/orgs/{org}";

/// Operations below an organisation that none of these requests (method and path below it) calls.
#[must_use]
pub fn operations_not_called(requests: &[(Method, &str)]) -> Vec<String> {
    let document: Value = serde_json::from_str(DOCUMENT).expect("the checked-in document is JSON");
    let paths = document["paths"].as_object().expect("a document has paths");
    let mut missing = Vec::new();
    for (template, item) in paths {
        let Some(template) = template.strip_prefix(ORG) else {
            continue;
        };
        for method in ["get", "put", "post", "delete", "patch"] {
            let called = requests
                .iter()
                .any(|(m, path)| m.as_str().eq_ignore_ascii_case(method) && fits(template, path));
            if item.get(method).is_some() && !called {
                missing.push(format!("{method} {template}"));
            }
        }
    }
    missing
}

fn fits(template: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (wanted, given): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    wanted.len() == given.len()
        && wanted
            .iter()
            .zip(given)
            .all(|(w, g)| w.starts_with('{') || *w == g)
}
