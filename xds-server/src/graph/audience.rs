//! The proxies of one service: what they get in common, and what each group that describes itself alike has for itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use heddle_model::name::Name;
use heddle_translate::{ProxyView, Reach};

use super::compile::Made;
use super::derive::{State, Views, Wave, settle};
use super::edge::Edge;
use super::shared::Shared;
use crate::engine::kind::Kind;
use crate::engine::view::{Changes, Tables, View};

/// Proxies that see the same.
#[derive(Debug, Default)]
struct Group {
    /// Listeners, inbound routes, the application's cluster; `None` while they could not be made.
    inbound: Option<Made>,
    tables: Tables,
    view: Option<Arc<View>>,
}

/// The proxies of one service.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// Whether its reach was ever looked at.
    known: bool,
    /// How far it sees; everywhere, when it does not say.
    reach: Option<Reach>,
    /// What it sees, when it does.
    own: Option<Shared>,
    /// The reach changed in this step.
    moved: bool,
    /// What its views show.
    shown: Tables,
    groups: BTreeMap<ProxyView, Group>,
}

/// What a step leads to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) views: Views,
    /// The difference for the many audiences that see everywhere: worked out once.
    common: Option<(Tables, Arc<Changes>)>,
}

impl Audience {
    pub(super) fn join(&mut self, view: &ProxyView) {
        self.groups.entry(view.clone()).or_default();
    }

    /// Whether that was the last one.
    pub(super) fn leave(&mut self, view: &ProxyView) -> bool {
        self.groups.remove(view);
        self.groups.is_empty()
    }

    pub(super) fn view(&self, view: &ProxyView) -> Option<Arc<View>> {
        self.groups.get(view)?.view.clone()
    }

    pub(super) const fn sees_everywhere(&self) -> bool {
        self.reach.is_none()
    }

    #[cfg(test)]
    pub(super) fn common(&self) -> Tables {
        self.shown.clone()
    }

    /// Looks how far it sees, if that may have changed.
    pub(super) fn look(&mut self, state: &State, wave: &Wave, service: &Name) {
        let (news, edges) = (&wave.news, state.edges);
        let callees = self.reach.iter().flat_map(|reach| &reach.callees);
        let stale = !std::mem::replace(&mut self.known, true)
            || (news.services.contains(service) && edges.has(Edge::CallerReach))
            || (edges.has(Edge::RoutesReach)
                && callees
                    .into_iter()
                    .any(|callee| news.routes.contains(callee)));
        self.moved = false;
        if stale {
            let reach = heddle_translate::reach(&state.snapshot, service);
            self.moved = reach != self.reach;
            self.reach = reach;
        }
    }

    /// Follows a change.
    pub(super) fn follow(
        &mut self,
        state: &mut State,
        all: Option<&Shared>,
        wave: &Wave,
        service: &Name,
        outcome: &mut Outcome,
    ) {
        match (&self.reach, &mut self.own) {
            (Some(reach), Some(own)) => own.follow_of(state, wave, service, reach, self.moved),
            (Some(reach), own) => *own = Some(Shared::of(state, service, reach)),
            (None, own) => *own = None,
        }
        let shared = self.own.as_ref().or(all);
        let Some(shared) = shared.filter(|shared| shared.is_made()) else {
            return;
        };
        let shared = shared.tables.clone();
        let changes = self.changes(&shared, outcome);
        let changed = !changes.is_empty() && state.edges.has(Edge::TablesView);
        for (view, group) in &mut self.groups {
            let calls = self.reach.as_ref().map(|reach| &reach.callees);
            let called = |name: &Name| calls.is_none_or(|callees| callees.contains(name));
            let listeners = wave.ports.iter().any(called) && state.edges.has(Edge::PortsListeners);
            let own = group.make(state, wave, view, listeners);
            let own = own && state.edges.has(Edge::InboundView);
            if !changed && !own && group.view.is_some() {
                continue;
            }
            group.show(state, &shared, &changes, wave.now);
            let shown = group.view.iter();
            outcome
                .views
                .extend(shown.map(|shown| (view.clone(), shown.clone())));
        }
        self.shown = shared;
    }

    fn changes(&self, shared: &Tables, outcome: &mut Outcome) -> Arc<Changes> {
        if shared.is_same(&self.shown) {
            return Arc::default();
        }
        if self.own.is_some() {
            return Arc::new(shared.changes_from(&self.shown));
        }
        match &outcome.common {
            Some((from, changes)) if from.is_same(&self.shown) => changes.clone(),
            _ => {
                let changes = Arc::new(shared.changes_from(&self.shown));
                outcome.common = Some((self.shown.clone(), changes.clone()));
                changes
            }
        }
    }
}

impl Group {
    /// Makes again what it has for itself, as far as it may have changed; `listeners`: those for what it calls may have. Whether
    /// it is different.
    fn make(&mut self, state: &mut State, wave: &Wave, view: &ProxyView, listeners: bool) -> bool {
        let (news, edges, service) = (&wave.news, state.edges, &view.service);
        let stale = listeners
            || self.inbound.is_none()
            || (news.mesh && edges.has(Edge::MeshInbound))
            || (news.services.contains(service) && edges.has(Edge::ServiceInbound))
            || (news.rules.contains(service) && edges.has(Edge::RulesInbound))
            || (wave.profiled.contains(service) && edges.has(Edge::ProfileInbound));
        if !stale {
            return false;
        }
        let snapshot = state.snapshot.clone();
        let mut inbound = self.inbound.take().unwrap_or_default();
        let first = inbound.is_empty();
        let made = || heddle_translate::proxy(&snapshot, view).resources;
        let made = state.pool.remake(&inbound, made);
        if made.is_none() && first {
            state.failed = true;
            return false;
        }
        let new = settle(&mut inbound, made, &mut state.failed);
        if new {
            for kind in Kind::ALL {
                let of_kind = inbound.iter().filter(|r| r.kind == kind);
                self.tables.replace(kind, of_kind.cloned());
            }
        }
        self.inbound = Some(inbound);
        new
    }

    fn show(&mut self, state: &State, shared: &Tables, changes: &Arc<Changes>, now: Instant) {
        if self.inbound.is_none() {
            return;
        }
        let (revision, shared) = (state.snapshot.revision, shared.clone());
        let own = self.tables.clone();
        self.view = Some(Arc::new(match &self.view {
            Some(last) => last.next(revision, shared, changes.clone(), own, now),
            None => View::first(revision, shared, own, now),
        }));
    }
}
