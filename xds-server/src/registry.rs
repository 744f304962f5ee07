//! The workloads of one mesh: soft state with leases. Pure: time comes in as a parameter.
//!
//! A proxy becomes an endpoint when it has its listeners, stays one for a while after its stream ended, then drains,
//! then goes. When most of a mesh is away at once the cause may be on our side, so nobody is removed then: workloads that
//! drain get no calls while others are healthy, and all of them when none is (Envoy's panic mode).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use heddle_model::id::ProxyId;
use heddle_model::name::Name;
use heddle_model::workload::{Endpoint, Endpoints, Health};

/// What is added to the grace of an endpoint that was loaded and not seen yet: its proxy may be backing off.
const RETURN: Duration = Duration::from_secs(30);
/// How long nobody is removed while most of the mesh is away.
const FREEZE: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It has a stream.
    Here,
    /// It had one.
    Away { drain_at: Instant },
    /// It gets no new calls.
    Draining { remove_at: Instant },
}

/// The endpoints of a mesh and how long each stays.
#[derive(Debug)]
pub(crate) struct Registry {
    grace: Duration,
    drain: Duration,
    endpoints: Endpoints,
    presence: BTreeMap<ProxyId, (Name, Presence)>,
    frozen_since: Option<Instant>,
}

impl Registry {
    pub(crate) const fn new(grace: Duration, drain: Duration) -> Self {
        Self {
            grace,
            drain,
            endpoints: Endpoints::new(),
            presence: BTreeMap::new(),
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

    /// Takes over endpoints that an earlier process knew. Their leases start now, whatever they were: proxies need
    /// time to come back, and a cluster must not be emptied before they had it.
    pub(crate) fn load(&mut self, endpoints: Endpoints, now: Instant) {
        let until = now + self.grace + RETURN;
        for (service, workloads) in endpoints {
            for (proxy, endpoint) in workloads {
                if self.presence.contains_key(&proxy) {
                    continue;
                }
                let presence = match endpoint.health {
                    Health::Healthy => Presence::Away { drain_at: until },
                    Health::Draining => Presence::Draining { remove_at: until },
                };
                self.presence.insert(proxy, (service.clone(), presence));
                self.endpoints
                    .entry(service.clone())
                    .or_default()
                    .insert(proxy, endpoint);
            }
        }
    }

    /// Nobody could come back for a while: who is away gets the time anew that it takes.
    pub(crate) fn wait_anew(&mut self, now: Instant) {
        let until = now + self.grace + RETURN;
        for (_, presence) in self.presence.values_mut() {
            match presence {
                Presence::Here => {}
                Presence::Away { drain_at } => *drain_at = until,
                Presence::Draining { remove_at } => *remove_at = until,
            }
        }
    }

    /// The proxy has a stream: what was registered stays as it is.
    pub(crate) fn arrive(&mut self, proxy: ProxyId) {
        if let Some((_, presence)) = self.presence.get_mut(&proxy) {
            *presence = Presence::Here;
        }
    }

    /// The proxy has its listeners: it takes calls. Returns the services whose endpoints changed.
    pub(crate) fn serve(&mut self, service: &Name, endpoint: Endpoint) -> BTreeSet<Name> {
        let proxy = endpoint.proxy;
        let mut changed = BTreeSet::new();
        let before = self
            .presence
            .insert(proxy, (service.clone(), Presence::Here));
        if let Some((old, _)) = before.filter(|(old, _)| old != service) {
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
        if let Some((_, presence)) = self.presence.get_mut(&proxy) {
            *presence = if draining {
                Presence::Draining {
                    remove_at: now + self.drain,
                }
            } else {
                Presence::Away {
                    drain_at: now + self.grace,
                }
            };
        }
    }

    /// The proxy may not come back: it drains without grace. Returns the services whose endpoints changed.
    pub(crate) fn withdraw(&mut self, proxy: ProxyId, now: Instant) -> BTreeSet<Name> {
        match self.presence.get(&proxy).cloned() {
            Some((service, Presence::Here | Presence::Away { .. })) => {
                self.start_draining(&service, proxy, now);
                BTreeSet::from([service])
            }
            _ => BTreeSet::new(),
        }
    }

    fn start_draining(&mut self, service: &Name, proxy: ProxyId, now: Instant) {
        let remove_at = now + self.drain;
        let presence = Presence::Draining { remove_at };
        self.presence.insert(proxy, (service.clone(), presence));
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
        for (proxy, (service, presence)) in self.presence.clone() {
            match presence {
                Presence::Away { drain_at } if drain_at <= now => {
                    self.start_draining(&service, proxy, now);
                }
                Presence::Draining { remove_at } if remove_at <= now && !frozen => {
                    self.forget(&service, proxy);
                    self.presence.remove(&proxy);
                }
                _ => continue,
            }
            proxies.insert(proxy);
            services.insert(service);
        }
        (proxies, services)
    }

    /// Most of the mesh is away: fewer than half of its workloads have a stream.
    fn mostly_away(&self) -> bool {
        let here = self
            .presence
            .values()
            .filter(|(_, p)| *p == Presence::Here)
            .count();
        here * 2 < self.presence.len()
    }

    fn is_frozen(&mut self, now: Instant) -> bool {
        if !self.mostly_away() {
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
            .presence
            .values()
            .filter_map(|(_, presence)| match presence {
                Presence::Here => None,
                Presence::Away { drain_at } => Some(*drain_at),
                Presence::Draining { remove_at } => Some(*remove_at),
            });
        due.chain(thaw).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);
    const DRAIN: Duration = Duration::from_secs(10);

    fn endpoint(id: u128) -> Endpoint {
        Endpoint {
            proxy: ProxyId::from_uuid(Uuid::from_u128(id)),
            version: None,
            address: [10, 0, 0, 1].into(),
            ports: BTreeMap::new(),
            health: Health::Healthy,
        }
    }

    fn service() -> Name {
        "payments".parse().unwrap()
    }

    fn registry(count: u128) -> (Registry, Instant) {
        let mut registry = Registry::new(GRACE, DRAIN);
        for id in 1..=count {
            assert_eq!(registry.serve(&service(), endpoint(id)).len(), 1);
        }
        (registry, Instant::now())
    }

    fn health(registry: &Registry, id: u128) -> Option<Health> {
        registry.endpoint(endpoint(id).proxy).map(|e| e.health)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn one_that_leaves_drains_and_goes() {
        let (mut r, now) = registry(2);
        r.leave(endpoint(1).proxy, now);
        assert_eq!(r.next_deadline(now), Some(now + GRACE));
        assert!(r.tick(now + seconds(4)).1.is_empty());
        assert_eq!(r.tick(now + GRACE).1, BTreeSet::from([service()]));
        assert_eq!(health(&r, 1), Some(Health::Draining));
        assert_eq!(r.next_deadline(now + GRACE), Some(now + GRACE + DRAIN));
        assert!(r.tick(now + seconds(14)).1.is_empty());
        assert_eq!(
            r.tick(now + seconds(15)).0,
            BTreeSet::from([endpoint(1).proxy])
        );
        assert_eq!(health(&r, 1), None);
        assert_eq!(health(&r, 2), Some(Health::Healthy));
    }

    #[test]
    fn one_that_comes_back_in_time_was_never_gone() {
        let (mut r, now) = registry(2);
        r.leave(endpoint(1).proxy, now);
        r.arrive(endpoint(1).proxy);
        assert_eq!(r.next_deadline(now), None);
        assert!(r.tick(now + seconds(60)).1.is_empty());
        assert!(
            r.serve(&service(), endpoint(1)).is_empty(),
            "nothing changed"
        );
    }

    #[test]
    fn one_that_comes_back_while_draining_takes_calls_once_it_has_its_listeners() {
        let (mut r, now) = registry(2);
        r.leave(endpoint(1).proxy, now);
        r.tick(now + GRACE);
        r.arrive(endpoint(1).proxy);
        assert_eq!(health(&r, 1), Some(Health::Draining));
        assert_eq!(r.serve(&service(), endpoint(1)).len(), 1);
        assert_eq!(health(&r, 1), Some(Health::Healthy));
    }

    #[test]
    fn a_restarted_server_gives_everyone_time_to_come_back() {
        let (old, now) = registry(4);
        let mut r = Registry::new(GRACE, DRAIN);
        r.load(old.endpoints().clone(), now);
        assert_eq!(r.endpoints(), old.endpoints());
        for id in 1..=3 {
            r.arrive(endpoint(id).proxy);
        }
        assert!(r.tick(now + seconds(34)).1.is_empty());
        r.tick(now + seconds(35));
        assert_eq!(health(&r, 4), Some(Health::Draining));
        assert_eq!(health(&r, 3), Some(Health::Healthy));
    }

    #[test]
    fn who_could_not_come_back_gets_the_time_anew() {
        let (mut r, now) = registry(4);
        r.leave(endpoint(1).proxy, now);
        r.wait_anew(now + seconds(30));
        assert!(r.tick(now + seconds(64)).1.is_empty());
        assert_eq!(r.tick(now + seconds(65)).1, BTreeSet::from([service()]));
        assert_eq!(health(&r, 1), Some(Health::Draining));
    }

    #[test]
    fn nobody_is_removed_while_most_are_away() {
        let (mut r, now) = registry(4);
        for id in 1..=3 {
            r.leave(endpoint(id).proxy, now);
        }
        r.tick(now + GRACE);
        assert_eq!(health(&r, 1), Some(Health::Draining));
        assert!(r.tick(now + seconds(60)).1.is_empty(), "still listed");
        // Most are back: who is not goes.
        r.arrive(endpoint(1).proxy);
        r.tick(now + seconds(61));
        assert_eq!(health(&r, 2), None);
        // But not for ever.
        let (mut r, now) = registry(1);
        r.leave(endpoint(1).proxy, now);
        r.tick(now + GRACE);
        r.tick(now + seconds(300));
        assert_eq!(health(&r, 1), Some(Health::Draining));
        assert_eq!(
            r.next_deadline(now + seconds(300)),
            Some(now + GRACE + FREEZE)
        );
        r.tick(now + GRACE + FREEZE);
        assert_eq!(health(&r, 1), None);
    }

    #[test]
    fn a_withdrawn_proxy_drains_at_once() {
        let (mut r, now) = registry(3);
        assert_eq!(r.withdraw(endpoint(1).proxy, now).len(), 1);
        assert_eq!(health(&r, 1), Some(Health::Draining));
        r.leave(endpoint(1).proxy, now);
        r.tick(now + DRAIN);
        assert_eq!(health(&r, 1), None);
        assert!(r.withdraw(endpoint(9).proxy, now).is_empty());
    }
}
