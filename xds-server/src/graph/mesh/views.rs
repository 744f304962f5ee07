//! What the proxies of a mesh see: groups, and the views that they are shown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use heddle_model::id::ProxyId;
use heddle_model::name::Name;
use heddle_translate::{ListenerPlaces, ProxyView};
use tokio::sync::watch;

use super::super::derive::Views;
use super::super::{Parts, Published};
use super::jobs::Loaded;
use super::{Mesh, now};
use crate::source::{NodeClaims, Proxy};
use crate::trust::Replacing;

/// How long what follows from a revision is waited for before it is written who has it.
const SETTLE: Duration = Duration::from_millis(50);

/// How long at most until the clock is compared with the end of an access rule again.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// Proxies whose descriptions are equal see the same.
pub(super) struct Group {
    views: watch::Sender<Option<Published>>,
    members: BTreeSet<ProxyId>,
    /// The revision that gave it this view, apart from where workloads are; later ones meant nothing to it.
    pub(super) target: Option<u64>,
}

impl Mesh {
    pub(super) fn join_group(
        &mut self,
        view: &ProxyView,
        proxy: ProxyId,
    ) -> watch::Receiver<Option<Published>> {
        if let Some(group) = self.groups.get_mut(view) {
            group.members.insert(proxy);
            return group.views.subscribe();
        }
        let seen = self.graph.join(view, now());
        let published = seen.map(|view| Published {
            view,
            trust_domain: self.trust_domain.clone(),
            replacing: self.replacing.clone(),
        });
        let target = published.as_ref().map(|shown| shown.view.revision);
        let (views, receiver) = watch::channel(published);
        let group = Group {
            views,
            members: BTreeSet::from([proxy]),
            target,
        };
        self.groups.insert(view.clone(), group);
        receiver
    }

    /// What a group sees, for another stream of one of its members.
    pub(super) fn watch_group(
        &self,
        view: &ProxyView,
    ) -> Option<watch::Receiver<Option<Published>>> {
        self.groups.get(view).map(|group| group.views.subscribe())
    }

    pub(super) fn leave_group(&mut self, view: &ProxyView, proxy: ProxyId) {
        if let Some(group) = self.groups.get_mut(view) {
            group.members.remove(&proxy);
            if group.members.is_empty() {
                self.groups.remove(view);
                self.graph.leave(view);
            }
        }
    }

    pub(super) fn take(&mut self, loaded: Loaded) {
        if let Some(loaded) = loaded.workloads.filter(|_| !self.registry_loaded) {
            self.registry_loaded = true;
            self.begin_elsewhere(loaded.status);
            self.registry.load(loaded.workloads, now());
            for proxy in self.members.keys() {
                self.registry.arrive(*proxy);
            }
            for (proxy, member) in &self.members {
                let record = self.board.records.get(proxy);
                if record.is_some_and(|r| r.standing.serving)
                    && let Some(endpoint) = &member.endpoint
                {
                    self.registry.serve(&member.service, endpoint.clone());
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
        let mut snapshot = loaded.snapshot;
        self.loaded = Some(Arc::new(snapshot.clone()));
        let next = snapshot.drop_expired(self.parts.clock.now());
        let views = self
            .graph
            .load(snapshot, &loaded.trust.roots, workloads, now());
        self.look_again_at(next);
        self.aim(&views);
        self.show(views);
        self.replace(loaded.trust.replacing);
        self.offer();
    }

    /// Says which certificates are replaced before they are due: to everybody, also where the view stays as it is.
    fn replace(&mut self, replacing: Replacing) {
        if *self.replacing == replacing {
            return;
        }
        self.replacing = Arc::new(replacing);
        for group in self.groups.values() {
            group.views.send_if_modified(|published| {
                let shown = published.as_mut();
                shown.is_some_and(|shown| {
                    shown.replacing = self.replacing.clone();
                    true
                })
            });
        }
    }

    pub(super) fn publish_endpoints(&mut self, services: &BTreeSet<Name>) {
        if !services.is_empty() {
            let workloads = self.registry.endpoints();
            let views = self.graph.moved(services, workloads, now());
            if self.offered < self.graph.snapshot().map(|snapshot| snapshot.revision) {
                // What could not be made of the last revision was tried once more.
                self.aim(&views);
            }
            self.show(views);
            self.offer();
        }
    }

    /// Takes expired access rules out of force.
    pub(super) fn expire(&mut self, now: Instant) {
        let at = self.parts.clock.now();
        let (views, next) = self.graph.expire(at, self.registry.endpoints(), now);
        self.look_again_at(next);
        self.aim(&views);
        self.show(views);
    }

    /// When the next access rule expires. The clock may be set meanwhile, so it is looked at now and then.
    pub(super) fn look_again_at(&mut self, next: Option<DateTime<Utc>>) {
        self.expiry = next.map(|next| {
            let left = (next - self.parts.clock.now()).to_std().unwrap_or_default();
            now() + left.clamp(Duration::from_millis(1), LONGEST_NAP)
        });
    }

    /// These views are what a revision says, and not only where workloads are: whoever sees them is to have them.
    fn aim(&mut self, views: &Views) {
        for (group, view) in views {
            let Some(group) = self.groups.get_mut(group) else {
                continue;
            };
            group.target = Some(view.revision);
            for proxy in &group.members {
                self.board.record(*proxy).aim(group.target, self.offered);
                self.board.touch(*proxy);
            }
        }
    }

    /// Notes up to where everything has been shown to those whom it concerns.
    fn offer(&mut self) {
        let Some(snapshot) = self.graph.snapshot().filter(|_| self.graph.is_whole()) else {
            return;
        };
        if self.offered < Some(snapshot.revision) {
            self.offered = Some(snapshot.revision);
            // Most of those who were sent something have it in a moment, and one row for each of them is enough.
            let settled = now() + SETTLE;
            if self.write_at < settled && self.unkept.is_empty() {
                self.write_at = settled;
            }
        }
    }

    fn show(&self, views: Views) {
        for (group, view) in views {
            if let Some(group) = self.groups.get(&group) {
                let trust_domain = self.trust_domain.clone();
                let replacing = self.replacing.clone();
                group.views.send_replace(Some(Published {
                    view,
                    trust_domain,
                    replacing,
                }));
            }
        }
    }
}

pub(super) fn view_of(proxy: &Proxy, claims: &NodeClaims, parts: &Parts) -> ProxyView {
    ProxyView {
        service: proxy.service.clone(),
        // Proxies that differ in their name alone share their resources.
        node_id: String::new(),
        listeners: claims.listeners.as_ref().map(|at| ListenerPlaces {
            bind_address: at.bind_address,
            app_address: at.app_address,
            outbound_port: at.outbound_port,
            inbound_ports: at.inbound_ports.clone(),
        }),
        leaf_lifetime: parts.leaf_lifetime,
        reports: parts.reports.clone(),
    }
}
