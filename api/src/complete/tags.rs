//! The groups of operations, each with a sentence.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// In the order in which people meet them.
const TAGS: &[(&str, &str)] = &[
    (
        "Meshes",
        "A mesh is one trust domain, one namespace of services and one sequence of revisions.",
    ),
    (
        "Profiles",
        "A profile is settings under a name, which services refer to.",
    ),
    (
        "Services",
        "A service is what callers name; its workloads are found, not listed.",
    ),
    (
        "Routes",
        "A route says which of a service's requests go where.",
    ),
    ("Access rules", "Who may call a service, and who may not."),
    (
        "Proxies",
        "The Envoys of a mesh: how they join, and what they are doing.",
    ),
    ("Members", "People, each in one organisation."),
    (
        "Service accounts",
        "Programs that call the API, each in one organisation.",
    ),
    (
        "Roles",
        "Who may do what: in the whole organisation, or at one mesh.",
    ),
    (
        "API tokens",
        "What people and programs call with: narrowed, and expiring by default.",
    ),
    ("Sessions", "Signing in, staying in, and out again."),
    (
        "Second factors",
        "What members sign in with beside the password.",
    ),
    (
        "Single sign-on",
        "Identity providers by whose word members sign in, and what members are known by there.",
    ),
    (
        "History",
        "What a mesh was at each of its revisions, who changed it and why, and the way back.",
    ),
    (
        "Audit log",
        "Who did what, when and from where; a chain of hashes shows that nothing was taken out of it.",
    ),
    (
        "Webhooks",
        "Where an organisation is told what happens in it: signed, at least once, and again when it is not taken.",
    ),
    (
        "Usage",
        "How much an organisation has and uses, and how much it may.",
    ),
    ("About", "Who the caller is, and what the API's codes mean."),
];

/// The tags that the operations use.
pub(super) fn of(document: &Value) -> Value {
    let mut used = BTreeSet::new();
    for item in document["paths"].as_object().into_iter().flatten() {
        for operation in item.1.as_object().into_iter().flatten() {
            used.extend(
                operation.1["tags"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str),
            );
        }
    }
    let known = TAGS.iter().filter(|(name, _)| used.contains(name));
    known
        .map(|(name, about)| json!({"name": name, "description": about}))
        .collect()
}
