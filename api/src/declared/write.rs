//! Writing: create, replace, patch, delete.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::name::Name;
use heddle_model::wire::{self, Decoded};
use heddle_store::Tx;
use heddle_store::resources::{self, Address, Precondition, Stored};

use super::findings::Findings;
use super::references::check_references;
use super::{Declared, Place, changes_of, own_name, place};
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
    (OriginalUri(uri), mut query, Headers(headers)): (OriginalUri, Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::owning(&mut query, &headers)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let (name, decoded) = decode_named::<T>(&body)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let existing =
        resources::find(&mut tx, place.mesh.id, T::KIND, place.parent, name.as_str()).await?;
    if existing.is_some() {
        return Err(Problem::taken());
    }
    check_references(&mut tx, &place, &decoded.value, &name, None).await?;
    let mut stored =
        resources::insert(&mut tx, &address::<T>(&place, &name), &decoded.sent).await?;
    let owner = intent.writer.manager.as_ref();
    resources::own(&mut tx, place.mesh.id, &mut stored, owner, true).await?;
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
    let intent = Intent::owning(&mut query, &headers)?;
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
    let written = Written {
        place: &place,
        name: &name,
        existing: existing.as_ref(),
        decoded: &decoded,
        precondition: &precondition,
    };
    let location = existing.is_none().then(|| uri.path());
    let answer = written.put(&mut tx, &intent, location).await?;
    intent.finish(tx, answer).await
}

pub(super) async fn patch<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    (mut query, Headers(headers)): (Query, Headers),
    PatchBytes(body): PatchBytes,
) -> Result<Response, Problem> {
    let intent = Intent::owning(&mut query, &headers)?;
    query.finish()?;
    let mut patch = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
    let body_name = patch.shift_remove("name");
    let precondition = precondition(&headers, wire::set_aside(&mut patch))?;
    let mut tx = app.store.begin(&grant).await?;
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let text = own_name::<T>(&path);
    let found = resources::find(&mut tx, place.mesh.id, T::KIND, place.parent, text).await?;
    let existing = found.ok_or_else(Problem::not_found)?;
    same_name(body_name, &existing.name)?;
    let merged = wire::merge(existing.sent.clone(), patch);
    let decoded = wire::decode_sent::<T>(merged).map_err(Problem::invalid)?;
    let written = Written {
        place: &place,
        name: &existing.name,
        existing: Some(&existing),
        decoded: &decoded,
        precondition: &precondition,
    };
    let answer = written.put(&mut tx, &intent, None).await?;
    intent.finish(tx, answer).await
}

/// An object that was decoded and is to be put in its place.
struct Written<'a, T> {
    place: &'a Place,
    name: &'a Name,
    existing: Option<&'a Stored>,
    decoded: &'a Decoded<T>,
    precondition: &'a Precondition,
}

impl<T: Declared> Written<'_, T> {
    /// Writes it, if the rest of the mesh and whose it is allow that.
    async fn put(
        &self,
        tx: &mut Tx<T::Write>,
        intent: &Intent,
        location: Option<&str>,
    ) -> Result<Response, Problem> {
        let mesh = &self.place.mesh;
        check_references(
            tx,
            self.place,
            &self.decoded.value,
            self.name,
            self.existing,
        )
        .await?;
        let changes = changes_of(mesh);
        let verdict = intent
            .writer
            .may(self.existing, &changes, self.precondition)?;
        let address = address::<T>(self.place, self.name);
        let mut put = resources::put(tx, &address, &self.decoded.sent, self.precondition).await?;
        let owner = verdict.owner.as_ref();
        resources::own(tx, mesh.id, &mut put.stored, owner, put.changed).await?;
        let rows = std::slice::from_ref(&put.stored);
        let findings = Findings::of::<T, _>(tx, mesh.id, rows).await?;
        let status = findings.status(0, verdict.finding.as_ref().filter(|_| put.changed));
        Ok(view::answer(
            if put.created {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            },
            view::object_below(&put.stored, &self.place.parents, status),
            &put.stored.etag(),
            location,
        ))
    }
}

pub(super) async fn delete<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    mut query: Query,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    let intent = Intent::owning(&mut query, &headers)?;
    query.finish()?;
    let precondition = precondition(&headers, None)?;
    let mut tx = app.store.begin(&grant).await?;
    let place = place(&mut tx, &path, T::PARENTS).await?;
    let text = own_name::<T>(&path);
    let found = resources::find(&mut tx, place.mesh.id, T::KIND, place.parent, text).await?;
    let stored = found.ok_or_else(Problem::not_found)?;
    let changes = changes_of(&place.mesh);
    let verdict = intent.writer.may(Some(&stored), &changes, &precondition)?;
    resources::delete(&mut tx, &address::<T>(&place, &stored.name), &precondition).await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    verdict.mark(&mut answer);
    intent.finish(tx, answer).await
}
