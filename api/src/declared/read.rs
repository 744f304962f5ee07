//! Reading: one object, and a page of them.

use axum::extract::{OriginalUri, State};
use axum::response::Response;
use heddle_model::authz::permission::ConfigRead;
use heddle_store::resources;

use super::{Declared, own_name, place};
use crate::auth::Allow;
use crate::extract::{Headers, Page, Query, Segments};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

pub(super) async fn list<T: Declared>(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let rows = resources::page(
        &mut tx,
        place.mesh.id,
        T::KIND,
        place.parent,
        page.after.as_deref(),
        page.limit + 1,
    )
    .await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.name.to_string(),
        |row| view::object(row, None),
    ))
}

pub(super) async fn get<T: Declared>(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    query: Query,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let found = resources::find(
        &mut tx,
        place.mesh.id,
        T::KIND,
        place.parent,
        own_name::<T>(&path),
    )
    .await?;
    let stored = found.ok_or_else(Problem::not_found)?;
    Ok(view::answer_read(
        &headers,
        view::object(&stored, None),
        &stored.etag(),
    ))
}
