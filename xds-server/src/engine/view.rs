//! What one group of subscribers may have at one moment: immutable, and shared as far as it is equal.
//!
//! A view has two layers: tables that all subscribers of a mesh share, and tables of one group on top. It also
//! carries what the latest steps changed, so that a session looks at those names only and not at all of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::kind::{KINDS, Kind};
use super::resource::Resource;

/// How many steps back a session may lag before it compares whole tables.
const LOG: usize = 64;

/// Stands for a set of names: tables that hold the same names, whatever their content, have the same one.
#[derive(Debug, Clone, Default)]
pub struct NameSet(Arc<()>);

impl PartialEq for NameSet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The resources of one type by name.
#[derive(Debug, Default)]
pub struct Table {
    map: BTreeMap<Arc<str>, Arc<Resource>>,
    names: NameSet,
    /// Which types resources of this table want to be followed by.
    children: [bool; KINDS],
}

impl Table {
    /// The resources by name.
    #[must_use]
    pub const fn map(&self) -> &BTreeMap<Arc<str>, Arc<Resource>> {
        &self.map
    }

    /// Whether it holds the very same resources.
    fn is_same(&self, other: &Self) -> bool {
        let mut pairs = self.map.values().zip(other.map.values());
        self.map.len() == other.map.len() && pairs.all(|(one, another)| Arc::ptr_eq(one, another))
    }

    /// The names whose content is not that in `old`: one walk through both, in which equal ones cost next to nothing.
    fn names_that_differ_from(&self, old: &Self) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        let (mut ours, mut theirs) = (self.map.iter().peekable(), old.map.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (None, None) => return names,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((_, one)), Some((_, another))) if Arc::ptr_eq(one, another) => {
                    Ordering::Equal
                }
                (Some((one, _)), Some((another, _))) => one.cmp(another),
            };
            match order {
                Ordering::Less => names.extend(ours.next().map(|(name, _)| name.clone())),
                Ordering::Greater => names.extend(theirs.next().map(|(name, _)| name.clone())),
                Ordering::Equal => {
                    if let (Some((name, one)), Some((_, another))) = (ours.next(), theirs.next())
                        && one.version != another.version
                    {
                        names.push(name.clone());
                    }
                }
            }
        }
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
        let kept = resources
            .into_iter()
            .map(|new| match old.map.get(&new.name) {
                Some(same) if same.version == new.version => same.clone(),
                _ => Arc::new(new),
            });
        let kept: Vec<_> = kept.collect();
        let mut tables = self.clone();
        tables.replace(kind, kept);
        tables
    }

    /// Replaces one table by exactly these resources, unless it holds the very same.
    pub fn replace(&mut self, kind: Kind, resources: impl IntoIterator<Item = Arc<Resource>>) {
        let mut table: Table = resources.into_iter().collect();
        let old = self.get(kind);
        if table.is_same(old) {
            return;
        }
        if table.map.len() == old.map.len() && table.map.keys().eq(old.map.keys()) {
            table.names = old.names.clone();
        }
        self.0[kind.index()] = Arc::new(table);
    }

    /// Whether these are the very same tables.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&other.0);
        pairs.all(|(one, another)| Arc::ptr_eq(one, another))
    }

    /// The names whose content differs from that in `old`.
    #[must_use]
    pub fn changes_from(&self, old: &Self) -> Changes {
        let mut changes = Changes::default();
        for kind in Kind::ALL {
            if !Arc::ptr_eq(self.get(kind), old.get(kind)) {
                changes.0[kind.index()] = self.get(kind).names_that_differ_from(old.get(kind));
            }
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

/// What one step changed, and the steps before it: a list that views share, so that a new one costs the same however
/// many steps it remembers.
#[derive(Debug)]
struct Step {
    changes: [Arc<Changes>; 2],
    before: Option<Arc<Step>>,
    /// How many steps come before it in the list.
    depth: usize,
}

impl Step {
    fn after(before: Option<Arc<Self>>, changes: [Arc<Changes>; 2]) -> Arc<Self> {
        let before = match before {
            // Cut back to half now and then, not by one each time.
            Some(long) if long.depth + 1 >= 2 * LOG => long.cut(LOG - 1),
            before => before,
        };
        let depth = before.as_ref().map_or(0, |before| before.depth + 1);
        Arc::new(Self {
            changes,
            before,
            depth,
        })
    }

    /// The same list with so many steps.
    fn cut(&self, steps: usize) -> Option<Arc<Self>> {
        let kept: Vec<_> = self.walk().take(steps).map(|step| &step.changes).collect();
        let list = kept.into_iter().rev();
        list.fold(None, |before, changes| {
            Some(Self::after(before, changes.clone()))
        })
    }

    /// From the newest step to the oldest.
    fn walk(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |step| step.before.as_deref())
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
    log: Option<Arc<Step>>,
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
            log: None,
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
        let own_changes = Arc::new(own.changes_from(&self.own));
        Self {
            seq: self.seq + 1,
            revision,
            published: now,
            shared,
            own,
            log: Some(Step::after(self.log.clone(), [changes, own_changes])),
        }
    }

    /// The tables that it shares with others.
    #[must_use]
    pub const fn shared(&self) -> &Tables {
        &self.shared
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

    /// Which names there are of a type, in both layers.
    pub(crate) fn name_sets(&self, kind: Kind) -> [NameSet; 2] {
        [&self.shared, &self.own].map(|tables| tables.get(kind).names.clone())
    }

    /// Whether these are the names that there are of a type.
    pub(crate) fn has_names(&self, kind: Kind, names: &[NameSet; 2]) -> bool {
        let [shared, own] = names;
        self.shared.get(kind).names == *shared && self.own.get(kind).names == *own
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
        let known = self.log.as_ref().map_or(0, |log| log.depth + 1);
        if steps > known.min(LOG) {
            return None;
        }
        let log = self.log.iter().flat_map(|log| log.walk()).take(steps);
        Some(log.flat_map(|step| step.changes.iter().map(AsRef::as_ref)))
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
        assert!(again.is_same(&tables));
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
        assert_eq!(names, ["b", "c", "d"]);
        let kept = &new.get(Kind::Cluster).map["a"];
        assert!(Arc::ptr_eq(kept, &old.get(Kind::Cluster).map["a"]));
    }

    #[test]
    fn the_log_forgets_old_steps() {
        let now = Instant::now();
        let mut views = vec![View::first(1, Tables::default(), Tables::default(), now)];
        for step in 1..=5 * LOG {
            let tables = Tables::default;
            let view = views[step - 1].next(1, tables(), Arc::default(), tables(), now);
            views.push(view);
            let newest = &views[step];
            for lag in 0..=LOG.min(step) {
                let known = newest.since(&views[step - lag]).map(Iterator::count);
                assert_eq!(known, Some(lag * 2), "{lag} of {step}");
            }
            if step > LOG {
                assert!(newest.since(&views[step - LOG - 1]).is_none());
            }
            assert!(views[step - 1].since(newest).is_none());
        }
    }
}
