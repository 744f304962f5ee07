//! Who the caller is and what it may do.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use heddle_model::authz::permission::MeshRead;
use heddle_model::authz::{Action, Level, level};
use heddle_store::listing::Wanted;
use heddle_store::{Caller, Principal, Reach, meshes};
use serde_json::{Value, json};

use crate::auth::Known;
use crate::extract::Query;
use crate::problem::Problem;
use crate::state::App;

/// How many meshes are listed with their own permissions, for a caller whose roles differ from mesh to mesh.
const MESHES: u32 = 500;

pub(crate) async fn get(
    Known(caller): Known,
    State(app): State<App>,
    _: Query,
) -> Result<Json<Value>, Problem> {
    let rights = caller.rights();
    let lacking = caller.lacks_second_factor() || caller.lacks_sso();
    let everywhere = Action::ALL
        .iter()
        .filter(|a| !lacking && rights.reach(**a) == Reach::Org);
    let everywhere: Vec<&str> = everywhere.map(|action| action.scope()).collect();
    Ok(Json(json!({
        "org": {"name": caller.org_name(), "uid": caller.org().to_string()},
        "actor": caller.actor(),
        "principal": caller.principal().map(|principal| principal_json(principal, caller.principal_name())),
        "token": caller.token().map(|id| json!({"uid": id.to_string()})),
        "session": caller.session().map(|id| json!({"uid": id.to_string()})),
        "role": caller.role(),
        "must_enrol_second_factor": caller.lacks_second_factor(),
        "must_sign_in_by_sso": caller.lacks_sso(),
        "permissions": everywhere,
        "meshes": per_mesh(&app, &caller).await?,
    })))
}

/// A member or service account, as answers name it.
pub(crate) fn principal_json(principal: Principal, name: Option<&str>) -> Value {
    let (kind, field) = match principal {
        Principal::Member(_) => ("member", "email"),
        Principal::ServiceAccount(_) => ("service_account", "name"),
    };
    json!({"kind": kind, "uid": principal.to_string(), field: name})
}

/// The permissions at each mesh where they go beyond those in the whole organisation.
async fn per_mesh(
    app: &App,
    caller: &Caller,
) -> Result<BTreeMap<String, Vec<&'static str>>, Problem> {
    let rights = caller.rights();
    let about_meshes = Action::ALL.iter().filter(|a| level(**a) == Level::Mesh);
    let partial: Vec<(&Action, Reach)> = about_meshes
        .map(|action| (action, rights.reach(*action)))
        .filter(|(_, reach)| *reach != Reach::Org && !reach.is_empty())
        .collect();
    // Who has the same permissions everywhere needs no list, and no query.
    let Ok(grant) = caller.grant::<MeshRead>("-") else {
        return Ok(BTreeMap::new());
    };
    if partial.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut tx = app.store.begin(&grant).await?;
    let rows = meshes::search(&mut tx, &Wanted::by_name(MESHES)).await?;
    let at = |mesh| {
        let here = partial.iter().filter(|(_, reach)| reach.has(mesh));
        here.map(|(action, _)| action.scope()).collect::<Vec<_>>()
    };
    Ok(rows
        .into_iter()
        .map(|row| (row.name.to_string(), at(row.id)))
        .filter(|(_, scopes)| !scopes.is_empty())
        .collect())
}
