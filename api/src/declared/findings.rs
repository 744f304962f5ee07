//! What Heddle has to say about objects as they stand: shown in their `status`, and never a reason to refuse a delete.

use heddle_model::authz::Permission;
use heddle_model::code::Code;
use heddle_model::id::MeshId;
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
    /// Looks for the services that the objects name, all at once.
    pub(super) async fn of<T: Declared, P: Permission>(
        tx: &mut Tx<P>,
        mesh: MeshId,
        rows: &[Stored],
    ) -> Result<Self, Problem> {
        let references: Vec<Vec<(String, Name)>> = rows
            .iter()
            .map(|row| {
                wire::decode_object::<T>(&row.sent)
                    .map(|value| value.service_references())
                    .unwrap_or_default()
            })
            .collect();
        let names: Vec<Name> = references
            .iter()
            .flatten()
            .map(|(_, name)| name.clone())
            .collect();
        let depends = !names.is_empty();
        let mut exists = Vec::new().into_iter();
        if depends {
            exists = resources::service_exists(tx, mesh, &names)
                .await?
                .into_iter();
        }
        let each = references
            .into_iter()
            .map(|of_one| {
                of_one
                    .into_iter()
                    .zip(exists.by_ref())
                    .filter_map(gone)
                    .collect()
            })
            .collect();
        Ok(Self { each, depends })
    }

    /// The `status` of the object that stood at this place; none when there is nothing to say.
    pub(super) fn status(&self, at: usize, further: Option<&Violation>) -> Option<Value> {
        let own = self.each.get(at).into_iter().flatten();
        let all: Vec<&Violation> = own.chain(further).collect();
        (!all.is_empty()).then(|| json!({ "findings": all }))
    }
}

fn gone(((pointer, name), exists): ((String, Name), bool)) -> Option<Violation> {
    (!exists).then(|| Violation {
        pointer,
        code: Code::ReferenceGone,
        detail: format!("service {name} was deleted"),
        hint: None,
    })
}
