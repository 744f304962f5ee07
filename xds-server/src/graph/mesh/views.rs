//! What the proxies of a mesh see: groups, and the views that they are shown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_translate::{Options, ProxyView};
use tokio::sync::watch;

use super::super::{Published, compile};
use super::jobs::Loaded;
use super::{Mesh, now};
use crate::engine::view::{Changes, Tables, View};
use crate::source::{NodeClaims, Proxy};
use compile::Shared;

/// Proxies whose descriptions are equal see the same.
pub(super) struct Group {
    views: watch::Sender<Option<Published>>,
    members: usize,
}

/// What views are made of.
pub(super) struct State {
    pub(super) snapshot: Arc<MeshSnapshot>,
    pub(super) trust_domain: Arc<str>,
    pub(super) shared: Shared,
}

impl State {
    fn publish(&self, view: View) -> Published {
        Published {
            view: Arc::new(view),
            trust_domain: self.trust_domain.clone(),
        }
    }

    /// Shows this state to a group.
    fn show(
        &self,
        service: &Name,
        group: &Group,
        last: Option<&Published>,
        own: Tables,
        changes: &Arc<Changes>,
    ) {
        let shared = self.shared.of(service).clone();
        let (revision, now) = (self.snapshot.revision, now());
        let view = match last {
            Some(last) => last.view.next(revision, shared, changes.clone(), own, now),
            None => View::first(revision, shared, own, now),
        };
        group.views.send_replace(Some(self.publish(view)));
    }
}

impl Mesh {
    pub(super) fn join_group(&mut self, view: &ProxyView) -> watch::Receiver<Option<Published>> {
        if let Some(group) = self.groups.get_mut(view) {
            group.members += 1;
            return group.views.subscribe();
        }
        let published = self.state.as_ref().and_then(|state| {
            let own = compile::own(&Tables::default(), &state.snapshot, view)?;
            let revision = state.snapshot.revision;
            let shared = state.shared.of(&view.service).clone();
            let view = View::first(revision, shared, own, now());
            Some(state.publish(view))
        });
        let (views, receiver) = watch::channel(published);
        self.groups
            .insert(view.clone(), Group { views, members: 1 });
        receiver
    }

    /// What a group sees, for another stream of one of its members.
    pub(super) fn watch_group(
        &self,
        view: &ProxyView,
    ) -> Option<watch::Receiver<Option<Published>>> {
        self.groups.get(view).map(|group| group.views.subscribe())
    }

    pub(super) fn leave_group(&mut self, view: &ProxyView) {
        if let Some(group) = self.groups.get_mut(view) {
            group.members -= 1;
            if group.members == 0 {
                self.groups.remove(view);
            }
        }
    }

    pub(super) fn take(&mut self, loaded: Loaded) {
        if let Some(endpoints) = loaded.endpoints.filter(|_| !self.registry_loaded) {
            self.registry_loaded = true;
            self.registry.load(endpoints, now());
            for proxy in self.members.keys() {
                self.registry.arrive(*proxy);
            }
            for member in self.members.values() {
                if self
                    .board
                    .records
                    .get(&member.endpoint.proxy)
                    .is_some_and(|r| r.standing.serving)
                {
                    self.registry
                        .serve(&member.service, member.endpoint.clone());
                }
            }
        }
        let before = self.state.as_ref();
        if before.is_some_and(|state| state.snapshot.revision > loaded.snapshot.revision) {
            return;
        }
        let old = before.map(|state| state.shared.clone()).unwrap_or_default();
        let options = Options {
            leaf_lifetime: self.parts.leaf_lifetime,
        };
        let workloads = self.registry.endpoints();
        let snapshot = &loaded.snapshot;
        let Some(shared) = compile::shared(&old, snapshot, &loaded.roots, workloads, &options)
        else {
            return;
        };
        let changes = shared.changes_from(&old);
        let state = State {
            trust_domain: loaded.snapshot.trust_domain.as_str().into(),
            snapshot: Arc::new(loaded.snapshot),
            shared,
        };
        for (view, group) in &self.groups {
            let last = group.views.borrow().clone();
            let own = last
                .as_ref()
                .map(|p| p.view.own().clone())
                .unwrap_or_default();
            if let Some(own) = compile::own(&own, &state.snapshot, view) {
                let changes = changes.of(&view.service);
                state.show(&view.service, group, last.as_ref(), own, changes);
            }
        }
        self.state = Some(state);
    }

    pub(super) fn publish_endpoints(&mut self, services: &BTreeSet<Name>) {
        let Some(state) = &mut self.state else {
            return;
        };
        if services.is_empty() {
            return;
        }
        let workloads = self.registry.endpoints();
        let Some(shared) = compile::patched(&state.shared, &state.snapshot, services, workloads)
        else {
            return;
        };
        let changes = shared.changes_from(&state.shared);
        if changes.is_empty() {
            return;
        }
        state.shared = shared;
        for (view, group) in &self.groups {
            let last = group.views.borrow().clone();
            if let Some(last) = last {
                let own = last.view.own().clone();
                let changes = changes.of(&view.service);
                state.show(&view.service, group, Some(&last), own, changes);
            }
        }
    }
}

pub(super) fn view_of(proxy: &Proxy, claims: &NodeClaims, leaf_lifetime: Duration) -> ProxyView {
    ProxyView {
        service: proxy.service.clone(),
        // Proxies that differ in their name alone share their resources.
        node_id: String::new(),
        bind_address: claims.bind_address,
        app_address: claims.app_address,
        outbound_port: claims.outbound_port,
        inbound_ports: claims.inbound_ports.clone(),
        leaf_lifetime,
    }
}
