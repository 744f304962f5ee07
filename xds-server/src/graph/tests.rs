//! The graph against itself: what it comes to change by change is what it comes to from nothing, and that is not so without
//! any one of its edges.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use heddle_translate::{Options, ProxyView};

use super::derive::{Graph, Views};
use super::edge::Edge;
use crate::engine::kind::Kind;
use crate::engine::view::{Tables, View};
use world::{Change, World};

const OPTIONS: Options = Options {
    leaf_lifetime: Duration::from_secs(24 * 3600),
};

/// A graph with what its proxies were shown last.
struct Run {
    graph: Graph,
    shown: BTreeMap<ProxyView, Option<Arc<View>>>,
}

/// What a proxy sees: the version of each resource, which is a hash of its content, and what goes along.
type Seen = BTreeMap<(Kind, Arc<str>), (Arc<str>, Vec<Arc<str>>, Option<(Kind, Arc<str>)>)>;

fn seen(view: &View) -> Seen {
    let mut all = Seen::new();
    for tables in [view.shared(), view.own()] {
        for kind in Kind::ALL {
            for (name, r) in tables.get(kind).map() {
                let content = (r.version.clone(), r.needs.clone(), r.child.clone());
                assert!(all.insert((kind, name.clone()), content).is_none());
            }
        }
    }
    all
}

impl Run {
    fn new(graph: Graph) -> Self {
        Self {
            graph,
            shown: BTreeMap::new(),
        }
    }

    /// The same from nothing.
    fn from_nothing(world: &World) -> Self {
        let mut run = Self::new(Graph::new(OPTIONS));
        let _views = run.graph.load(
            world.snapshot.clone(),
            &world.roots,
            &world.workloads,
            world.now,
        );
        for view in &world.subscribers {
            run.join(view, world.now);
        }
        run
    }

    fn join(&mut self, view: &ProxyView, now: Instant) {
        let seen = self.graph.join(view, now);
        self.shown.insert(view.clone(), seen);
    }

    /// Follows a change as the task of a mesh does.
    fn follow(&mut self, world: &World, change: &Change) -> Views {
        let views = match change {
            Change::Objects => self.graph.load(
                world.snapshot.clone(),
                &world.roots,
                &world.workloads,
                world.now,
            ),
            Change::Workloads(service) => {
                let services = BTreeSet::from([service.clone()]);
                self.graph.moved(&services, &world.workloads, world.now)
            }
            Change::Join(view) => {
                self.join(view, world.now);
                return Views::new();
            }
            Change::Leave(view) => {
                self.graph.leave(view);
                self.shown.remove(view);
                return Views::new();
            }
        };
        for (group, view) in &views {
            *self.shown.get_mut(group).unwrap() = Some(view.clone());
        }
        views
    }

    /// What each group has in common with others. Tables that are equal may trade places without a view, when a service begins or
    /// ceases to say what it calls.
    fn common(&self) -> BTreeMap<ProxyView, Tables> {
        let groups = self.shown.keys();
        let known = groups.filter_map(|view| Some((view, self.graph.common(&view.service)?)));
        known.map(|(view, tables)| (view.clone(), tables)).collect()
    }

    fn all_seen(&self) -> BTreeMap<&ProxyView, Option<Seen>> {
        let shown = self.shown.iter();
        shown
            .map(|(group, view)| (group, view.as_deref().map(seen)))
            .collect()
    }
}

/// What there was before a step.
struct Before {
    shown: BTreeMap<ProxyView, Option<Arc<View>>>,
    common: BTreeMap<ProxyView, Tables>,
}

/// What holds of every step, beside its result.
fn check_step(change: &Change, before: &Before, views: &Views, step: &str) {
    for (group, new) in views {
        let Some(Some(old)) = before.shown.get(group) else {
            continue;
        };
        let (was, is) = (seen(old), seen(new));
        let names = was.keys().chain(is.keys());
        let differing: BTreeSet<_> = names
            .filter(|key| was.get(*key) != is.get(*key))
            .cloned()
            .collect();
        assert!(
            !differing.is_empty(),
            "{step}: nothing is new for {group:?}"
        );
        // A session looks at these names and no others.
        let told = new.since(old).unwrap();
        let told: BTreeSet<_> = told
            .flat_map(|step| Kind::ALL.map(|kind| (kind, step.names(kind).to_vec())))
            .flat_map(|(kind, names)| names.into_iter().map(move |name| (kind, name)))
            .collect();
        assert_eq!(told, differing, "{step}");
        if matches!(change, Change::Workloads(_)) {
            let endpoints = |(kind, _): &(Kind, _)| *kind == Kind::Endpoints;
            assert!(differing.iter().all(endpoints), "{step}: {differing:?}");
            let common = &before.common[group];
            for kind in Kind::ALL {
                let same = |old, new| Arc::ptr_eq(old, new);
                assert!(same(old.own().get(kind), new.own().get(kind)), "{step}");
                let shared = same(common.get(kind), new.shared().get(kind));
                assert!(
                    shared || kind == Kind::Endpoints,
                    "{step}: {kind:?} was touched"
                );
            }
        }
    }
}

