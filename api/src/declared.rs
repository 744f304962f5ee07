//! The five operations that every declarative kind below a mesh has, written once.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::ConfigRead;
use heddle_model::authz::{Permission, access};
use heddle_model::code::Code;
use heddle_model::kind::{Kind, Spec};
use heddle_model::name::Name;
use heddle_model::violation::{Violation, Violations};
use heddle_model::wire;
use heddle_store::Tx;
use heddle_store::meshes::{self, MeshRow};
use heddle_store::resources::{self, Address};
use utoipa::openapi::path::HttpMethod;
use uuid::Uuid;

use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, Query, Segments, precondition};
use crate::named::{decode_named, name_in_path, same_name};
use crate::openapi::Op;
use crate::problem::Problem;
use crate::state::App;
use crate::table::Table;
use crate::view;

/// How a kind shows itself in the API.
pub(crate) trait Declared: Spec {
    /// The path of its collection; for a singleton, its own path.
    const COLLECTION: &'static str;
    /// The kinds between the mesh and it, outermost first.
    const PARENTS: &'static [Kind];
    /// The schema of its answers (`Service`).
    const VIEW: &'static str;
    /// In a sentence: "service".
    const NOUN: &'static str;
    /// What operation ids end in, one and many.
    const IDS: (&'static str, &'static str);
    /// Its tag.
    const TAG: &'static str;
    /// What changes it.
    type Write: Permission<Access = access::Write>;

