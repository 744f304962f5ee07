//! The history of a mesh: its revisions, what changed, and every object as it was.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use heddle_model::authz::Permission;
use heddle_model::authz::permission::ConfigRead;
use heddle_model::diff::{self, FieldChange};
use heddle_model::kind::Kind;
use heddle_store::Tx;
use heddle_store::meshes::{self, MeshRow};
use heddle_store::resources::Stored;
use heddle_store::revisions::{self, Difference, Placed, RevisionRow, Summary, Wanted};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Allow;
use crate::extract::{Headers, Page, Query, Segments};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/meshes/{mesh}/revisions";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}";
/// What differs from another one.
pub(crate) const DIFF: &str = "/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}/diff";
/// The mesh as it was.
pub(crate) const RESOURCES: &str = "/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}/resources";
/// One object as it was.
pub(crate) const RESOURCE: &str =
    "/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}/resources/{uid}";

/// How many changed objects a revision names itself; its diff names all.
const OBJECTS: u32 = 500;

/// The entity tag of a revision.
pub(crate) fn etag(revision: u64) -> String {
    format!("\"r{revision}\"")
}

pub(crate) fn summary(summary: Summary) -> Value {
    json!({"added": summary.added, "changed": summary.changed, "removed": summary.removed})
}

/// A revision, without what it changed.
pub(crate) fn render(row: &RevisionRow) -> Value {
    let mut body = json!({
        "revision": row.revision,
        "parent": row.revision - 1,
        "author": {"actor": row.actor, "token": row.token},
        "client": row.client,
        "message": row.message,
        "change_group": row.change_group,
        "rolled_back_to": row.rolled_back_to,
        "reverted": row.reverted,
        "summary": summary(row.summary),
        "created_at": view::time(row.created_at),
    });
    if let Some(map) = body.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    body
}

fn change(difference: &Difference) -> &'static str {
    match (&difference.before, &difference.after) {
        (None, _) => "added",
        (Some(_), None) => "removed",
        (Some(_), Some(_)) => "changed",
    }
}

/// Which object differs, without how.
fn render_object(placed: &Placed<Difference>) -> Value {
    let object = &placed.object;
    json!({
        "change": change(object),
        "kind": object.kind,
        "uid": view::uid(object.kind, object.id),
        "name": object.name,
        "path": view::path(object.kind, &placed.parents, &object.name),
    })
}

/// Which object differs, and in which fields. What is only on one side differs as a whole.
pub(crate) fn render_difference(placed: &Placed<Difference>) -> Value {
    let whole = |before, after| {
        vec![FieldChange {
            pointer: String::new(),
            before,
            after,
        }]
    };
    let fields = match (&placed.object.before, &placed.object.after) {
        (Some(before), Some(after)) => diff::fields(before, after),
        (before, after) => whole(
            before.clone().map(Value::Object),
            after.clone().map(Value::Object),
        ),
    };
    let mut body = render_object(placed);
    body["fields"] = json!(fields);
    body
}

fn render_stored(placed: &Placed<Stored>) -> Value {
    let stored = &placed.object;
    let mut body = view::object(stored, None);
    body["meta"]["path"] = json!(view::path(stored.kind, &placed.parents, &stored.name));
    body
}

/// The mesh and the number of one of its revisions.
pub(crate) async fn place<P: Permission>(
    tx: &mut Tx<P>,
    mesh: &str,
    revision: &str,
) -> Result<(MeshRow, u64), Problem> {
    let mesh = meshes::require(tx, mesh).await?;
    match revision.parse::<u64>() {
        Ok(number) if (1..=mesh.revision).contains(&number) => Ok((mesh, number)),
        _ => Err(Problem::not_found()),
    }
}

/// What the cursor of a list by identifiers holds.
fn after_id(page: &Page) -> Result<Option<Uuid>, Problem> {
    page.parse_after(|text| Uuid::try_parse(text).ok())
}

pub(crate) async fn list(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    let before = page.parse_after(|text| text.parse::<u64>().ok())?;
    let group = query.take_text("change_group")?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let rows = revisions::page(&mut tx, mesh.id, group.as_deref(), before, page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.revision.to_string(),
        render,
    ))
}

pub(crate) async fn get(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh, revision)): Segments<(String, String, String)>,
    query: Query,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let (mesh, revision) = place(&mut tx, &mesh, &revision).await?;
    let row = revisions::find(&mut tx, mesh.id, revision).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let both = (revision - 1, revision);
    let objects = revisions::differences(&mut tx, mesh.id, both, None, Some(OBJECTS)).await?;
    let mut body = render(&row);
    body["objects"] = objects.iter().map(render_object).collect();
    Ok(view::answer_read(&headers, body, &etag(revision)))
}

pub(crate) async fn diff(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh, revision)): Segments<(String, String, String)>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Json<Value>, Problem> {
    let page = Page::take(&mut query)?;
    let after = after_id(&page)?;
    let from = query.parse::<u64>("from")?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let (mesh, to) = place(&mut tx, &mesh, &revision).await?;
    let from = from.unwrap_or(to - 1);
    if from > mesh.revision {
        return Err(Problem::not_found());
    }
    let counted = revisions::summary(&mut tx, mesh.id, (from, to)).await?;
    let limit = Some(page.limit + 1);
    let rows = revisions::differences(&mut tx, mesh.id, (from, to), after, limit).await?;
    let mut body = json!({"from": from, "to": to, "summary": summary(counted)});
    let listed = view::page(
        rows,
        &page,
        &uri.to_string(),
        |row| row.object.id.simple().to_string(),
        render_difference,
    );
    if let Some(map) = body.as_object_mut() {
        map.extend(listed);
    }
    Ok(Json(body))
}

pub(crate) async fn list_resources(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh, revision)): Segments<(String, String, String)>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    let after = after_id(&page)?;
    let kind = query.parse::<Kind>("kind")?;
    let name = query.take_text("name")?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let (mesh, revision) = place(&mut tx, &mesh, &revision).await?;
    let wanted = Wanted {
        id: None,
        kind,
        name: name.as_deref(),
    };
    let limit = page.limit + 1;
    let rows = revisions::objects(&mut tx, mesh.id, revision, &wanted, after, limit).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.object.id.simple().to_string(),
        render_stored,
    ))
}

pub(crate) async fn get_resource(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh, revision, uid)): Segments<(String, String, String, String)>,
    query: Query,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    query.finish()?;
    let (kind, id) = view::parse_uid(&uid).ok_or_else(Problem::not_found)?;
    let mut tx = app.store.begin(&grant).await?;
    let (mesh, revision) = place(&mut tx, &mesh, &revision).await?;
    let wanted = Wanted {
        id: Some(id),
        kind: Some(kind),
        name: None,
    };
    let rows = revisions::objects(&mut tx, mesh.id, revision, &wanted, None, 1).await?;
    let placed = rows.first().ok_or_else(Problem::not_found)?;
    Ok(view::answer_read(
        &headers,
        render_stored(placed),
        &placed.object.etag(),
    ))
}
