//! The workloads of one mesh: soft state with leases. Pure: time comes in as a parameter.
//!
//! A proxy becomes an endpoint when it has its listeners, stays one for a while after its stream ended, then drains,
//! then goes. When most of a mesh is away at once the cause may be on our side, so nobody is removed then: workloads that
//! drain get no calls while others are healthy, and all of them when none is (Envoy's panic mode).
//!
//! A workload that is connected to another server is that one's to watch: what it says is followed here, and only when it says
//! nothing for longer than it should take is the workload drained here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use heddle_model::id::ProxyId;
use heddle_model::name::Name;
use heddle_model::workload::{Endpoint, Endpoints, Health};

use crate::source::Workload;

/// What is added to the grace of an endpoint that was loaded and not seen yet: its proxy may be backing off.
const RETURN: Duration = Duration::from_secs(30);
/// How long nobody is removed while most of the mesh is away.
const FREEZE: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It has a stream.
    Here,
    /// It has one at another server.
    Elsewhere,
    /// It had one.
    Away { drain_at: Instant },
    /// It gets no new calls.
    Draining { remove_at: Instant },
}

impl Presence {
    const fn is_present(self) -> bool {
        matches!(self, Self::Here | Self::Elsewhere)
    }

    const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Here | Self::Elsewhere => None,
            Self::Away { drain_at: at } | Self::Draining { remove_at: at } => Some(at),
        }
    }
}

/// The endpoints of a mesh and how long each stays. What happens to one workload costs the same in a mesh of thousands:
/// the rest is not looked at.
#[derive(Debug)]
pub(crate) struct Registry {
    grace: Duration,
    drain: Duration,
    endpoints: Endpoints,
    presence: BTreeMap<ProxyId, (Name, Presence)>,
    /// When to look at whom again.
    deadlines: BTreeSet<(Instant, ProxyId)>,
    /// Those whose time is up and who stay because most of the mesh is away.
    kept: BTreeSet<ProxyId>,
    /// How many have a stream, wherever.
    present: usize,
    frozen_since: Option<Instant>,
}

impl Registry {
    pub(crate) const fn new(grace: Duration, drain: Duration) -> Self {
        Self {
            grace,
            drain,
            endpoints: Endpoints::new(),
            presence: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            kept: BTreeSet::new(),
            present: 0,
            frozen_since: None,
        }
    }

    /// Everything that can be called.
    pub(crate) const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(crate) fn endpoint(&self, proxy: ProxyId) -> Option<&Endpoint> {
        let (service, _) = self.presence.get(&proxy)?;
        self.endpoints.get(service)?.get(&proxy)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.presence.is_empty()
    }

    /// The only way in which a presence changes, so that deadlines and counts follow. Returns the service that the proxy
    /// was registered for.
    fn place(&mut self, proxy: ProxyId, service: Name, presence: Presence) -> Option<Name> {
        let before = self.unplace(proxy);
        self.present += usize::from(presence.is_present());
        self.deadlines
            .extend(presence.deadline().map(|at| (at, proxy)));
        self.presence.insert(proxy, (service, presence));
        before
    }

    fn unplace(&mut self, proxy: ProxyId) -> Option<Name> {
        let (service, presence) = self.presence.remove(&proxy)?;
        self.present -= usize::from(presence.is_present());
        if let Some(at) = presence.deadline() {
            self.deadlines.remove(&(at, proxy));
        }
        self.kept.remove(&proxy);
        Some(service)
    }

    /// Takes over endpoints that other processes know or knew. The leases of those without a stream start now, whatever they were:
    /// proxies need time to come back, and a cluster must not be emptied before they had it.
    pub(crate) fn load(&mut self, workloads: Vec<Workload>, now: Instant) {
        for workload in workloads {
            if !self.presence.contains_key(&workload.proxy) {
                self.hear(workload, now);
            }
        }
    }

    /// Follows what is known elsewhere of a workload that has no stream here. Returns the services whose endpoints changed.
    pub(crate) fn hear(&mut self, workload: Workload, now: Instant) -> BTreeSet<Name> {
        let Some(endpoint) = workload.endpoint else {
            let Some(service) = self.unplace(workload.proxy) else {
                return BTreeSet::new();
            };
            self.forget(&service, workload.proxy);
            return BTreeSet::from([service]);
        };
        let elsewhere = workload.connected && !workload.here;
        let until = now + self.grace + RETURN;
        let presence = match endpoint.health {
            Health::Draining => Presence::Draining { remove_at: until },
            Health::Healthy if elsewhere => Presence::Elsewhere,
            Health::Healthy => Presence::Away { drain_at: until },
        };
        self.put(&workload.service, endpoint, presence)
    }

