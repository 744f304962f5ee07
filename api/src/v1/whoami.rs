//! Who the caller is and what it may do.

use axum::Json;
use heddle_model::authz::{Action, permits};
use serde_json::{Value, json};

use crate::auth::Known;

pub(crate) async fn get(Known(caller): Known) -> Json<Value> {
    let role = caller.role();
    let permissions: Vec<&str> = Action::ALL
        .iter()
        .filter(|action| permits(role, **action))
        .map(|action| action.scope())
        .collect();
    Json(json!({
        "org": {"name": caller.org_name(), "uid": caller.org().to_string()},
        "actor": caller.actor(),
        "role": role,
        "permissions": permissions,
    }))
}
