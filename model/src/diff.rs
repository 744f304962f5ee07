//! What differs between two values, field by field.
//!
//! Objects are compared member by member. Everything else, lists included, is one value: a list is replaced as a
//! whole everywhere in Heddle, so a difference inside one is a difference of the list.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::violation::Pointer;

/// One field that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// Where: a JSON pointer; empty for the whole value.
    pub pointer: String,
    /// What it was; absent when there was no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; absent when there is no such field any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The fields that differ, in the order of their pointers.
#[must_use]
pub fn fields(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    members(before, after, &Pointer::Root, &mut changes);
    changes.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    changes
}

/// The names of both sides, each once.
pub(crate) fn names<'a>(
    sides: impl IntoIterator<Item = &'a Map<String, Value>>,
) -> BTreeSet<&'a str> {
    let of = |map: &'a Map<String, Value>| map.keys().map(String::as_str);
    sides.into_iter().flat_map(of).collect()
}

fn members(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    at: &Pointer<'_>,
    changes: &mut Vec<FieldChange>,
) {
    for name in names([before, after]) {
        let at = at.field(name);
        match (before.get(name), after.get(name)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                members(before, after, &at, changes);
            }
            (before, after) if before == after => {}
            (before, after) => changes.push(FieldChange {
                pointer: at.to_string(),
                before: before.cloned(),
                after: after.cloned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    #[test]
    fn every_field_that_differs_is_named_once() {
        let before = map(json!({
            "a": 1, "gone": {"x": 1}, "same": [1, 2], "list": [{"w": 1}, {"w": 2}],
            "deep": {"kept": true, "a/b": 1, "nothing": null}, "kind": {"x": 1},
        }));
        let after = map(json!({
            "a": 2, "new": {"y": 1}, "same": [1, 2], "list": [{"w": 1}, {"w": 3}],
            "deep": {"kept": true, "a/b": 2}, "kind": 7,
        }));
        let shown: Vec<String> = fields(&before, &after)
            .iter()
            .map(|change| serde_json::to_string(change).unwrap())
            .collect();
        assert_eq!(
            shown,
            [
                r#"{"pointer":"/a","before":1,"after":2}"#,
                r#"{"pointer":"/deep/a~1b","before":1,"after":2}"#,
                r#"{"pointer":"/deep/nothing","before":null}"#,
                r#"{"pointer":"/gone","before":{"x":1}}"#,
                r#"{"pointer":"/kind","before":{"x":1},"after":7}"#,
                r#"{"pointer":"/list","before":[{"w":1},{"w":2}],"after":[{"w":1},{"w":3}]}"#,
                r#"{"pointer":"/new","after":{"y":1}}"#,
            ]
        );
    }

    #[test]
    fn an_empty_object_is_something() {
        let (empty, with) = (map(json!({})), map(json!({"labels": {}})));
        assert_eq!(fields(&empty, &with)[0].after, Some(json!({})));
        assert_eq!(fields(&with, &empty)[0].before, Some(json!({})));
        assert_eq!(fields(&with, &with), []);
    }

    /// Puts the changes of a diff into a value.
    fn apply(value: &mut Value, change: &FieldChange) {
        let (parent, name) = change.pointer.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/").replace("~0", "~");
        let parent = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match &change.after {
            Some(after) => drop(parent.insert(name, after.clone())),
            None => drop(parent.shift_remove(&name)),
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from);
            prop_oneof![list, object_of(inner)]
        })
    }

    fn object_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        let key = prop_oneof![Just("a"), Just("b/c"), Just("~"), Just("d")];
        prop::collection::vec((key, inner), 0..4).prop_map(|members| {
            let members = members.into_iter().map(|(k, v)| (k.to_owned(), v));
            Value::Object(members.collect())
        })
    }

    proptest! {
        #[test]
        fn a_diff_that_is_applied_makes_one_side_the_other(before in object_of(any_value()), after in object_of(any_value())) {
            let mut value = before.clone();
            for change in fields(&map(before), &map(after.clone())) {
                apply(&mut value, &change);
            }
            prop_assert_eq!(value, after);
        }
    }
}
