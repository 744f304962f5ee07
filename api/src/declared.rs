//! The operations that every declarative kind below a mesh has, written once.

mod findings;
pub(crate) mod kinds;
mod operations;
mod read;
mod references;
mod write;

use heddle_model::authz::{Permission, access};
use heddle_model::kind::changes::Changes;
use heddle_model::kind::{Kind, Mesh, Spec};
use heddle_model::name::Name;
use heddle_model::wire;
use heddle_store::meshes::{self, MeshRow};
use heddle_store::resources::{self, Stored};
use heddle_store::{Sought, Tx};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::mtls::Concern;
use crate::problem::Problem;

pub(crate) use operations::{collection, singleton};

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
    /// Whether its parent has at most one.
    const SINGLE: bool = false;
    /// Its tag.
    const TAG: &'static str;
    /// What changes it.
    type Write: Permission<Access = access::Write>;

    /// The local ports that it claims in its mesh, with pointers.
    fn local_ports(&self, _name: &Name) -> Vec<(String, u16)> {
        Vec::new()
    }

    /// What it has to do with the modes of mutual TLS of its mesh.
    fn mtls(&self) -> Concern<'_> {
        Concern::No
    }

    /// The hosts that it claims in its mesh, with pointers.
    fn hosts(&self, _name: &Name) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Where an object lives.
pub(crate) struct Place {
    pub(crate) mesh: MeshRow,
    pub(crate) parent: Option<Uuid>,
    /// What it is below, for `meta.parent`: kind to name.
    pub(crate) parents: Map<String, Value>,
}

impl Place {
    fn of(mesh: MeshRow) -> Self {
        let mut parents = Map::new();
        parents.insert(Kind::Mesh.as_str().to_owned(), json!(mesh.name));
        Self {
            mesh,
            parent: None,
            parents,
        }
    }
}

impl Place {
    /// What was seen on the way to an object or a page.
    fn seen(mesh: MeshRow, above: &[Stored]) -> Self {
        let mut place = Self::of(mesh);
        for stored in above {
            place.parent = Some(stored.id);
            let kind = stored.kind.as_str().to_owned();
            place.parents.insert(kind, json!(stored.name));
        }
        place
    }
}

/// What a path means: the mesh and what is below it, of these kinds.
fn sought<'a>(path: &'a [String], parents: &[Kind]) -> Sought<'a> {
    let segment = |at: usize| path.get(at).map_or("", String::as_str);
    let above = parents.iter().enumerate();
    Sought {
        mesh: segment(1),
        above: above.map(|(at, kind)| (*kind, segment(2 + at))).collect(),
        object: None,
        page: None,
    }
}

/// Finds the mesh and the parents that the path names.
pub(crate) async fn place<P: Permission>(
    tx: &mut Tx<P>,
    path: &[String],
    parents: &[Kind],
) -> Result<Place, Problem> {
    let mesh = meshes::require(tx, path.get(1).map_or("", String::as_str)).await?;
    let mut place = Place::of(mesh);
    for (kind, name) in parents.iter().zip(path.iter().skip(2)) {
        let found = resources::find(tx, place.mesh.id, *kind, place.parent, name).await?;
        let found = found.ok_or_else(Problem::not_found)?;
        place.parent = Some(found.id);
        place
            .parents
            .insert(kind.as_str().to_owned(), json!(found.name));
    }
    Ok(place)
}

/// How the objects of a mesh may be changed.
pub(crate) fn changes_of(mesh: &MeshRow) -> Changes {
    wire::read_object::<Mesh>(&mesh.spec.sent)
        .and_then(|mesh| mesh.changes)
        .unwrap_or_default()
}

/// The name in the path: the last segment, or the kind itself for a singleton.
fn own_name<T: Declared>(path: &[String]) -> &str {
    path.get(2 + T::PARENTS.len())
        .map_or(T::KIND.as_str(), String::as_str)
}
