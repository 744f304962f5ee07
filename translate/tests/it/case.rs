//! A mesh described in a few lines of YAML. Specs go through the decoder of the API, so a golden's input is one
//! that a user could have sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heddle_model::clock::{CountingIds, Ids};
use heddle_model::id::{
    AccessRuleId, MeshId, OrgId, ProfileId, ProxyId, RouteId, ServiceId, SplitId,
};
use heddle_model::kind::{AccessRule, Mesh, Profile, Route, Service, Spec, Split};
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, Object, RouteNode, ServiceNode};
use heddle_model::wire;
use heddle_model::workload::{Endpoint, Endpoints, Health};
use heddle_translate::{
    ListenerPlaces, Options, Output, ProxyView, ReportsTo, Resource, ResourceType,
};
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 3600);
pub(crate) const TRUST_DOMAIN: &str = "shop-7k2m.heddle.example";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    #[serde(default)]
    pub(crate) mesh: Map<String, Value>,
    #[serde(default)]
    pub(crate) profiles: BTreeMap<Name, Map<String, Value>>,
    #[serde(default)]
    pub(crate) services: BTreeMap<Name, ServiceDescription>,
    #[serde(default)]
    pub(crate) revoked: BTreeSet<Name>,
    #[serde(default)]
    pub(crate) endpoints: BTreeMap<Name, Vec<EndpointDescription>>,
    pub(crate) proxy: ProxyDescription,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceDescription {
    pub(crate) spec: Map<String, Value>,
    #[serde(default)]
    pub(crate) routes: BTreeMap<Name, RouteDescription>,
    #[serde(default)]
    pub(crate) access_rules: BTreeMap<Name, Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteDescription {
    pub(crate) spec: Map<String, Value>,
    pub(crate) split: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointDescription {
    version: Option<Name>,
    address: IpAddr,
    ports: BTreeMap<Name, u16>,
    #[serde(default)]
    draining: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProxyDescription {
    service: Name,
    bind_address: IpAddr,
    app_address: IpAddr,
    outbound_port: u16,
    inbound_ports: BTreeMap<Name, u16>,
    reports: Option<ReportsDescription>,
}

/// Where the proxy reports to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportsDescription {
    host: String,
    port: u16,
    ca: String,
}

/// A described mesh, ready to translate.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) snapshot: MeshSnapshot,
    pub(crate) endpoints: Endpoints,
    pub(crate) view: ProxyView,
}

/// Without what is null: a type that has more fields than fit here says so of those that are not set.
fn set(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let set = map.iter().filter(|(_, member)| !member.is_null());
            Value::Object(
                set.map(|(name, member)| (name.clone(), self::set(member)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(set).collect(),
        other => other.clone(),
    }
}

fn spec<T: Spec>(sent: &Map<String, Value>) -> T {
    let bytes = serde_json::to_vec(&set(&Value::Object(sent.clone()))).unwrap();
    match wire::decode::<T>(&bytes) {
        Ok(decoded) => decoded.value,
        Err(refused) => panic!("{:?} in {}", refused, String::from_utf8_lossy(&bytes)),
    }
}

pub(crate) fn options() -> Options {
    Options {
        leaf_lifetime: LEAF_LIFETIME,
    }
}

impl Case {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        Self::parse(&text)
    }

    pub(crate) fn parse(text: &str) -> Self {
        Self::build(serde_yaml_ng::from_str(text).unwrap())
    }

    pub(crate) fn build(description: Description) -> Self {
        let ids = CountingIds::default();
        let mut revision = 0;
        let mut next = || {
            revision += 1;
            revision
        };
        let mesh = Object {
            id: MeshId::from_uuid(ids.next()),
            name: "shop".parse().unwrap(),
            revision: next(),
            spec: spec::<Mesh>(&description.mesh),
        };
        let mut services = BTreeMap::new();
        for (name, given) in description.services {
            let service = Object {
                id: ServiceId::from_uuid(ids.next()),
                name: name.clone(),
                revision: next(),
                spec: spec::<Service>(&given.spec),
            };
            let mut routes = Vec::new();
            for (name, given) in given.routes {
                let route = Object {
                    id: RouteId::from_uuid(ids.next()),
                    name: name.clone(),
                    revision: next(),
                    spec: spec::<Route>(&given.spec),
                };
                let split = given.split.map(|sent| Object {
                    id: SplitId::from_uuid(ids.next()),
                    name,
                    revision: next(),
                    spec: spec::<Split>(&sent),
                });
                routes.push(RouteNode { route, split });
            }
            routes.sort_by_key(|one| (one.route.spec.priority, one.route.name.clone()));
            let rule = |(name, sent)| Object {
                id: AccessRuleId::from_uuid(ids.next()),
                name,
                revision: next(),
                spec: spec::<AccessRule>(&sent),
            };
            let access_rules = given.access_rules.into_iter().map(rule).collect();
            let node = ServiceNode {
                service,
                routes,
                access_rules,
            };
            services.insert(name, Arc::new(node));
        }
        let profile = |(name, sent): (Name, Map<String, Value>)| {
            let profile = Object {
                id: ProfileId::from_uuid(ids.next()),
                name: name.clone(),
                revision: next(),
                spec: spec::<Profile>(&sent),
            };
            (name, profile)
        };
        let profiles = description.profiles.into_iter().map(profile).collect();
        let endpoint = |given: EndpointDescription| {
            let proxy = ProxyId::from_uuid(ids.next());
            let endpoint = Endpoint {
                proxy,
                version: given.version,
                address: given.address,
                ports: given.ports,
                health: if given.draining {
                    Health::Draining
                } else {
                    Health::Healthy
                },
            };
            (proxy, endpoint)
        };
        let endpoints = description
            .endpoints
            .into_iter()
            .map(|(service, given)| (service, given.into_iter().map(endpoint).collect()))
            .collect();
        let proxy = description.proxy;
        Self {
            snapshot: MeshSnapshot {
                org: OrgId::from_uuid(ids.next()),
                revision: next(),
                made_at: None,
                mesh,
                trust_domain: TRUST_DOMAIN.to_owned(),
                profiles,
                services,
                revoked: description.revoked,
            },
            endpoints,
            view: ProxyView {
                node_id: format!("{}-1", proxy.service),
                service: proxy.service,
                listeners: Some(ListenerPlaces {
                    bind_address: proxy.bind_address,
                    app_address: proxy.app_address,
                    outbound_port: proxy.outbound_port,
                    inbound_ports: proxy.inbound_ports,
                }),
                leaf_lifetime: LEAF_LIFETIME,
                reports: proxy.reports.map(|to| {
                    Arc::new(ReportsTo {
                        host: to.host,
                        port: to.port,
                        ca_pem: to.ca,
                    })
                }),
            },
        }
    }

    /// Everything that the proxy of this case is sent, secrets apart; sorted.
    pub(crate) fn translate(&self) -> Output {
        let mut all = heddle_translate::mesh(&self.snapshot, &options());
        let mut endpoints = self.all_endpoints();
        if let Some(reach) = heddle_translate::reach(&self.snapshot, &self.view.service) {
            let hosts = heddle_translate::hosts(&self.snapshot);
            let caller = &self.view.service;
            let outbound =
                heddle_translate::outbound_of(&self.snapshot, &hosts, caller, &reach, &options());
            let reached = |cluster: &str| {
                let key = (ResourceType::Cluster, cluster.to_owned());
                let service = cluster.split('/').nth(1).unwrap_or_default();
                reach.callees.contains(service) || outbound.iter().any(|r| r.needs.contains(&key))
            };
            // What the outbound part has under the name of something shared takes its place.
            let replaced = |name: &str| outbound.iter().any(|own| own.name == name);
            all.resources.retain(|r| {
                r.kind == ResourceType::Cluster && reached(&r.name) && !replaced(&r.name)
            });
            endpoints.retain(|r| reached(&r.name));
            all.resources.extend(outbound);
        }
        let own = heddle_translate::proxy(&self.snapshot, &self.view);
        all.resources.extend(own.resources);
        all.resources.extend(endpoints);
        all.resources
            .sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        all.diagnostics.extend(own.diagnostics);
        all
    }

    pub(crate) fn all_endpoints(&self) -> Vec<Resource> {
        let none = BTreeMap::new();
        let of = |service| {
            let endpoints = self.endpoints.get(service).unwrap_or(&none);
            heddle_translate::endpoints(&self.snapshot, service, endpoints)
        };
        self.snapshot.services.keys().flat_map(of).collect()
    }
}
