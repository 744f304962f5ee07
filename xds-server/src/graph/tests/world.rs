//! A small mesh in which anything may change at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use heddle_model::id::{
    AccessRuleId, MeshId, OrgId, ProfileId, ProxyId, RouteId, ServiceId, SplitId,
};
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, Object, RouteNode, ServiceNode};
use heddle_model::workload::{Endpoint, Endpoints, Health};
use heddle_translate::{ListenerPlaces, ProxyView};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

const SERVICES: [&str; 5] = ["a", "b", "c", "d", "e"];
const PORTS: [&str; 3] = ["http", "grpc", "web"];
const PROFILES: [&str; 2] = ["std", "slow"];
const VERSIONS: [&str; 2] = ["v1", "v2"];
const HOSTS: [&str; 3] = ["x.example", "y.example", "z.example"];

/// What happened.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// To the mesh, an object in it, or its roots.
    Objects,
    /// To the workloads of a service.
    Workloads(Name),
    /// A proxy came.
    Join(ProxyView),
    /// It went.
    Leave(ProxyView),
}

pub(super) struct World {
    pub(super) snapshot: MeshSnapshot,
    pub(super) roots: String,
    pub(super) workloads: Endpoints,
    pub(super) subscribers: BTreeSet<ProxyView>,
    pub(super) now: Instant,
    random: u64,
    ids: u128,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn spec<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

impl World {
    /// A mesh whose services are all there and say nothing of each other.
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            snapshot: MeshSnapshot {
                org: OrgId::from_uuid(Uuid::from_u128(1)),
                revision: 1,
                made_at: None,
                mesh: Object {
                    id: MeshId::from_uuid(Uuid::from_u128(2)),
                    name: name("shop"),
                    revision: 1,
                    spec: spec(json!({})),
                },
                trust_domain: "shop.example".to_owned(),
                profiles: BTreeMap::new(),
                services: BTreeMap::new(),
                revoked: BTreeSet::new(),
            },
            roots: "roots".to_owned(),
            workloads: Endpoints::new(),
            subscribers: BTreeSet::new(),
            now: Instant::now(),
            random: seed,
            ids: 2,
        };
        for service in SERVICES {
            world.make_service(&name(service));
        }
        for service in ["a", "b", "c"] {
            world.subscribers.insert(Self::subscriber(service, 0));
        }
        world
    }

    /// Proxies of a service; those of another group have another port, and those of the last one listeners of their own.
    pub(super) fn subscriber(service: &str, group: u16) -> ProxyView {
        let ports = PORTS.iter().zip(15_006 + 10 * group..);
        ProxyView {
            service: name(service),
            node_id: String::new(),
            listeners: (group < 2).then(|| ListenerPlaces {
                bind_address: IpAddr::from([10, 0, 0, 1]),
                app_address: IpAddr::from([127, 0, 0, 1]),
                outbound_port: 15_001,
                inbound_ports: ports.map(|(port, number)| (name(port), number)).collect(),
            }),
            leaf_lifetime: Duration::from_secs(24 * 3600),
            reports: None,
        }
    }

    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    /// SplitMix64: any number below this one.
    fn below(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn any<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// Some of these, at least so many.
    fn some<'a>(&mut self, of: &[&'a str], least: usize) -> Vec<&'a str> {
        let mut chosen: Vec<&str> = of.to_vec();
        let keep = least + self.below(of.len() + 1 - least);
        while chosen.len() > keep {
            chosen.remove(self.below(chosen.len()));
        }
        chosen
    }

    fn settings(&mut self) -> Value {
        let timeout = format!("{}s", 1 + self.below(4));
        match self.below(4) {
            0 => Value::Null,
            1 => json!({"timeout": timeout}),
            2 => json!({"retries": {"attempts": self.below(3)}}),
            _ => json!({"timeout": timeout, "retries": {"attempts": self.below(3)}}),
        }
    }

    fn mtls(&mut self) -> Value {
        let modes = [
            Value::Null,
            json!("strict"),
            json!("permissive"),
            json!("off"),
        ];
        modes[self.below(modes.len())].clone()
    }

    /// A name of a service that is there.
    fn service(&mut self) -> Option<Name> {
        let there: Vec<Name> = self.snapshot.services.keys().cloned().collect();
        (!there.is_empty()).then(|| there[self.below(there.len())].clone())
    }

    fn node(&mut self) -> Option<&mut ServiceNode> {
        let service = self.service()?;
        self.snapshot.service_mut(&service)
    }

    fn make_service(&mut self, service: &Name) {
        let id = ServiceId::from_uuid(self.id());
        let node = ServiceNode {
            service: Object {
                id,
                name: service.clone(),
                revision: self.snapshot.revision,
                spec: spec(json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]})),
            },
            routes: Vec::new(),
            access_rules: Vec::new(),
        };
        self.snapshot.services.insert(service.clone(), node.into());
    }

    /// Changes something.
    pub(super) fn change(&mut self) -> Change {
        self.now += Duration::from_millis(1);
        match self.below(16) {
            0..5 => self.move_workload(),
            5 | 6 => self.come_or_go(),
            other => {
                self.snapshot.revision += 1;
                match other {
                    7 => self.change_mesh(),
                    8 => self.change_profile(),
                    9 => self.come_or_go_service(),
                    10 | 11 => self.change_service(),
                    12 | 13 => self.change_route(),
                    14 => self.change_rule(),
                    _ => self.change_upstreams(),
                }
                Change::Objects
            }
        }
    }

    fn change_mesh(&mut self) {
        let defaults = self.settings();
        let revision = self.snapshot.revision;
        let choice = self.below(8);
        let mtls = self.mtls();
        let revoked = name(self.any(&SERVICES));
        let unknown = self.any(&["not_found", "bad_gateway"]);
        let mesh = &mut self.snapshot.mesh;
        mesh.revision = revision;
        match choice {
            0 => mesh.spec.defaults = spec(defaults),
            1 => mesh.spec.access_default = spec(json!("allow")),
            2 => mesh.spec.access_default = spec(json!("deny")),
            3 => mesh.spec.unknown_hosts = spec(json!(unknown)),
            4 => {
                let (called, domain) = (self.any(&["shop", "store"]), self.any(&["one", "two"]));
                self.snapshot.mesh.name = name(called);
                self.snapshot.trust_domain = format!("{domain}.example");
            }
            5 => mesh.spec.mtls = spec(mtls),
            6 => {
                let all = &mut self.snapshot.revoked;
                if !all.remove(&revoked) {
                    all.insert(revoked);
                }
            }
            _ => self.roots = format!("roots {}", self.below(3)),
        }
    }

    fn change_profile(&mut self) {
        let called = name(self.any(&PROFILES));
        if self.one_in(4) {
            self.snapshot.profiles.remove(&called);
            return;
        }
        let settings = match self.settings() {
            Value::Null => json!({}),
            settings => settings,
        };
        let profile = Object {
            id: ProfileId::from_uuid(self.id()),
            name: called.clone(),
            revision: self.snapshot.revision,
            spec: spec(json!({"settings": settings})),
        };
        self.snapshot.profiles.insert(called, profile);
    }

    fn come_or_go_service(&mut self) {
        let service = name(self.any(&SERVICES));
        if self.snapshot.services.remove(&service).is_none() {
            self.make_service(&service);
        }
    }

    fn change_service(&mut self) {
        let ports = self.some(&PORTS, 1);
        let ports: Vec<Value> = ports
            .into_iter()
            .enumerate()
            .map(|(i, port)| {
                let protocol = self.any(&["http", "http2", "grpc", "tcp"]);
                // Some are another's, too.
                let local = (protocol == "tcp" && self.one_in(2)).then(|| 20_000 + self.below(3));
                let mtls = if protocol == "tcp" { Value::Null } else { self.mtls() };
                json!({"name": port, "port": 8080 + i, "protocol": protocol, "local_port": local, "mtls": mtls})
            })
            .collect();
        let hosts = self.some(&HOSTS, 0);
        let profile = self.any(&["std", "slow", "gone"]);
        let profile = (!self.one_in(3)).then_some(profile);
        let settings = self.settings();
        let mtls = self.mtls();
        let choice = self.below(6);
        let revision = self.snapshot.revision;
        let Some(node) = self.node() else { return };
        node.service.revision = revision;
        let service = &mut node.service.spec;
        match choice {
            0 => service.ports = spec(json!(ports)),
            1 => service.hostnames = spec(json!(hosts)),
            2 => service.profile = spec(json!(profile)),
            3 => service.defaults = spec(settings),
            4 => service.mtls = spec(mtls),
            // A name for people is not for Envoy.
            _ => service.display_name = spec(json!(profile)),
        }
    }

    fn change_upstreams(&mut self) {
        let called = self.some(&SERVICES, 0);
        let upstreams: Vec<Value> = called
            .into_iter()
            .map(|service| match self.one_in(2) {
                true => json!({"service": service, "override": self.settings()}),
                false => json!({"service": service}),
            })
            .collect();
        let revision = self.snapshot.revision;
        let Some(node) = self.node() else { return };
        node.service.revision = revision;
        node.service.spec.upstreams = spec(json!(upstreams));
    }

    fn change_route(&mut self) {
        let called = name(self.any(&["r0", "r1"]));
        let mut backends: Vec<Value> = Vec::new();
        for service in self.some(&SERVICES, 0) {
            if self.one_in(3) {
                backends.push(json!({"service": service}));
            }
        }
        let version = self.any(&VERSIONS);
        if backends.is_empty() {
            backends.push(json!({"version": version}));
        }
        let settings = self.settings();
        let route = Object {
            id: RouteId::from_uuid(self.id()),
            name: called.clone(),
            revision: self.snapshot.revision,
            spec: spec(json!({
                "priority": self.below(3), "backends": backends, "settings": settings
            })),
        };
        let split = Object {
            id: SplitId::from_uuid(self.id()),
            name: called.clone(),
            revision: self.snapshot.revision,
            spec: spec(json!({"weights": [
                {"version": "v1", "weight": self.below(2)}, {"version": version, "weight": 1}
            ]})),
        };
        let split = self.one_in(3).then_some(split);
        let remove = self.one_in(3);
        let Some(node) = self.node() else { return };
        node.routes.retain(|one| one.route.name != called);
        if !remove {
            node.routes.push(RouteNode { route, split });
        }
        let key = |one: &RouteNode| (one.route.spec.priority, one.route.name.clone());
        node.routes.sort_by_key(key);
    }

    fn change_rule(&mut self) {
        let called = name(self.any(&["a0", "a1"]));
        let rule = Object {
            id: AccessRuleId::from_uuid(self.id()),
            name: called.clone(),
            revision: self.snapshot.revision,
            spec: spec(json!({
                "action": self.any(&["allow", "deny"]),
                "from": [{"service": self.any(&SERVICES)}],
            })),
        };
        let remove = self.one_in(3);
        let Some(node) = self.node() else { return };
        node.access_rules.retain(|one| one.name != called);
        if !remove {
            node.access_rules.push(rule);
        }
        node.access_rules.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Of any service, there or not.
    fn move_workload(&mut self) -> Change {
        let service = name(self.any(&SERVICES));
        let number = self.below(3);
        let proxy = ProxyId::from_uuid(Uuid::from_u128(1_000 + number as u128));
        let ports = self.some(&PORTS, 1);
        let ports = ports.into_iter().zip(20_000..);
        let endpoint = Endpoint {
            proxy,
            version: Some(name(self.any(&VERSIONS))),
            address: IpAddr::from([10, 1, 0, u8::try_from(1 + self.below(3)).unwrap()]),
            ports: ports.map(|(port, number)| (name(port), number)).collect(),
            health: match self.one_in(3) {
                true => Health::Draining,
                false => Health::Healthy,
            },
        };
        let remove = self.one_in(3);
        let workloads = self.workloads.entry(service.clone()).or_default();
        if remove {
            workloads.remove(&proxy);
        } else {
            workloads.insert(proxy, endpoint);
        }
        Change::Workloads(service)
    }

    fn come_or_go(&mut self) -> Change {
        let service = self.any(&SERVICES);
        let group = u16::try_from(self.below(3)).unwrap();
        let view = Self::subscriber(service, group);
        if self.subscribers.remove(&view) {
            Change::Leave(view)
        } else {
            self.subscribers.insert(view.clone());
            Change::Join(view)
        }
    }
}