/// Follows so many changes, and compares after every so many of them.
fn explore(seed: u64, changes: usize, compare: usize) {
    let mut world = World::new(seed);
    let mut run = Run::from_nothing(&world);
    for step in 1..=changes {
        let change = world.change();
        let before = Before {
            shown: run.shown.clone(),
            common: run.common(),
        };
        let views = run.follow(&world, &change);
        let at = format!("seed {seed}, step {step}");
        check_step(&change, &before, &views, &at);
        if step % compare == 0 {
            let scratch = Run::from_nothing(&world);
            assert_eq!(run.all_seen(), scratch.all_seen(), "{at}, after {change:?}");
        }
    }
}

/// Whoever works it out in one step, as the API does, comes to what the graph serves.
#[test]
fn the_whole_of_a_proxy_is_what_the_graph_serves() {
    let mut world = World::new(7);
    let mut compared = 0;
    for step in 0..400 {
        let _change = world.change();
        if step % 10 != 0 {
            continue;
        }
        let run = Run::from_nothing(&world);
        for (view, seen) in run.all_seen() {
            let served = seen.unwrap().into_iter();
            let served: BTreeMap<(String, String), String> = served
                .filter(|((kind, _), _)| *kind != Kind::Secret)
                .map(|((kind, name), (version, ..))| {
                    (
                        (kind.short().to_uppercase(), name.to_string()),
                        version.to_string(),
                    )
                })
                .collect();
            let whole = heddle_translate::whole(&world.snapshot, view, &world.workloads, &OPTIONS);
            let whole: BTreeMap<(String, String), String> = whole
                .resources
                .into_iter()
                .map(|r| ((r.kind.short_name().to_owned(), r.name), r.version))
                .collect();
            assert_eq!(whole, served, "step {step}, {view:?}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn incremental_equals_rebuild_from_scratch() {
    explore(1, 1_500, 1);
}

#[test]
#[ignore = "minutes; `make test-long`"]
fn incremental_equals_rebuild_from_scratch_after_100_000_changes() {
    let first = heddle_evidence::seed();
    for round in 0..10_u64 {
        explore(first.wrapping_add(round), 10_000, 1);
    }
    heddle_evidence::evidence(
        "graph",
        first,
        serde_json::json!({ "changes": 100_000, "compared": 100_000, "differing": 0 }),
    );
}

/// Were an edge not needed, or the test blind to it, the graph without it would pass.
#[test]
fn without_any_one_edge_incremental_is_not_rebuild() {
    let mut world = World::new(2);
    let needed = |edge: &Edge| !Edge::SPARE.contains(edge);
    let mut mutants: Vec<(Edge, Run)> = Edge::ALL
        .into_iter()
        .filter(needed)
        .map(|edge| (edge, Run::new(Graph::new(OPTIONS).without(edge))))
        .collect();
    for (_, run) in &mut mutants {
        run.follow(&world, &Change::Objects);
        for view in &world.subscribers {
            run.join(view, world.now);
        }
    }
    for _ in 0..4_000 {
        let change = world.change();
        for (_, run) in &mut mutants {
            run.follow(&world, &change);
        }
        let scratch = Run::from_nothing(&world);
        let right = scratch.all_seen();
        mutants.retain(|(_, run)| run.all_seen() == right);
        if mutants.is_empty() {
            return;
        }
    }
    let left: Vec<_> = mutants.into_iter().map(|(edge, _)| edge).collect();
    panic!("nothing goes wrong without {left:?}");
}

/// Proxies that get the same get the same memory.
#[test]
fn equal_resources_are_shared() {
    let world = World::new(3);
    let mut graph = Graph::new(OPTIONS);
    graph.load(
        world.snapshot.clone(),
        &world.roots,
        &world.workloads,
        world.now,
    );
    let [one, two] = ["a", "b"].map(|service| {
        let view = World::subscriber(service, 0);
        graph.join(&view, world.now).unwrap()
    });
    // Neither says whom it calls.
    for kind in [Kind::Cluster, Kind::Endpoints, Kind::Route, Kind::Secret] {
        let tables = [&one, &two].map(|view| view.shared().get(kind));
        assert!(Arc::ptr_eq(tables[0], tables[1]), "{kind:?}");
        assert!(!tables[0].map().is_empty(), "{kind:?}");
    }
    let local = [&one, &two].map(|view| view.get(Kind::Cluster, "heddle-local/http").unwrap());
    let wire = local.map(|resource| resource.wire.as_ptr());
    assert_eq!(wire[0], wire[1]);
}
