//! Asking what would be permitted, without trying it.

use axum::Json;
use axum::extract::State;
use heddle_model::authz::permission::AccountRead;
use heddle_model::authz::{Action, Level, UnknownPermission, level};
use heddle_model::code::Code;
use heddle_model::violation::{Pointer, Violations};
use heddle_store::{Reach, meshes};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::Allow;
use crate::extract::{JsonBytes, Query, decode};
use crate::problem::Problem;
use crate::state::App;

/// The path.
pub(crate) const CHECK: &str = "/v1/orgs/{org}/permissions/check";

/// Questions about the caller's permissions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckPermissions {
    /// What is asked; the answers come in the same order.
    #[schema(min_items = 1, max_items = 100)]
    pub(crate) checks: Vec<PermissionCheck>,
}

/// One question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PermissionCheck {
    /// The permission, such as `config:write`.
    #[schema(max_length = 64, example = "config:write")]
    pub(crate) permission: String,
    /// The mesh, by name or identifier; absent: the whole organisation.
    #[schema(max_length = 254)]
    pub(crate) mesh: Option<String>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"checks": [{"permission": "config:write", "mesh": "prod"}, {"permission": "members:read"}]})
}

pub(crate) async fn check(
    Allow(grant): Allow<AccountRead>,
    State(app): State<App>,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let wanted: CheckPermissions = decode(&body)?;
    let mut violations = Violations::new();
    let (root, mut asked) = (Pointer::Root, Vec::new());
    let checks = root.field("checks");
    for (i, check) in wanted.checks.iter().enumerate() {
        match check.permission.parse::<Action>() {
            Ok(action) => asked.push((action, check.mesh.as_deref())),
            Err(UnknownPermission) => violations.add(
                &checks.index(i).field("permission"),
                Code::NotOneOf,
                "there is no such permission",
            ),
        }
    }
    violations.into_result().map_err(Problem::invalid)?;
    let mut tx = app.store.begin(&grant).await?;
    let mut results = Vec::new();
    for (action, mesh) in asked {
        let reach = grant.rights().reach(action);
        let allowed = match mesh {
            None => reach == Reach::Org,
            // A mesh that the caller may not know of is as good as none.
            Some(name) => match meshes::find(&mut tx, name).await? {
                None => false,
                Some(row) => level(action) == Level::Mesh && reach.has(row.id),
            },
        };
        results.push(json!({"permission": action.scope(), "mesh": mesh, "allowed": allowed}));
    }
    Ok(Json(json!({"results": results})))
}