    /// The hosts that it claims in its mesh, with pointers.
    fn hosts(&self, _name: &Name) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Where an object lives.
pub(crate) struct Place {
    pub(crate) mesh: MeshRow,
    pub(crate) parent: Option<Uuid>,
}

/// Finds the mesh and the parents that the path names.
pub(crate) async fn place<P: Permission>(
    tx: &mut Tx<P>,
    path: &[String],
    parents: &[Kind],
) -> Result<Place, Problem> {
    let mesh = meshes::require(tx, path.get(1).map_or("", String::as_str)).await?;
    let mut parent = None;
    for (kind, name) in parents.iter().zip(path.iter().skip(2)) {
        let found = resources::find(tx, mesh.id, *kind, parent, name).await?;
        parent = Some(found.ok_or_else(Problem::not_found)?.id);
    }
    Ok(Place { mesh, parent })
}

/// Adds the operations of a kind that has a collection.
pub(crate) fn collection<T: Declared>(table: Table) -> Table {
    let collection = T::COLLECTION;
    let item = format!(
        "{collection}/{{{}}}",
        T::IDS.0.rsplit('_').next().unwrap_or(T::IDS.0)
    );
    let (one, many) = T::IDS;
    let noun = T::NOUN;
    let spec = T::name().into_owned();
    let mut example = T::sample();
    example["name"] = serde_json::json!("example");
    let view = || Some(T::VIEW.to_owned());
    table
        .op(
            HttpMethod::Get,
            collection,
            Op::new(format!("list_{many}"), format!("List each {noun}, by name"), T::TAG)
                .paged()
                .answer(200, "One page.", Some(format!("{}List", T::VIEW))),
            list::<T>,
        )
        .op(
            HttpMethod::Post,
            collection,
            Op::new(format!("create_{one}"), format!("Create a {noun}"), T::TAG)
                .about("409 when the name is taken: POST never overwrites.")
                .body(format!("Create{}", T::VIEW), example)
                .answer(201, "Created.", view()),
            create::<T>,
        )
        .op(
            HttpMethod::Get,
            &item,
            Op::new(format!("get_{one}"), format!("Read a {noun}"), T::TAG)
                .answer(200, "The object.", view())
                .answer(304, "The state that If-None-Match names is current.", None),
            get::<T>,
        )
        .op(
            HttpMethod::Put,
            &item,
            Op::new(format!("put_{one}"), format!("Create or replace a {noun}"), T::TAG)
                .about("Idempotent. Equal content makes no revision. If-Match replaces only the state that it names; `If-None-Match: *` only creates.")
                .body(spec, T::sample())
                .writes()
                .answer(200, "Replaced, or equal already.", view())
                .answer(201, "Created.", view()),
            put::<T>,
        )
        .op(
            HttpMethod::Delete,
            &item,
            Op::new(format!("delete_{one}"), format!("Delete a {noun} and what is below it"), T::TAG)
                .about("References from elsewhere do not prevent it.")
                .writes()
                .answer(204, "Deleted.", None),
            delete::<T>,
        )
}

/// Adds the operations of a kind of which its parent has at most one.
pub(crate) fn singleton<T: Declared>(table: Table) -> Table {
    let (one, _) = T::IDS;
    let noun = T::NOUN;
    let view = || Some(T::VIEW.to_owned());
    table
        .op(
            HttpMethod::Get,
            T::COLLECTION,
            Op::new(format!("get_{one}"), format!("Read the {noun}"), T::TAG)
                .answer(200, "The object.", view())
                .answer(304, "The state that If-None-Match names is current.", None),
            get::<T>,
        )
        .op(
            HttpMethod::Put,
            T::COLLECTION,
            Op::new(
                format!("put_{one}"),
                format!("Create or replace the {noun}"),
                T::TAG,
            )
            .about("Idempotent. Equal content makes no revision.")
            .body(T::name().into_owned(), T::sample())
            .writes()
            .answer(200, "Replaced, or equal already.", view())
            .answer(201, "Created.", view()),
            put::<T>,
        )
        .op(
            HttpMethod::Delete,
            T::COLLECTION,
            Op::new(
                format!("delete_{one}"),
                format!("Delete the {noun}"),
                T::TAG,
            )
            .writes()
            .answer(204, "Deleted.", None),
            delete::<T>,
        )
}

/// The name in the path: the last segment, or the kind itself for a singleton.
fn own_name<T: Declared>(path: &[String]) -> &str {
    path.get(2 + T::PARENTS.len())
        .map_or(T::KIND.as_str(), String::as_str)
}

async fn list<T: Declared>(
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

async fn get<T: Declared>(
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

async fn create<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    (OriginalUri(uri), query): (OriginalUri, Query),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
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
    let address = Address {
        mesh: place.mesh.id,
        kind: T::KIND,
        parent: place.parent,
        name: &name,
    };
    let stored = resources::insert(&mut tx, &address, &decoded.sent).await?;
    tx.commit().await?;
    let location = format!("{}/{name}", uri.path());
    Ok(view::answer(
        StatusCode::CREATED,
        view::object(&stored, None),
        &stored.etag(),
        Some(&location),
    ))
}

async fn put<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    (query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
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
    check_references(
        &mut tx,
        &place,
        &decoded.value,
        &name,
        existing.as_ref().map(|s| s.id),
    )
    .await?;
    let address = Address {
        mesh: place.mesh.id,
        kind: T::KIND,
        parent: place.parent,
        name: &name,
    };
    let put = resources::put(&mut tx, &address, &decoded.sent, &precondition).await?;
    tx.commit().await?;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = put.created.then(|| uri.path().to_owned());
    Ok(view::answer(
        status,
        view::object(&put.stored, None),
        &put.stored.etag(),
        location.as_deref(),
    ))
}

async fn delete<T: Declared>(
    Allow(grant): Allow<T::Write>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    query: Query,
    Headers(headers): Headers,
) -> Result<Response, Problem> {
    query.finish()?;
    let precondition = precondition(&headers, None)?;
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
    let address = Address {
        mesh: place.mesh.id,
        kind: T::KIND,
        parent: place.parent,
        name: &stored.name,
    };
    resources::delete(&mut tx, &address, &precondition).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What an object names must exist in this mesh, and the hosts that it claims must be free.
async fn check_references<T: Declared>(
    tx: &mut Tx<T::Write>,
    place: &Place,
    value: &T,
    name: &Name,
    own: Option<Uuid>,
) -> Result<(), Problem> {
    let references = value.service_references();
    let names: Vec<Name> = references.iter().map(|(_, name)| name.clone()).collect();
    let exists = resources::service_exists(tx, place.mesh.id, &names).await?;
    let mut violations = Violations::new();
    for ((pointer, name), exists) in references.into_iter().zip(exists) {
        if !exists {
            violations.push(Violation {
                pointer,
                code: Code::UnknownReference,
                detail: format!("there is no service {name} in this mesh"),
                hint: None,
            });
        }
    }
    violations.into_result().map_err(Problem::invalid)?;
    let mut taken = Violations::new();
    for (pointer, host) in value.hosts(name) {
        if let Some(owner) = resources::host_owner(tx, place.mesh.id, &host, own).await? {
            taken.push(Violation {
                pointer,
                code: Code::HostTaken,
                detail: format!("service {owner} answers for the host {host}"),
                hint: None,
            });
        }
    }
    taken.into_result().map_err(Problem::host_taken)
}
