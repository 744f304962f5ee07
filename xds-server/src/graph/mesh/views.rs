//! What the proxies of a mesh see: groups, and the views that they are shown.

use std::collections::BTreeSet;
use std::time::Duration;

use heddle_model::name::Name;
use heddle_translate::ProxyView;
use tokio::sync::watch;

use super::super::Published;
use super::super::derive::Views;
use super::jobs::Loaded;
use super::{Mesh, now};
use crate::source::{NodeClaims, Proxy};

/// Proxies whose descriptions are equal see the same.
pub(super) struct Group {
    views: watch::Sender<Option<Published>>,
    members: usize,
}

impl Group {
    /// The revision that its view was made at; later ones meant nothing to it.
    pub(super) fn shown(&self) -> Option<u64> {
        self.views
            .borrow()
            .as_ref()
            .map(|shown| shown.view.revision)
    }
}

impl Mesh {
    pub(super) fn join_group(&mut self, view: &ProxyView) -> watch::Receiver<Option<Published>> {
        if let Some(group) = self.groups.get_mut(view) {
            group.members += 1;
            return group.views.subscribe();
        }
        let seen = self.graph.join(view, now());
        let published = seen.map(|view| Published {
            view,
            trust_domain: self.trust_domain.clone(),
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
                self.graph.leave(view);
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
        let revision = loaded.snapshot.revision;
        let before = self.graph.snapshot().map(|snapshot| snapshot.revision);
        if before > Some(revision) {
            return;
        }
        self.trust_domain = loaded.snapshot.trust_domain.as_str().into();
        let workloads = self.registry.endpoints();
        let views = self
            .graph
            .load(loaded.snapshot, &loaded.roots, workloads, now());
        self.show(views);
        if before < Some(revision) {
            self.advance();
        }
    }

    pub(super) fn publish_endpoints(&mut self, services: &BTreeSet<Name>) {
        if !services.is_empty() {
            let workloads = self.registry.endpoints();
            let views = self.graph.moved(services, workloads, now());
            self.show(views);
        }
    }

    fn show(&self, views: Views) {
        for (group, view) in views {
            if let Some(group) = self.groups.get(&group) {
                let trust_domain = self.trust_domain.clone();
                group
                    .views
                    .send_replace(Some(Published { view, trust_domain }));
            }
        }
    }

    /// The mesh has a new revision. Whoever has all of a view that it did not change is at that revision without a word;
    /// the others tell when they are.
    fn advance(&mut self) {
        let proxies: Vec<_> = self.members.keys().copied().collect();
        for proxy in proxies {
            self.appraise(proxy);
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
