//! Writing: create, replace, patch, delete.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::Permission;
use heddle_model::name::Name;
use heddle_model::wire::{self, Decoded};
use heddle_store::resources::{self, Address, Precondition, Stored};
use heddle_store::{Sought, Tx};

use super::findings::Findings;
use super::references::{check_references, names_nothing_new};
use super::{Declared, Place, changes_of, own_name, place, sought};
use crate::asking::Asking;
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, PatchBytes, Query, Segments, precondition};
use crate::intent::Intent;
use crate::named::{decode_named, name_in_path, same_name};
use crate::problem::Problem;
use crate::state::App;
use crate::view;
use crate::{guardrails, mtls};

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
        view::object_below(stored.clone(), place.parents.clone(), None),
        &stored.etag(),
        Some(&location),
    );
    intent.finish(tx, answer).await
}

pub(super) async fn put<T: Declared>(
    asking: Asking<T::Write>,
    State(app): State<App>,
    path: Result<Segments<Vec<String>>, Problem>,
    (query, Headers(headers), OriginalUri(uri)): (Result<Query, Problem>, Headers, OriginalUri),
    body: Result<JsonBytes, Problem>,
) -> Result<Response, Problem> {
    let understand = || {
        let Segments(path) = path?;
        let mut query = query?;
        let JsonBytes(body) = body?;
        let intent = Intent::owning(&mut query, &headers)?;
        query.finish()?;
        let mut sent = wire::parse_object(&body).map_err(wire::Refused::Malformed)?;
        let body_name = sent.shift_remove("name");
        let decoded = wire::decode_sent::<T>(sent).map_err(Problem::invalid)?;
        let precondition = precondition(&headers, decoded.etag.clone())?;
        Ok((path, intent, body_name, decoded, precondition))
    };
    let (asking, made) = asking.understood(&app, understand()).await?;
    let (path, intent, body_name, decoded, precondition) = made;
    let text = own_name::<T>(&path);
    let sought = Sought {
        object: Some((T::KIND, text)),
        ..sought(&path, T::PARENTS)
    };
    let (grant, mut tx, seen) = asking.enter(&app, &sought).await?;
    if let Some(existing) = &seen.object {
        same_name(body_name.clone(), &existing.name)?;
        let written = Written {
            place: &Place::seen(seen.mesh, &seen.above),
            name: &existing.name,
            existing: Some(existing),
            decoded: &decoded,
            precondition: &precondition,
        };
        tx = match written.replace(tx, &intent).await? {
            Replaced::Yes(tx, answer) => return intent.finish(tx, answer).await,
            Replaced::NotTried(tx) => tx,
            Replaced::Overtaken => app.store.begin(&grant).await?,
        };
    }
    let place = place(&mut tx, &path, T::PARENTS).await?;
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

/// What became of the attempt to replace an object at once.
enum Replaced<P: Permission> {
    /// It was replaced. The transaction waits for its end.
    Yes(Tx<P>, Response),
    /// It takes more than that; nothing was done.
    NotTried(Tx<P>),
    /// The mesh is not as it was seen any more; nothing was done, and the transaction is over.
    Overtaken,
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
        if !intent.accept_plain_callers {
            let now = (self.name, self.decoded.value.mtls());
            mtls::check_callers(tx, mesh, now, self.existing).await?;
        }
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
            view::object_below(put.stored.clone(), self.place.parents.clone(), status),
            &put.stored.etag(),
            location,
        ))
    }

    /// The same in one statement, if it is nothing but new content for an object that was only looked at. Everything else, refusals
    /// too, is for the long way, which locks before it judges.
    async fn replace(
        &self,
        tx: Tx<T::Write>,
        intent: &Intent,
    ) -> Result<Replaced<T::Write>, Problem> {
        let mesh = &self.place.mesh;
        let (Some(existing), false) = (self.existing, intent.dry_run) else {
            return Ok(Replaced::NotTried(tx));
        };
        let verdict = intent
            .writer
            .may(self.existing, &changes_of(mesh), self.precondition)
            .ok()
            .filter(|verdict| verdict.owner == existing.managed_by);
        let Some(verdict) = verdict.filter(|_| self.stands_alone(existing)) else {
            return Ok(Replaced::NotTried(tx));
        };
        let sent = &self.decoded.sent;
        let Some((mut tx, stored)) = resources::replace_seen(tx, mesh, existing, sent).await?
        else {
            return Ok(Replaced::Overtaken);
        };
        let rows = std::slice::from_ref(&stored);
        let findings = Findings::of::<T, _>(&mut tx, mesh.id, rows).await?;
        let status = findings.status(0, verdict.finding.as_ref());
        let etag = stored.etag();
        let body = view::object_below(stored, self.place.parents.clone(), status);
        let answer = view::answer(StatusCode::OK, body, &etag, None);
        Ok(Replaced::Yes(tx, answer))
    }

    /// Whether the new content differs, and nothing that it has to be judged by is elsewhere but in the mesh itself.
    fn stands_alone(&self, existing: &Stored) -> bool {
        let decoded = self.decoded;
        let expected = match self.precondition {
            Precondition::None => true,
            Precondition::Absent => false,
            Precondition::Match(etag) => etag == "*" || *etag == existing.etag(),
        };
        expected
            && existing.sent != decoded.sent
            // Where two siblings may not have the same.
            && existing.sent.get("priority") == decoded.sent.get("priority")
            && names_nothing_new(&decoded.value, self.name, existing)
            && guardrails::check(&self.place.mesh, &decoded.value).is_ok()
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
