//! Reading: one object, and a page of them.

use std::collections::BTreeMap;

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use heddle_model::authz::Permission;
use heddle_model::authz::permission::ConfigRead;
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_store::listing::Wanted;
use heddle_store::resources::{self, Below, Stored};
use heddle_store::{Grant, Page, Sought, Tx, meshes};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::findings::{Findings, Mentioned};
use super::{Declared, Place, own_name, place, sought};
use crate::asking::Asking;
use crate::extract::{Headers, Query, Segments};
use crate::listing::Listing;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// In place of a parent's name: every parent.
const ANY: &str = "-";

pub(super) async fn list<T: Declared>(
    asking: Asking<ConfigRead>,
    State(app): State<App>,
    path: Result<Segments<Vec<String>>, Problem>,
    OriginalUri(uri): OriginalUri,
    query: Result<Query, Problem>,
) -> Result<Response, Problem> {
    let understand = || {
        let Segments(path) = path?;
        let mut query = query?;
        let listing = Listing::take::<T>(&mut query, uri.path())?;
        query.finish()?;
        Ok((path, listing))
    };
    let (asking, (path, listing)) = asking.understood(&app, understand()).await?;
    let across = !T::PARENTS.is_empty() && path.iter().skip(2).all(|name| name == ANY);
    let (parents, rows, findings) = match listing.wanted.plain() {
        Some(after) if !across => {
            let page = Page {
                kind: T::KIND,
                after,
                limit: listing.wanted.limit,
            };
            let sought = Sought {
                page: Some(page),
                ..sought(&path, T::PARENTS)
            };
            let (grant, seen) = asking.look(&app, &sought).await?;
            let place = Place::seen(seen.mesh, &seen.above);
            let findings = findings::<T>(&app, &grant, place.mesh.id, &seen.page).await?;
            (Parents::all_in(place), seen.page, findings)
        }
        _ => search::<T>(asking.open(&app).await?, &path, across, &listing.wanted).await?,
    };
    let address = uri.to_string();
    Ok(listing.answer(
        rows,
        &address,
        |row| row,
        |at, row| {
            let names = parents.names(&row, T::PARENTS);
            view::object_below(row, names, findings.status(at, None))
        },
    ))
}

/// A page that takes more than the order of the names, or is from all over a mesh.
async fn search<T: Declared>(
    mut tx: Tx<ConfigRead>,
    path: &[String],
    across: bool,
    wanted: &Wanted,
) -> Result<(Parents, Vec<Stored>, Findings), Problem> {
    let (place, below) = if across {
        let mesh = meshes::require(&mut tx, path.get(1).map_or("", String::as_str)).await?;
        (Place::of(mesh), Below::Any)
    } else {
        let place = place(&mut tx, path, T::PARENTS).await?;
        let below = Below::One(place.parent);
        (place, below)
    };
    let mesh = place.mesh.id;
    let rows = resources::search(&mut tx, mesh, T::KIND, below, wanted).await?;
    let findings = Findings::of::<T, _>(&mut tx, mesh, &rows).await?;
    let parents = if across {
        Parents::of(&mut tx, place, &rows, T::PARENTS).await?
    } else {
        Parents::all_in(place)
    };
    tx.done();
    Ok((parents, rows, findings))
}

/// What is to be said about objects that were seen. Only where they name others it takes another look.
async fn findings<T: Declared>(
    app: &App,
    grant: &Grant<ConfigRead>,
    mesh: MeshId,
    rows: &[Stored],
) -> Result<Findings, Problem> {
    let mentioned = Mentioned::by::<T>(rows);
    if mentioned.is_empty() {
        return Ok(Findings::none());
    }
    let mut tx = app.store.begin(grant).await?;
    let findings = mentioned.judge(&mut tx, mesh).await?;
    tx.done();
    Ok(findings)
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
    asking: Asking<ConfigRead>,
    State(app): State<App>,
    path: Result<Segments<Vec<String>>, Problem>,
    query: Result<Query, Problem>,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    let understand = || {
        let Segments(path) = path?;
        query?.finish()?;
        Ok(path)
    };
    let (asking, path) = asking.understood(&app, understand()).await?;
    let sought = Sought {
        object: Some((T::KIND, own_name::<T>(&path))),
        ..sought(&path, T::PARENTS)
    };
    let (grant, seen) = asking.look(&app, &sought).await?;
    let place = Place::seen(seen.mesh, &seen.above);
    let stored = seen.object.ok_or_else(Problem::not_found)?;
    let rows = std::slice::from_ref(&stored);
    let findings = findings::<T>(&app, &grant, place.mesh.id, rows).await?;
    let etag = stored.etag();
    let body = view::object_below(stored, place.parents, findings.status(0, None));
    // The ETag stands for what was written. Where the answer says more than that, the client may not have it yet.
    Ok(if findings.depends {
        view::answer(StatusCode::OK, body, &etag, None)
    } else {
        view::answer_read(&headers, body, &etag)
    })
}
