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

/// As another server wrote it.
fn known(id: u128, connected: bool) -> Workload {
    Workload {
        proxy: endpoint(id).proxy,
        service: service(),
        connected,
        here: false,
        endpoint: Some(endpoint(id)),
    }
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
    r.load((1..=4).map(|id| known(id, false)).collect(), now);
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

#[test]
fn whoever_is_connected_elsewhere_stays_as_long_as_they_are() {
    let mut r = Registry::new(GRACE, DRAIN);
    let now = Instant::now();
    r.load((1..=4).map(|id| known(id, true)).collect(), now);
    assert_eq!(r.elsewhere().count(), 4);
    assert!(r.tick(now + seconds(86_400)).1.is_empty());
    // Its server says that it drains, and then that it is gone.
    let mut left = known(1, false);
    left.endpoint.as_mut().unwrap().health = Health::Draining;
    assert_eq!(r.hear(left.clone(), now), BTreeSet::from([service()]));
    assert!(r.hear(left.clone(), now).is_empty(), "nothing changed");
    assert_eq!(health(&r, 1), Some(Health::Draining));
    left.endpoint = None;
    assert_eq!(r.hear(left.clone(), now), BTreeSet::from([service()]));
    assert_eq!(health(&r, 1), None);
    assert!(r.hear(left, now).is_empty(), "it is gone already");
}

#[test]
fn whoever_a_lost_server_had_gets_the_time_to_come_here() {
    let mut r = Registry::new(GRACE, DRAIN);
    let now = Instant::now();
    r.load((1..=4).map(|id| known(id, true)).collect(), now);
    assert!(r.hear(known(1, false), now).is_empty());
    assert!(r.hear(known(2, false), now).is_empty());
    r.arrive(endpoint(2).proxy);
    assert!(r.tick(now + seconds(34)).1.is_empty());
    assert_eq!(r.tick(now + seconds(35)).1, BTreeSet::from([service()]));
    assert_eq!(health(&r, 1), Some(Health::Draining));
    assert_eq!(health(&r, 2), Some(Health::Healthy));
}

#[test]
fn one_that_may_not_come_back_drains_wherever_it_is() {
    let mut r = Registry::new(GRACE, DRAIN);
    let now = Instant::now();
    r.load(vec![known(1, true), known(2, true)], now);
    assert_eq!(r.withdraw(endpoint(1).proxy, now).len(), 1);
    assert_eq!(health(&r, 1), Some(Health::Draining));
    assert_eq!(r.elsewhere().collect::<Vec<_>>(), [endpoint(2).proxy]);
}
