//! Writing: create, replace, patch, delete.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::name::Name;
use heddle_model::wire::{self, Decoded};
use heddle_store::Tx;
use heddle_store::resources::{self, Address, Precondition, Put, Stored};

use super::references::check_references;
use super::{Declared, Place, own_name, place};
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, PatchBytes, Query, Segments, precondition};
use crate::intent::Intent;
use crate::named::{decode_named, name_in_path, same_name};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

fn address<'a, T: Declared>(place: &Place, name: &'a Name) -> Address<'a> {
    Address {
        mesh: place.mesh.id,
        kind: T::KIND,
        parent: place.parent,
        name,
    }
}

pub(super) async fn create<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    (OriginalUri(uri), mut query): (OriginalUri, Query),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let (name, decoded) = decode_named::<T>(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let existing =
        resources::find(&mut tx, place.mesh.id, T::KIND, place.parent, name.as_str()).await?;
    if existing.is_some() {
        return Err(Problem::taken());
    }
    check_references(&mut tx, &place, &decoded.value, &name, None).await?;
    let stored = resources::insert(&mut tx, &address::<T>(&place, &name), &decoded.sent).await?;
    let location = format!("{}/{name}", uri.path());
    let answer = view::answer(
        StatusCode::CREATED,
        view::object_below(&stored, &place.parents, None),
        &stored.etag(),
        Some(&location),
    );
    intent.finish(tx, answer).await
}

pub(super) async fn put<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let body_name = sent.shift_remove("name");
    let decoded = wire::decode_sent::<T>(sent).map_err(Problem::invalid)?;
    let precondition = precondition(&headers, decoded.etag.clone())?;
    let mut tx = app.store.begin(&grant).await?;
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let text = own_name::<T>(&path);
    let existing = resources::find(&mut tx, place.mesh.id, T::KIND, place.parent, text).await?;
    let name = match &existing {
        Some(stored) => stored.name.clone(),
        None => name_in_path(text)?,
    };
    same_name(body_name, &name)?;
    let put = judge_and_put(
        &mut tx,
        &place,
        &name,
        existing.as_ref(),
        &decoded,
        &precondition,
    )
    .await?;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = put.created.then(|| uri.path().to_owned());
    let answer = view::answer(
        status,
        view::object_below(&put.stored, &place.parents, None),
        &put.stored.etag(),
        location.as_deref(),
    );
    intent.finish(tx, answer).await
}

pub(super) async fn patch<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    (mut query, Headers(headers)): (Query, Headers),
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut patch = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let body_name = patch.shift_remove("name");
    let precondition = precondition(&headers, wire::set_aside(&mut patch))?;
    let mut tx = app.store.begin(&grant).await?;
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let text = own_name::<T>(&path);
    let found = resources::find(&mut tx, place.mesh.id, T::KIND, place.parent, text).await?;
    let existing = found.ok_or_else(Problem::not_found)?;
    let name = existing.name.clone();
    same_name(body_name, &name)?;
    let merged = wire::merge(existing.sent.clone(), patch);
    let decoded = wire::decode_sent::<T>(merged).map_err(Problem::invalid)?;
    let put = judge_and_put(
        &mut tx,
        &place,
        &name,
        Some(&existing),
        &decoded,
        &precondition,
    )
    .await?;
    let answer = view::answer(
        StatusCode::OK,
        view::object_below(&put.stored, &place.parents, None),
        &put.stored.etag(),
        None,
    );
    intent.finish(tx, answer).await
}

/// Writes what has been decoded, if the rest of the mesh allows it.
async fn judge_and_put<T: Declared>(
    tx: &mut Tx<T::Write>,
    place: &Place,
    name: &Name,
    existing: Option<&Stored>,
    decoded: &Decoded<T>,
    precondition: &Precondition,
) -> Result<Put, Problem> {
    check_references(tx, place, &decoded.value, name, existing).await?;
    let address = address::<T>(place, name);
    Ok(resources::put(tx, &address, &decoded.sent, precondition).await?)
}

pub(super) async fn delete<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    mut query: Query,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let precondition = precondition(&headers, None)?;
    let mut tx = app.store.begin(&grant).await?;
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let text = own_name::<T>(&path);
    let found = resources::find(&mut tx, place.mesh.id, T::KIND, place.parent, text).await?;
    let stored = found.ok_or_else(Problem::not_found)?;
    resources::delete(&mut tx, &address::<T>(&place, &stored.name), &precondition).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}
