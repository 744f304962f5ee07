//! Reading: one object, and a page of them.

use std::collections::BTreeMap;

use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::response::Response;
use heddle_model::authz::Permission;
use heddle_model::authz::permission::ConfigRead;
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_store::resources::{self, Below, Stored};
use heddle_store::{Tx, meshes};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::findings::Findings;
use super::{Declared, Place, own_name, place};
use crate::auth::Reading;
use crate::extract::{Headers, Query, Segments};
use crate::listing::Listing;
use crate::problem::Problem;
use crate::view;

/// In place of a parent's name: every parent.
const ANY: &str = "-";

pub(super) async fn list<T: Declared>(
    Reading(mut tx): Reading<ConfigRead>,
    Segments(path): Segments<Vec<String>>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let listing = Listing::take::<T>(&mut query, uri.path())?;
    query.finish()?;
    let across = !T::PARENTS.is_empty() && path.iter().skip(2).all(|name| name == ANY);
    let (place, below) = if across {
        let mesh = meshes::require(&mut tx, path.get(1).map_or("", String::as_str)).await?;
        (Place::of(mesh), Below::Any)
    } else {
        let place = place(&mut tx, &path, T::PARENTS).await?;
        let below = Below::One(place.parent);
        (place, below)
    };
    let rows = resources::search(&mut tx, place.mesh.id, T::KIND, below, &listing.wanted).await?;
    let findings = Findings::of::<T, _>(&mut tx, place.mesh.id, &rows).await?;
    let parents = if across {
        Parents::of(&mut tx, place, &rows, T::PARENTS).await?
    } else {
        Parents::all_in(place)
    };
    tx.done();
    Ok(listing.answer(
        rows,
        &uri.to_string(),
        |row| row,
        |at, row| {
            let names = parents.names(row, T::PARENTS);
            view::object_below(row, &names, findings.status(at, None))
        },
    ))
}

/// What the objects of a page are below.
struct Parents {
    shared: Map<String, Value>,
    each: BTreeMap<Uuid, (Name, Option<Uuid>)>,
}

impl Parents {
    /// All objects are in one place.
    fn all_in(place: Place) -> Self {
        Self {
            shared: place.parents,
            each: BTreeMap::new(),
        }
    }

    /// Looks up the parents of objects from all over a mesh, one level after the other.
    async fn of<P: Permission>(
        tx: &mut Tx<P>,
        place: Place,
        rows: &[Stored],
        kinds: &[Kind],
    ) -> Result<Self, Problem> {
        let mut each = BTreeMap::new();
        let mut level: Vec<Uuid> = rows.iter().filter_map(|row| row.parent).collect();
        for _ in kinds {
            level.sort_unstable();
            level.dedup();
            let found = resources::names(tx, place.mesh.id, &level).await?;
            level = found.iter().filter_map(|(_, _, parent)| *parent).collect();
            each.extend(
                found
                    .into_iter()
                    .map(|(id, name, parent)| (id, (name, parent))),
            );
        }
        Ok(Self {
            shared: place.parents,
            each,
        })
    }

    fn names(&self, row: &Stored, kinds: &[Kind]) -> Map<String, Value> {
        let mut names = Vec::new();
        let mut next = row.parent;
        for kind in kinds.iter().rev() {
            let Some((name, parent)) = next.and_then(|id| self.each.get(&id)) else {
                break;
            };
            names.push((kind.as_str().to_owned(), json!(name)));
            next = *parent;
        }
        let mut all = self.shared.clone();
        all.extend(names.into_iter().rev());
        all
    }
}

pub(super) async fn get<T: Declared>(
    Reading(mut tx): Reading<ConfigRead>,
    Segments(path): Segments<Vec<String>>,
    query: Query,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    query.finish()?;
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
    let rows = std::slice::from_ref(&stored);
    let findings = Findings::of::<T, _>(&mut tx, place.mesh.id, rows).await?;
    tx.done();
    let body = view::object_below(&stored, &place.parents, findings.status(0, None));
    // The ETag stands for what was written. Where the answer says more than that, the client may not have it yet.
    Ok(if findings.depends {
        view::answer(StatusCode::OK, body, &stored.etag(), None)
    } else {
        view::answer_read(&headers, body, &stored.etag())
    })
}
