//! Taking one revision back: for each object that it changed, what it was before is merged into what it is now.

use std::collections::BTreeMap;

use heddle_model::code::Code;
use heddle_model::id::MeshId;
use heddle_model::merge::{self, Conflict};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Obstacle;
use crate::error::{Result, inconsistent};
use crate::meshes::MeshRow;
use crate::revisions::{Difference, Placed, differences_in};
use crate::tx::Work;

/// What each object would become, and the fields that were changed again since.
pub(super) async fn steps(
    work: &mut Work,
    mesh: &MeshRow,
    revision: u64,
) -> Result<(Vec<Placed<Difference>>, Vec<Obstacle>)> {
    let back = (revision, revision.saturating_sub(1));
    let undone = differences_in(work, mesh.id, back, None, None).await?;
    let ids: Vec<Uuid> = undone.iter().map(|one| one.object.id).collect();
    let mut now = current(work, mesh.id, &ids).await?;
    let (mut steps, mut obstacles) = (Vec::new(), Vec::new());
    for Placed { object, parents } in undone {
        let current = now.remove(&object.id);
        match merged(
            object.before.as_ref(),
            current.as_ref(),
            object.after.as_ref(),
        ) {
            Ok(after) if after == current => {}
            Ok(after) => {
                let object = Difference {
                    before: current,
                    after,
                    ..object
                };
                steps.push(Placed { object, parents });
            }
            Err(conflicts) => {
                let at = Placed { object, parents };
                obstacles.extend(conflicts.into_iter().map(|c| obstacle(&at, c)));
            }
        }
    }
    Ok((steps, obstacles))
}

/// An object after the merge; `None` is no object.
fn merged(
    original: Option<&Map<String, Value>>,
    current: Option<&Map<String, Value>>,
    wanted: Option<&Map<String, Value>>,
) -> Result<Option<Map<String, Value>>, Vec<Conflict>> {
    if wanted == original || wanted == current {
        return Ok(current.cloned());
    }
    if current == original {
        return Ok(wanted.cloned());
    }
    match (original, current, wanted) {
        (Some(original), Some(current), Some(wanted)) => {
            merge::three_way(original, current, wanted).map(Some)
        }
        // Changed, or made anew, by one side and taken away by the other.
        (_, current, wanted) => Err(vec![Conflict {
            pointer: String::new(),
            current: current.cloned().map(Value::Object),
            wanted: wanted.cloned().map(Value::Object),
        }]),
    }
}

fn obstacle(at: &Placed<Difference>, conflict: Conflict) -> Obstacle {
    let detail = match (&conflict.current, &conflict.wanted) {
        (None, _) => "was deleted by a later revision",
        (Some(_), None) if conflict.pointer.is_empty() => {
            "was changed by a later revision, and would be deleted"
        }
        (Some(_), _) => "was changed again by a later revision",
    };
    Obstacle {
        id: at.object.id,
        kind: at.object.kind,
        name: at.object.name.clone(),
        parents: at.parents.clone(),
        pointer: conflict.pointer,
        code: Code::EditConflict,
        detail: String::from(detail),
        current: conflict.current,
        wanted: conflict.wanted,
    }
}

/// What these objects are now.
async fn current(
    work: &mut Work,
    mesh: MeshId,
    ids: &[Uuid],
) -> Result<BTreeMap<Uuid, Map<String, Value>>> {
    let rows: Vec<(Uuid, Value)> = sqlx::query_as(
        "select r.id, r.spec from heddle.resources r \
         where r.mesh_id = $1 and r.id = any($2) and r.to_revision is null",
    )
    .bind(mesh.uuid())
    .bind(ids)
    .fetch_all(work.conn())
    .await?;
    rows.into_iter()
        .map(|(id, spec)| match spec {
            Value::Object(spec) => Ok((id, spec)),
            _ => Err(inconsistent("resources", "spec", id, "not an object")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Option<Map<String, Value>> {
        value.as_object().cloned()
    }

    #[test]
    fn whole_objects_come_and_go() {
        let (a, b, c) = (
            map(&json!({"x": 1})),
            map(&json!({"x": 2})),
            map(&json!({"x": 3})),
        );
        let of = |original: &Option<_>, current: &Option<_>, wanted: &Option<_>| {
            merged(original.as_ref(), current.as_ref(), wanted.as_ref()).map_err(|c| c.len())
        };
        // Added by the revision, untouched since: it goes. Removed by it: it comes back.
        assert_eq!(of(&a, &a, &None), Ok(None));
        assert_eq!(of(&None, &None, &a), Ok(a.clone()));
        // Already as it would be.
        assert_eq!(of(&a, &None, &None), Ok(None));
        assert_eq!(of(&None, &a, &a), Ok(a.clone()));
        assert_eq!(of(&a, &b, &b), Ok(b.clone()));
        // Changed since, deleted since, made anew since.
        assert_eq!(of(&a, &b, &None), Err(1));
        assert_eq!(of(&a, &None, &b), Err(1));
        assert_eq!(of(&None, &b, &a), Err(1));
        assert_eq!(of(&a, &b, &c), Err(1));
    }
}
