//! The authorities of a mesh: what signs its certificates and what signed before, when each ends, and who has to see to that.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use heddle_model::authz::permission::MeshRead;
use heddle_model::id::AuthorityId;
use heddle_store::authorities::{self, AuthorityKind, AuthorityRow};
use heddle_store::meshes;
use serde_json::{Value, json};

use crate::auth::Allow;
use crate::extract::{Page, Query, Segments};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/authorities";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/meshes/{mesh}/authorities/{authority}";

fn render(rows: &[AuthorityRow], row: &AuthorityRow, now: DateTime<Utc>) -> Value {
    let act_by = authorities::act_by(rows, row);
    let root = match row.kind {
        AuthorityKind::Root => None,
        AuthorityKind::Issuing => authorities::root_of(rows, row),
    };
    json!({
        "authority": row.kind.as_str(),
        "state": row.state.as_str(),
        "signs_leaves": authorities::issuing(rows).is_some_and(|one| one.id == row.id),
        "key_of": if row.is_of_others() { "owner" } else { "heddle" },
        "root": root.map(|root| root.id.to_string()),
        "serial": row.serial,
        "not_before": view::time(row.not_before),
        "not_after": view::time(row.not_after),
        "act_by": act_by.map(view::time),
        "attention": act_by.is_some_and(|by| by <= now),
        "certificate": row.certificate_pem,
        "meta": {"uid": row.id.to_string(), "kind": "authority"},
    })
}

pub(crate) async fn list(
    Allow(grant): Allow<MeshRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let after = page.parse_after(|text| text.parse::<AuthorityId>().ok())?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let mesh = tx.mesh_ref(&mesh);
    // All of them, since what one is good for follows from the others. A mesh has few.
    let all = authorities::of(&mut tx, &mesh).await?;
    let now = tx.now();
    let newest = all.iter().rev();
    let rest: Vec<&AuthorityRow> = match after {
        None => newest.collect(),
        Some(after) => newest.skip_while(|row| row.id != after).skip(1).collect(),
    };
    Ok(view::list(
        rest,
        &page,
        &uri.to_string(),
        |row| row.id.to_string(),
        |row| render(&all, row, now),
    ))
}

pub(crate) async fn get(
    Allow(grant): Allow<MeshRead>,
    State(app): State<App>,
    Segments((_, mesh, authority)): Segments<(String, String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let id: AuthorityId = authority.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let mesh = tx.mesh_ref(&mesh);
    let all = authorities::of(&mut tx, &mesh).await?;
    let row = all.iter().find(|row| row.id == id);
    let row = row.ok_or_else(Problem::not_found)?;
    Ok(Json(render(&all, row, tx.now())))
}
