//! What every declarative kind can do, tried on each of them: dry runs, patches.

mod apply;
mod echo;
mod effective;
mod gone;
mod lists;
mod nulls;
mod once;
mod owners;
mod writes;

use heddle_tests::{Api, Stack};
use serde_json::{Value, json};

/// One object of each kind: the address of its collection (none for a singleton), its own, and a complete body.
pub(crate) fn kinds() -> Vec<(Option<String>, String, Value)> {
    let payments = "/meshes/shop/services/payments";
    let route = json!({"display_name": "All", "labels": {"a": "1"}, "priority": 100, "backends": [{"version": "v1"}, {"service": "payments"}]});
    vec![
        (
            Some(String::from("/meshes")),
            String::from("/meshes/shop"),
            json!({"display_name": "Shop", "labels": {"b": "2", "a": "1"}, "defaults": {"timeout": "1000ms"}}),
        ),
        (
            Some(String::from("/meshes/shop/services")),
            payments.to_owned(),
            json!({"display_name": "Payments", "labels": {"team": "pay"}, "ports": [{"name": "http", "port": 8080, "protocol": "http"}]}),
        ),
        (
            Some(format!("{payments}/routes")),
            format!("{payments}/routes/all"),
            route,
        ),
        (
            None,
            format!("{payments}/routes/all/split"),
            json!({"weights": [{"version": "v1", "weight": 1}]}),
        ),
        (
            Some(format!("{payments}/access-rules")),
            format!("{payments}/access-rules/one"),
            json!({"display_name": "One", "labels": {"a": "1"}, "action": "deny", "from": [{"service": "payments"}]}),
        ),
    ]
}

/// An organisation with one object of each kind.
pub(crate) async fn filled(stack: &Stack) -> Api {
    let api = stack.server.org("acme").await;
    for (_, item, body) in kinds() {
        let _ = api.put(&item, body).await.expect(201);
    }
    api
}

/// What the user sent: an answer without what only the server writes.
pub(crate) fn sent(answer: &Value) -> Value {
    let mut sent = answer.clone();
    for field in ["meta", "status", "name"] {
        sent.as_object_mut().unwrap().shift_remove(field);
    }
    sent
}
