//! What one group of subscribers may have at one moment: immutable, and shared as far as it is equal.
//!
//! A view has two layers: tables that all subscribers of a mesh share, and tables of one group on top. It also
//! carries what the latest steps changed, so that a session looks at those names only and not at all of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::kind::{KINDS, Kind};
use super::resource::Resource;

/// How many steps back a session may lag before it compares whole tables.
const LOG: usize = 64;

/// The resources of one type by name.
#[derive(Debug, Default)]
pub struct Table {
    map: BTreeMap<Arc<str>, Arc<Resource>>,
    /// Which types resources of this table want to be followed by.
    children: [bool; KINDS],
}

impl Table {
    /// The resources by name.
    #[must_use]
    pub const fn map(&self) -> &BTreeMap<Arc<str>, Arc<Resource>> {
        &self.map
    }
}

impl FromIterator<Arc<Resource>> for Table {
    fn from_iter<I: IntoIterator<Item = Arc<Resource>>>(resources: I) -> Self {
        let mut table = Self::default();
        for resource in resources {
            if let Some((kind, _)) = &resource.child {
                table.children[kind.index()] = true;
            }
            table.map.insert(resource.name.clone(), resource);
        }
        table
    }
}

/// One table for each type. Cloning shares the tables.
#[derive(Debug, Clone, Default)]
pub struct Tables([Arc<Table>; KINDS]);

impl Tables {
    /// The table of a type.
    #[must_use]
    pub fn get(&self, kind: Kind) -> &Arc<Table> {
        &self.0[kind.index()]
    }

    /// These tables with one replaced by exactly these resources. What has an equal version stays the same
    /// allocation, and a table in which nothing differs stays the same table: that is the early cut-off.
    #[must_use]
    pub fn with(&self, kind: Kind, resources: impl IntoIterator<Item = Resource>) -> Self {
        let old = self.get(kind);
        let table: Table = resources
            .into_iter()
            .map(|new| match old.map.get(&new.name) {
                Some(same) if same.version == new.version => same.clone(),
                _ => Arc::new(new),
            })
            .collect();
        self.or_same(kind, table)
    }

    /// These tables with some resources of one type replaced or added, and the rest as it is.
    #[must_use]
    pub fn patched(&self, kind: Kind, resources: impl IntoIterator<Item = Resource>) -> Self {
        let old = self.get(kind);
        let fresh: Vec<_> = resources
            .into_iter()
            .filter(|new| {
                old.map
                    .get(&new.name)
                    .is_none_or(|same| same.version != new.version)
            })
            .map(Arc::new)
            .collect();
        if fresh.is_empty() {
            return self.clone();
        }
        let table = old.map.values().cloned().chain(fresh).collect();
        self.or_same(kind, table)
    }

    /// These tables with some resources of one type replaced or added. `before` is what this table was the last time: what
    /// has an equal version there stays the same allocation, and a table in which nothing differs stays the same table.
    #[must_use]
    pub fn overlaid(
        &self,
        kind: Kind,
        resources: impl IntoIterator<Item = Resource>,
        before: &Arc<Table>,
    ) -> Self {
        let kept = resources
            .into_iter()
            .map(|new| match before.map.get(&new.name) {
                Some(same) if same.version == new.version => same.clone(),
                _ => Arc::new(new),
            });
        let table = self.get(kind).map.values().cloned().chain(kept).collect();
        self.with_table(kind, before).or_same(kind, table)
    }

    /// These tables with one replaced by another.
    #[must_use]
    pub fn with_table(&self, kind: Kind, table: &Arc<Table>) -> Self {
        let mut tables = self.clone();
        tables.0[kind.index()] = table.clone();
        tables
    }

    fn or_same(&self, kind: Kind, table: Table) -> Self {
        let old = self.get(kind);
        let same = table.map.len() == old.map.len()
            && table
                .map
                .values()
                .zip(old.map.values())
                .all(|(a, b)| Arc::ptr_eq(a, b));
        let mut tables = self.clone();
        if !same {
            tables.0[kind.index()] = Arc::new(table);
        }
        tables
    }

    /// The names whose content differs from that in `old`.
    #[must_use]
    pub fn changes_from(&self, old: &Self) -> Changes {
        let mut changes = Changes::default();
        for kind in Kind::ALL {
            let (new, old) = (self.get(kind), old.get(kind));
            if Arc::ptr_eq(new, old) {
                continue;
            }
            let names = &mut changes.0[kind.index()];
            for (name, resource) in &new.map {
                let same = old
                    .map
                    .get(name)
                    .is_some_and(|o| o.version == resource.version);
                if !same {
                    names.push(name.clone());
                }
            }
            names.extend(
                old.map
                    .keys()
                    .filter(|name| !new.map.contains_key(*name))
                    .cloned(),
            );
        }
        changes
    }
}

/// The names that one step touched, by type.
#[derive(Debug, Default)]
pub struct Changes([Vec<Arc<str>>; KINDS]);

