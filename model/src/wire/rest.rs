//! What is left of a value once everything that breaks the schema is taken out of it: typed, so that the rules can judge it in the
//! same answer.

use serde_json::Value;

use super::schema;
use crate::violation::{Violation, Violations};

/// Taking out a required field breaks what holds it, which is taken out next, and so on. Deeper than any kind nests.
const ROUNDS: usize = 8;

/// A value without what broke its schema.
pub(super) struct Rest<T> {
    pub(super) value: T,
    /// Where a type turned out to be stricter than the schema, beside what was known.
    pub(super) stricter: Violations,
    thinned: Vec<Thinned>,
}

/// What something was taken out of.
struct Thinned {
    pointer: String,
    /// An array: its elements are counted otherwise since.
    shifted: bool,
}

impl<T: serde::de::DeserializeOwned + utoipa::ToSchema + 'static> Rest<T> {
    /// Takes it out. `None` when nothing typed is left.
    pub(super) fn of(mut value: Value, broken: &Violations) -> Option<Self> {
        let (mut thinned, mut stricter) = (Vec::new(), Violations::new());
        let mut pointers: Vec<String> = broken.iter().map(|one| one.pointer.clone()).collect();
        for _ in 0..ROUNDS {
            // From the last to the first, so that what was not taken out yet stays where it was.
            pointers.sort_by(|one, other| steps(other).cmp(&steps(one)));
            pointers.dedup();
            for pointer in &pointers {
                thinned.push(take_out(&mut value, pointer)?);
            }
            let broken = schema::violations_of::<T>(&value);
            pointers = broken.iter().map(|one| one.pointer.clone()).collect();
            if !pointers.is_empty() {
                continue;
            }
            match schema::typed::<T>(value.clone()) {
                Ok(value) => {
                    return Some(Self {
                        value,
                        stricter,
                        thinned,
                    });
                }
                Err(one) => {
                    pointers.push(one.pointer.clone());
                    stricter.push(one);
                }
            }
        }
        None
    }

    /// Whether a broken rule is about something that nothing was taken out of: elsewhere it may be broken only because of that.
    pub(super) fn is_untouched(&self, broken: &Violation) -> bool {
        !self.thinned.iter().any(|thinned| {
            let above = parent(&broken.pointer);
            let inside = is_inside(&broken.pointer, &thinned.pointer);
            broken.pointer == thinned.pointer
                || above == Some(thinned.pointer.as_str())
                || (inside && thinned.shifted)
                || is_inside(&thinned.pointer, &broken.pointer)
        })
    }
}

/// The pointer in an order in which a later element of an array comes after an earlier one.
fn steps(pointer: &str) -> Vec<(usize, &str)> {
    let step = |step| (str::parse(step).unwrap_or(0), step);
    pointer.split('/').map(step).collect()
}

fn parent(pointer: &str) -> Option<&str> {
    pointer.rsplit_once('/').map(|(parent, _)| parent)
}

fn is_inside(pointer: &str, whole: &str) -> bool {
    pointer
        .strip_prefix(whole)
        .is_some_and(|below| below.starts_with('/'))
}

/// Takes out what a pointer points to, or what lacks it, and says of what. `None` when that is the whole.
fn take_out(value: &mut Value, pointer: &str) -> Option<Thinned> {
    let (at, last) = pointer.rsplit_once('/')?;
    let name = last.replace("~1", "/").replace("~0", "~");
    let (gone, shifted) = match value.pointer_mut(at) {
        Some(Value::Object(map)) => (map.shift_remove(&name).is_some(), false),
        Some(Value::Array(items)) => {
            let index = name.parse().ok().filter(|index| *index < items.len());
            (
                index.map(|index: usize| items.remove(index)).is_some(),
                true,
            )
        }
        // What held it is gone already.
        _ => (true, false),
    };
    if gone {
        let pointer = at.to_owned();
        return Some(Thinned { pointer, shifted });
    }
    take_out(value, at)
}
