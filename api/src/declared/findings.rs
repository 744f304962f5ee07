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

/// The other objects of their mesh that some objects name: their kind, whose place it is, the pointer there and the name.
#[derive(Debug)]
pub(super) struct Mentioned {
    rows: usize,
    all: Vec<(Kind, usize, String, Name)>,
}

impl Mentioned {
    /// By objects of one kind. One that cannot be read any more names nothing.
    pub(super) fn by<T: Declared>(rows: &[Stored]) -> Self {
        let mut all = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let Some(value) = wire::read_object::<T>(&row.sent) else {
                continue;
            };
            for kind in KINDS {
                let named = references(&value, kind).into_iter();
                all.extend(named.map(|(pointer, name)| (kind, at, pointer, name)));
            }
        }
        let rows = rows.len();
        Self { rows, all }
    }

    /// Whether nothing is named, so that there is nothing to be looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Looks for what is named, all at once.
    pub(super) async fn judge<P: Permission>(
        self,
        tx: &mut Tx<P>,
        mesh: MeshId,
    ) -> Result<Findings, Problem> {
        let mut each = vec![Vec::new(); self.rows];
        let depends = !self.is_empty();
        for kind in KINDS {
            let named = self.all.iter().filter(|(of, ..)| *of == kind);
            let names: Vec<Name> = named.clone().map(|(.., name)| name.clone()).collect();
            if names.is_empty() {
                continue;
            }
            let exists = resources::exists(tx, mesh, kind, &names).await?;
            for ((_, at, pointer, name), exists) in named.zip(exists) {
                if !exists {
                    each[*at].push(gone(kind, pointer.clone(), name));
                }
            }
        }
        Ok(Findings { each, depends })
    }
}

/// The kinds that objects name.
const KINDS: [Kind; 2] = [Kind::Service, Kind::Profile];

/// What is to be said about each of some objects of one mesh.
#[derive(Debug)]
pub(super) struct Findings {
    each: Vec<Vec<Violation>>,
    /// Whether any of them depends on other objects, so that what is said may change while they do not.
    pub(super) depends: bool,
}

impl Findings {
    /// Looks for what the objects name.
    pub(super) async fn of<T: Declared, P: Permission>(
        tx: &mut Tx<P>,
        mesh: MeshId,
        rows: &[Stored],
    ) -> Result<Self, Problem> {
        Mentioned::by::<T>(rows).judge(tx, mesh).await
    }

    /// About objects that name nothing.
    pub(super) fn none() -> Self {
        Self {
            each: Vec::new(),
            depends: false,
        }
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
