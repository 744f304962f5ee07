//! What the organisation asks of its members when they sign in.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use heddle_model::authz::permission::{MemberRead, MemberWrite};
use heddle_model::wire;
use heddle_store::sign_in_policy::{self, Changed, Policy};
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
    /// Whether every member signs in by a provider of the organisation. Sessions that begin with a password can link an account there, and do
    /// nothing else; those of owners with a second factor can, so that somebody gets in when the provider is away. Sessions of devices end when
    /// this is set. API tokens go on as they are.
    pub(crate) require_sso: Option<bool>,
}

fn render(policy: &Policy) -> Value {
    json!({
        "require_mfa": policy.require_mfa,
        "members_without_second_factor": policy.members_without,
        "require_sso": policy.require_sso,
        "members_without_identity": policy.members_unlinked,
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
    let changed = Changed {
        require_mfa: wanted.require_mfa,
        require_sso: wanted.require_sso,
    };
    let policy = if changed.is_nothing() {
        sign_in_policy::read(&mut tx).await?
    } else {
        sign_in_policy::set(&mut tx, changed).await?
    };
    intent
        .finish(tx, Json(render(&policy)).into_response())
        .await
}
