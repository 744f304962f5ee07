//! How many answers stay open at a time: so many for each holder of a credential, and for each organisation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderValue, header};
use heddle_model::code::Code;
use uuid::Uuid;

use crate::problem::Problem;

/// For each member, service account, or token that belongs to nobody.
const PER_HOLDER: usize = 32;
/// For each organisation.
const PER_ORG: usize = 256;

/// Who has how many. An organisation counts under its own identifier.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<BTreeMap<(Uuid, Uuid), usize>>);

/// One open answer.
#[derive(Debug)]
pub(crate) struct Slot {
    of: Arc<Slots>,
    keys: [(Uuid, Uuid); 2],
}

impl Slots {
    pub(super) fn take(of: &Arc<Self>, org: Uuid, holder: Uuid) -> Result<Slot, Problem> {
        let keys = [(org, Uuid::nil()), (org, holder)];
        let mut taken = of.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |key| taken.get(key).copied().unwrap_or_default();
        for (key, most, whose) in [
            (&keys[0], PER_ORG, "the organisation"),
            (&keys[1], PER_HOLDER, "the caller"),
        ] {
            if count(key) >= most {
                let detail =
                    format!("{whose} has {most} open answers, which is as many as there may be");
                let problem = Problem::new(Code::TooManyStreams, detail);
                return Err(problem.header(header::RETRY_AFTER, HeaderValue::from_static("5")));
            }
        }
        for key in keys {
            *taken.entry(key).or_default() += 1;
        }
        Ok(Slot {
            of: Arc::clone(of),
            keys,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in self.keys {
            if let Some(count) = taken.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_what_ends_makes_room() {
        let slots = Arc::new(Slots::default());
        let id = Uuid::from_u128;
        let take = |org, holder| Slots::take(&slots, id(org), id(holder));
        let mut open: Vec<Slot> = (0..PER_HOLDER).map(|_| take(1, 10).unwrap()).collect();
        assert_eq!(take(1, 10).unwrap_err().code(), Code::TooManyStreams);
        // Others have their own, here and elsewhere.
        open.push(take(1, 11).unwrap());
        let _elsewhere = take(2, 10).unwrap();
        drop(open.remove(0));
        open.push(take(1, 10).unwrap());
        let mut holder = 100;
        while open.len() < PER_ORG {
            holder += 1;
            open.push(take(1, holder).unwrap());
        }
        assert_eq!(take(1, 9).unwrap_err().code(), Code::TooManyStreams);
        let _elsewhere = take(2, 9).unwrap();
        drop(open);
        drop(take(1, 9).unwrap());
        assert_eq!(slots.0.lock().unwrap().len(), 3);
    }
}
