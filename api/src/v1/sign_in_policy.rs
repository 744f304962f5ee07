//! What the organisation asks of its members when they sign in.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::{MemberRead, MemberWrite};
use heddle_model::wire;
use heddle_store::sign_in_policy::{self, Policy};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::Allow;
use crate::extract::{PatchBytes, Query};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;

/// The path.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/sign-in-policy";

/// What is changed of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchSignInPolicy {
    /// Whether every member needs a second factor. One without it can sign in and set one up, and do nothing else, and neither do
    /// its personal tokens. Service accounts go on as they are.
    pub(crate) require_mfa: Option<bool>,
}

fn render(policy: &Policy) -> Value {
    json!({
        "require_mfa": policy.require_mfa,
        "members_without_second_factor": policy.members_without,
    })
}

pub(crate) async fn get(
    Allow(grant): Allow<MemberRead>,
    State(app): State<App>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let policy = sign_in_policy::read(&mut tx).await?;
    Ok(Json(render(&policy)))
}

pub(crate) async fn patch(
    Allow(grant): Allow<MemberWrite>,
    State(app): State<App>,
    mut query: Query,
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let wanted: PatchSignInPolicy = wire::decode_object(&sent).map_err(Problem::invalid)?;
    let mut tx = app.store.begin(&grant).await?;
    let policy = match wanted.require_mfa {
        Some(require_mfa) => sign_in_policy::set(&mut tx, require_mfa).await?,
        None => sign_in_policy::read(&mut tx).await?,
    };
    intent
        .finish(tx, Json(render(&policy)).into_response())
        .await
}
