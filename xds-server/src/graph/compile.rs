//! From what translation makes to what the engine serves.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use heddle_translate::{Origin, ResourceType};

use crate::engine::kind::Kind;
use crate::engine::resource::Resource;

const fn kind(of: ResourceType) -> Kind {
    match of {
        ResourceType::Cluster => Kind::Cluster,
        ResourceType::Endpoints => Kind::Endpoints,
        ResourceType::Listener => Kind::Listener,
        ResourceType::Route => Kind::Route,
        ResourceType::Secret => Kind::Secret,
    }
}

/// Encodes a resource for the wire. Its origins go along, for the day it is refused.
pub(crate) fn resource(of: heddle_translate::Resource) -> Resource {
    let needs = of
        .needs
        .iter()
        .filter(|(needed, _)| *needed == ResourceType::Cluster);
    let needs: Vec<Arc<str>> = needs.map(|(_, name)| Arc::from(name.as_str())).collect();
    let mut made = Resource::new(kind(of.kind), &of.name, &of.version, &of.body).needing(needs);
    if let Some((child, name)) = &of.child {
        made = made.followed_by(kind(*child), name);
    }
    let origins: Vec<Origin> = of.origins;
    made.about(Arc::new(origins))
}

/// The resources of one part of a graph.
pub(super) type Made = Vec<Arc<Resource>>;

/// All resources of a mesh that are in use, so that equal ones are one, whoever gets them.
#[derive(Debug, Default)]
pub(super) struct Pool {
    known: HashMap<(Kind, Arc<str>, Arc<str>), Weak<Resource>>,
    /// How many there may be before those are looked for that nobody uses any more.
    sweep_at: usize,
}

impl Pool {
    /// Makes a part again. What has equal bytes stays the resource that it was. `None`: translation panicked.
    pub(super) fn remake(
        &mut self,
        old: &[Arc<Resource>],
        work: impl FnOnce() -> Vec<heddle_translate::Resource>,
    ) -> Option<Made> {
        let made = guarded(work)?;
        let keep = |new: heddle_translate::Resource| {
            let same = |r: &&Arc<Resource>| {
                r.kind == kind(new.kind) && *r.name == *new.name && *r.version == *new.version
            };
            let same = old.iter().find(same).cloned();
            same.unwrap_or_else(|| self.shared(resource(new)))
        };
        Some(made.into_iter().map(keep).collect())
    }

    fn shared(&mut self, mut new: Resource) -> Arc<Resource> {
        let key = (new.kind, new.name.clone(), new.version.clone());
        if let Some(same) = self.known.get(&key).and_then(Weak::upgrade) {
            let origins = |r: &Resource| {
                let about = r.about.clone()?;
                about.downcast::<Vec<Origin>>().ok()
            };
            if origins(&same) == origins(&new) {
                return same;
            }
            // Two objects came to the same bytes: who refuses them is told of the right one.
            let about = new.about.take();
            return Arc::new(Resource {
                about,
                ..Resource::clone(&same)
            });
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, held| held.strong_count() > 0);
            self.sweep_at = 2 * self.known.len() + 64;
        }
        let new = Arc::new(new);
        self.known.insert(key, Arc::downgrade(&new));
        new
    }
}

/// What makes translation panic stays what it was made last, and nothing else notices (F-34).
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    outcome
        .inspect_err(|_| tracing::error!("translation panicked; what it made last stays"))
        .ok()
}