    /// Those that have a stream at another server.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = ProxyId> {
        let all = self.presence.iter();
        all.filter(|(_, (_, presence))| *presence == Presence::Elsewhere)
            .map(|(proxy, _)| *proxy)
    }

    /// Nobody could come back for a while: who is away gets the time anew that it takes.
    pub(crate) fn wait_anew(&mut self, now: Instant) {
        let until = now + self.grace + RETURN;
        let waiting = self.deadlines.iter().map(|(_, proxy)| *proxy);
        for proxy in waiting.chain(self.kept.iter().copied()).collect::<Vec<_>>() {
            let Some((service, presence)) = self.presence.get(&proxy).cloned() else {
                continue;
            };
            let presence = match presence {
                Presence::Here | Presence::Elsewhere => continue,
                Presence::Away { .. } => Presence::Away { drain_at: until },
                Presence::Draining { .. } => Presence::Draining { remove_at: until },
            };
            self.place(proxy, service, presence);
        }
    }

    /// The proxy has a stream: what was registered stays as it is.
    pub(crate) fn arrive(&mut self, proxy: ProxyId) {
        if let Some((service, _)) = self.presence.get(&proxy) {
            let service = service.clone();
            self.place(proxy, service, Presence::Here);
        }
    }

    /// Whether it is known that the proxy takes these calls here.
    pub(crate) fn serves(&self, service: &Name, endpoint: &Endpoint) -> bool {
        let here = |(of, presence): &(Name, Presence)| of == service && *presence == Presence::Here;
        self.presence.get(&endpoint.proxy).is_some_and(here)
            && self.endpoint(endpoint.proxy) == Some(endpoint)
    }

    /// The proxy has its listeners: it takes calls. Returns the services whose endpoints changed.
    pub(crate) fn serve(&mut self, service: &Name, endpoint: Endpoint) -> BTreeSet<Name> {
        self.put(service, endpoint, Presence::Here)
    }

    fn put(&mut self, service: &Name, endpoint: Endpoint, presence: Presence) -> BTreeSet<Name> {
        let proxy = endpoint.proxy;
        let mut changed = BTreeSet::new();
        let before = self.place(proxy, service.clone(), presence);
        if let Some(old) = before.filter(|old| old != service) {
            self.forget(&old, proxy);
            changed.insert(old);
        }
        let workloads = self.endpoints.entry(service.clone()).or_default();
        if workloads.get(&proxy) != Some(&endpoint) {
            workloads.insert(proxy, endpoint);
            changed.insert(service.clone());
        }
        changed
    }

    /// The proxy's stream ended.
    pub(crate) fn leave(&mut self, proxy: ProxyId, now: Instant) {
        let draining = self
            .endpoint(proxy)
            .is_some_and(|e| e.health == Health::Draining);
        if let Some((service, _)) = self.presence.get(&proxy) {
            let service = service.clone();
            let presence = if draining {
                Presence::Draining {
                    remove_at: now + self.drain,
                }
            } else {
                Presence::Away {
                    drain_at: now + self.grace,
                }
            };
            self.place(proxy, service, presence);
        }
    }

    /// The proxy may not come back: it drains without grace. Returns the services whose endpoints changed.
    pub(crate) fn withdraw(&mut self, proxy: ProxyId, now: Instant) -> BTreeSet<Name> {
        match self.presence.get(&proxy).cloned() {
            Some((service, Presence::Here | Presence::Elsewhere | Presence::Away { .. })) => {
                self.start_draining(&service, proxy, now);
                BTreeSet::from([service])
            }
            _ => BTreeSet::new(),
        }
    }

    fn start_draining(&mut self, service: &Name, proxy: ProxyId, now: Instant) {
        let remove_at = now + self.drain;
        self.place(proxy, service.clone(), Presence::Draining { remove_at });
        let workloads = self.endpoints.get_mut(service);
        if let Some(endpoint) = workloads.and_then(|w| w.get_mut(&proxy)) {
            endpoint.health = Health::Draining;
        }
    }

    fn forget(&mut self, service: &Name, proxy: ProxyId) {
        if let Some(workloads) = self.endpoints.get_mut(service) {
            workloads.remove(&proxy);
            if workloads.is_empty() {
                self.endpoints.remove(service);
            }
        }
    }

    /// Drains and removes what is due. Returns the proxies and services whose endpoints changed.
    pub(crate) fn tick(&mut self, now: Instant) -> (BTreeSet<ProxyId>, BTreeSet<Name>) {
        let mut proxies = BTreeSet::new();
        let mut services = BTreeSet::new();
        let frozen = self.is_frozen(now);
        let mut due = match frozen {
            true => Vec::new(),
            false => std::mem::take(&mut self.kept).into_iter().collect(),
        };
        while let Some((at, proxy)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            due.push(proxy);
        }
        for proxy in due {
            let Some((service, presence)) = self.presence.get(&proxy).cloned() else {
                continue;
            };
            match presence {
                Presence::Here | Presence::Elsewhere => continue,
                Presence::Away { .. } => self.start_draining(&service, proxy, now),
                Presence::Draining { .. } if frozen => {
                    self.kept.insert(proxy);
                    continue;
                }
                Presence::Draining { .. } => {
                    self.forget(&service, proxy);
                    self.unplace(proxy);
                }
            }
            proxies.insert(proxy);
            services.insert(service);
        }
        (proxies, services)
    }

    fn is_frozen(&mut self, now: Instant) -> bool {
        // Fewer than half of the workloads have a stream.
        if self.present * 2 >= self.presence.len() {
            self.frozen_since = None;
            return false;
        }
        let since = *self.frozen_since.get_or_insert(now);
        now < since + FREEZE
    }

    /// When to call [`Registry::tick`] again without any other cause; only what lies after `now`.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let thaw = self.frozen_since.map(|since| since + FREEZE);
        let due = self
            .deadlines
            .iter()
            .map(|(at, _)| *at)
            .find(|at| *at > now);
        due.into_iter().chain(thaw.filter(|at| *at > now)).min()
    }
}

#[cfg(test)]
mod tests;