impl Changes {
    /// The names of one type.
    #[must_use]
    pub fn names(&self, kind: Kind) -> &[Arc<str>] {
        &self.0[kind.index()]
    }

    /// Whether the step touched nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }
}

/// What a group of subscribers may have.
#[derive(Debug)]
pub struct View {
    /// Which step this is; counts up by one within a group.
    seq: u64,
    /// The revision of the configuration that it shows.
    pub revision: u64,
    /// When it was published.
    pub published: Instant,
    shared: Tables,
    own: Tables,
    log: VecDeque<[Arc<Changes>; 2]>,
}

impl View {
    /// The first view of a group.
    #[must_use]
    pub fn first(revision: u64, shared: Tables, own: Tables, now: Instant) -> Self {
        Self {
            seq: 1,
            revision,
            published: now,
            shared,
            own,
            log: VecDeque::new(),
        }
    }

    /// The view after this one. `changes` are those of the shared tables, worked out once for all groups.
    #[must_use]
    pub fn next(
        &self,
        revision: u64,
        shared: Tables,
        changes: Arc<Changes>,
        own: Tables,
        now: Instant,
    ) -> Self {
        let mut log = self.log.clone();
        let own_changes = Arc::new(own.changes_from(&self.own));
        log.push_back([changes, own_changes]);
        if log.len() > LOG {
            log.pop_front();
        }
        Self {
            seq: self.seq + 1,
            revision,
            published: now,
            shared,
            own,
            log,
        }
    }

    /// The tables of the group itself.
    #[must_use]
    pub const fn own(&self) -> &Tables {
        &self.own
    }

    /// A resource, if this subscriber may have it (X22: what is not here does not exist).
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Arc<Resource>> {
        let own = self.own.get(kind).map.get(name);
        own.or_else(|| self.shared.get(kind).map.get(name))
    }

    /// Every name of a type; a name in both layers comes twice.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &Arc<str>> {
        let shared = self.shared.get(kind).map.keys();
        shared.chain(self.own.get(kind).map.keys())
    }

    /// Whether a client that has everything else must have asked for this type: some resource is followed by one.
    #[must_use]
    pub fn expects(&self, kind: Kind) -> bool {
        let wants = |tables: &Tables| tables.0.iter().any(|t| t.children[kind.index()]);
        wants(&self.shared) || wants(&self.own)
    }

    /// What changed between `older` and this view, or `None` when that is not known any more.
    pub(crate) fn since(&self, older: &Self) -> Option<impl Iterator<Item = &Changes>> {
        let steps = usize::try_from(self.seq.checked_sub(older.seq)?).ok()?;
        let skip = self.log.len().checked_sub(steps)?;
        Some(self.log.iter().skip(skip).flatten().map(AsRef::as_ref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, version: &str) -> Resource {
        Resource::new(Kind::Cluster, name, version, b"")
    }

    #[test]
    fn equal_content_keeps_the_table() {
        let tables = Tables::default().with(Kind::Cluster, [cluster("a", "1"), cluster("b", "1")]);
        let again = tables.with(Kind::Cluster, [cluster("a", "1"), cluster("b", "1")]);
        assert!(Arc::ptr_eq(
            tables.get(Kind::Cluster),
            again.get(Kind::Cluster)
        ));
        let patched = tables.patched(Kind::Cluster, [cluster("b", "1")]);
        assert!(Arc::ptr_eq(
            tables.get(Kind::Cluster),
            patched.get(Kind::Cluster)
        ));
        assert!(again.changes_from(&tables).is_empty());
    }

    #[test]
    fn changes_name_what_was_added_changed_and_removed() {
        let old = Tables::default().with(
            Kind::Cluster,
            [cluster("a", "1"), cluster("b", "1"), cluster("c", "1")],
        );
        let new = old.with(
            Kind::Cluster,
            [cluster("a", "1"), cluster("b", "2"), cluster("d", "1")],
        );
        let changes = new.changes_from(&old);
        let names: Vec<&str> = changes
            .names(Kind::Cluster)
            .iter()
            .map(AsRef::as_ref)
            .collect();
        assert_eq!(names, ["b", "d", "c"]);
        let kept = &new.get(Kind::Cluster).map["a"];
        assert!(Arc::ptr_eq(kept, &old.get(Kind::Cluster).map["a"]));
    }

    #[test]
    fn the_log_forgets_old_steps() {
        let now = Instant::now();
        let first = View::first(1, Tables::default(), Tables::default(), now);
        let mut view = View::first(1, Tables::default(), Tables::default(), now);
        for step in 0..=LOG {
            let known = view.since(&first).map(Iterator::count);
            assert_eq!(known, Some(step * 2));
            view = view.next(1, Tables::default(), Arc::default(), Tables::default(), now);
        }
        assert!(view.since(&first).is_none());
        assert!(first.since(&view).is_none());
    }
}
