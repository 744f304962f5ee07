//! What Heddle has to say about objects as they stand: shown in their `status`, and never a reason to refuse a delete.

use heddle_model::authz::Permission;
use heddle_model::code::Code;
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_model::violation::Violation;
use heddle_model::wire;
use heddle_store::Tx;
use heddle_store::resources::{self, Stored};
use serde_json::{Value, json};

use super::Declared;
use crate::problem::Problem;

/// What is to be said about each of some objects of one mesh.
#[derive(Debug)]
pub(super) struct Findings {
    each: Vec<Vec<Violation>>,
    /// Whether any of them depends on other objects, so that what is said may change while they do not.
    pub(super) depends: bool,
}

impl Findings {
    /// Looks for what the objects name, all at once.
    pub(super) async fn of<T: Declared, P: Permission>(
        tx: &mut Tx<P>,
        mesh: MeshId,
        rows: &[Stored],
    ) -> Result<Self, Problem> {
        let mut each = vec![Vec::new(); rows.len()];
        let mut depends = false;
        // An object that cannot be read any more names nothing.
        let values: Vec<Option<T>> = rows
            .iter()
            .map(|row| wire::decode_object::<T>(&row.sent).ok())
            .collect();
        for kind in [Kind::Service, Kind::Profile] {
            let named: Vec<(usize, String, Name)> = values
                .iter()
                .enumerate()
                .filter_map(|(at, value)| Some((at, value.as_ref()?)))
                .flat_map(|(at, value)| {
                    references(value, kind)
                        .into_iter()
                        .map(move |(pointer, name)| (at, pointer, name))
                })
                .collect();
            if named.is_empty() {
                continue;
            }
            depends = true;
            let names: Vec<Name> = named.iter().map(|(_, _, name)| name.clone()).collect();
            let exists = resources::exists(tx, mesh, kind, &names).await?;
            for ((at, pointer, name), exists) in named.into_iter().zip(exists) {
                if !exists {
                    each[at].push(gone(kind, pointer, &name));
                }
            }
        }
        Ok(Self { each, depends })
    }

    /// The `status` of the object that stood at this place; none when there is nothing to say.
    pub(super) fn status(&self, at: usize, further: Option<&Violation>) -> Option<Value> {
        let own = self.each.get(at).into_iter().flatten();
        let all: Vec<&Violation> = own.chain(further).collect();
        (!all.is_empty()).then(|| json!({ "findings": all }))
    }
}

/// The objects of one kind that an object names, each with its pointer.
fn references<T: Declared>(value: &T, kind: Kind) -> Vec<(String, Name)> {
    match kind {
        Kind::Profile => value.profile_reference().into_iter().collect(),
        _ => value.service_references(),
    }
}

fn gone(kind: Kind, pointer: String, name: &Name) -> Violation {
    Violation {
        pointer,
        code: Code::ReferenceGone,
        detail: format!("{} {name} was deleted", kind.as_str()),
        hint: None,
    }
}
