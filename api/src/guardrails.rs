//! The guardrails of a mesh at the moment of a write.

use heddle_model::authz::{Permission, access};
use heddle_model::code::Code;
use heddle_model::guardrails::Guardrails;
use heddle_model::id::MeshId;
use heddle_model::kind::{AccessRule, Kind, Mesh, Profile, Route, Service, Spec};
use heddle_model::violation::{Pointer, Violation, Violations};
use heddle_store::Tx;
use heddle_store::meshes::MeshRow;
use heddle_store::resources::{self, Placed};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// The most objects that one answer lists.
const LISTED: usize = 1000;

/// The guardrails of a mesh. Stored ones that cannot be read keep everybody out, not nobody.
pub(crate) fn of(mesh: &MeshRow) -> Result<Option<Guardrails>, Problem> {
    let Some(guardrails) = mesh.spec.sent.get("guardrails") else {
        return Ok(None);
    };
    // What was sent is kept as it was: null, which says that there are none, too.
    Option::deserialize(guardrails).map_err(|error| Problem::internal(&error))
}

/// What is written keeps the guardrails of its mesh.
pub(crate) fn check<T: Spec>(mesh: &MeshRow, value: &T) -> Result<(), Problem> {
    let Some(guardrails) = of(mesh)? else {
        return Ok(());
    };
    let mut violations = Violations::new();
    value.guard(&guardrails, &Pointer::Root, &mut violations);
    violations.into_result().map_err(Problem::invalid)
}

/// What the mesh has already keeps its new guardrails; else every object that does not is listed. Called once the mesh is
/// written, so that nobody writes anything in between.
pub(crate) async fn check_mesh<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    value: &Mesh,
) -> Result<(), Problem> {
    let Some(guardrails) = &value.guardrails else {
        return Ok(());
    };
    let kinds = [Kind::Profile, Kind::Service, Kind::Route, Kind::AccessRule];
    let mut beyond = Violations::new();
    let mut count = 0;
    for placed in resources::placed(tx, mesh, &kinds).await? {
        let violations = match placed.stored.kind {
            Kind::Profile => broken::<Profile>(guardrails, &placed.stored.sent),
            Kind::Service => broken::<Service>(guardrails, &placed.stored.sent),
            Kind::Route => broken::<Route>(guardrails, &placed.stored.sent),
            Kind::AccessRule => broken::<AccessRule>(guardrails, &placed.stored.sent),
            Kind::Mesh | Kind::Split => Violations::new(),
        };
        for violation in violations.into_sorted() {
            count += 1;
            if count <= LISTED {
                beyond.push(listed(&placed, &violation));
            }
        }
    }
    if count == 0 {
        return Ok(());
    }
    Err(Problem::guardrail_too_tight(count, beyond))
}

/// An object that cannot be read is not in force either.
pub(crate) fn broken<T: Spec>(guardrails: &Guardrails, sent: &Map<String, Value>) -> Violations {
    let mut violations = Violations::new();
    if let Ok(value) = serde_json::from_value::<T>(Value::Object(sent.clone())) {
        value.guard(guardrails, &Pointer::Root, &mut violations);
    }
    violations
}

fn listed(placed: &Placed, violation: &Violation) -> Violation {
    let kind = placed.stored.kind.as_str().replace('_', " ");
    let (path, pointer) = (&placed.path, &violation.pointer);
    Violation {
        pointer: String::from("/guardrails"),
        code: Code::Guardrail,
        detail: format!("{kind} {path}, {pointer}: {}", violation.detail),
        hint: None,
    }
}
