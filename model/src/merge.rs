//! Three versions of one value, merged: what one side changed is taken, what both changed differently is a conflict.

use serde_json::{Map, Value};

use crate::diff::names;
use crate::violation::Pointer;

/// A field that both sides changed, and not to the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Where: a JSON pointer; empty for the whole value.
    pub pointer: String,
    /// What it is now; `None` when there is no such field.
    pub current: Option<Value>,
    /// What it would become; `None` when it would go.
    pub wanted: Option<Value>,
}

/// What `current` becomes by the changes that lead from `original` to `wanted`. Lists are one value, as in a
/// [diff](crate::diff).
///
/// # Errors
/// Every conflict.
pub fn three_way(
    original: &Map<String, Value>,
    current: &Map<String, Value>,
    wanted: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<Conflict>> {
    let mut conflicts = Vec::new();
    let sides = Sides {
        original,
        current,
        wanted,
    };
    let merged = sides.merge(&Pointer::Root, &mut conflicts);
    if conflicts.is_empty() {
        Ok(merged)
    } else {
        Err(conflicts)
    }
}

struct Sides<'a> {
    original: &'a Map<String, Value>,
    current: &'a Map<String, Value>,
    wanted: &'a Map<String, Value>,
}

impl Sides<'_> {
    fn merge(&self, at: &Pointer<'_>, conflicts: &mut Vec<Conflict>) -> Map<String, Value> {
        let mut merged = Map::new();
        for name in names([self.original, self.current, self.wanted]) {
            let at = at.field(name);
            let (original, current, wanted) = (
                self.original.get(name),
                self.current.get(name),
                self.wanted.get(name),
            );
            let value = if wanted == original || wanted == current {
                current.cloned()
            } else if current == original {
                wanted.cloned()
            } else if let (
                Some(Value::Object(original)),
                Some(Value::Object(current)),
                Some(Value::Object(wanted)),
            ) = (original, current, wanted)
            {
                let inside = Sides {
                    original,
                    current,
                    wanted,
                };
                Some(Value::Object(inside.merge(&at, conflicts)))
            } else {
                conflicts.push(Conflict {
                    pointer: at.to_string(),
                    current: current.cloned(),
                    wanted: wanted.cloned(),
                });
                current.cloned()
            };
            if let Some(value) = value {
                merged.insert(name.to_owned(), value);
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merge(original: Value, current: Value, wanted: Value) -> Result<Value, Vec<String>> {
        let map = |value| match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        };
        three_way(&map(original), &map(current), &map(wanted))
            .map(Value::Object)
            .map_err(|all| all.into_iter().map(|c| c.pointer).collect())
    }

    #[test]
    fn changes_of_different_fields_both_take_effect() {
        let original = json!({"a": 1, "b": 1, "in": {"x": 1, "y": 1}, "gone": 1});
        let current = json!({"a": 2, "b": 1, "in": {"x": 2, "y": 1}, "gone": 1, "new": 1});
        let wanted = json!({"a": 1, "b": 3, "in": {"x": 1}, "list": [1]});
        let merged = json!({"a": 2, "b": 3, "in": {"x": 2}, "new": 1, "list": [1]});
        assert_eq!(merge(original, current, wanted), Ok(merged));
    }

    #[test]
    fn the_same_change_on_both_sides_is_none() {
        let (original, both) = (json!({"a": 1, "b": 1}), json!({"a": 2}));
        assert_eq!(merge(original, both.clone(), both.clone()), Ok(both));
    }

    #[test]
    fn every_conflict_is_named() {
        let original = json!({"a": 1, "list": [1], "in": {"x": 1}, "b": 1, "c": {"x": 1}});
        let current = json!({"a": 2, "list": [1, 2], "in": {"x": 2}, "c": 7, "n": {"k": 1}});
        let wanted =
            json!({"a": 3, "list": [2], "in": {"x": 3}, "b": 2, "c": {"x": 2}, "n": {"k": 2}});
        let conflicts = ["/a", "/b", "/c", "/in/x", "/list", "/n"];
        assert_eq!(
            merge(original, current, wanted),
            Err(conflicts.map(str::to_owned).to_vec())
        );
    }
}
