//! RDS of the outbound listener: which host and which request goes to which cluster. One for all services that do not say
//! whom they call, and one for each that does: of those alone whom it calls, with the exceptions that it makes.

use std::collections::BTreeMap;

use heddle_model::kind::service::Port;
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, RouteNode, ServiceNode};

use crate::envoy::route::route::Action;
use crate::envoy::route::route_action::ClusterSpecifier;
use crate::envoy::route::weighted_cluster::ClusterWeight;
use crate::envoy::route::{
    DirectResponseAction, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
    WeightedCluster,
};
use crate::envoy::{boolean, inline_string, number};
use crate::origin::Source;
use crate::resource::{Diagnostic, Origin, Resource, ResourceType};
use crate::settings::{self, Call, Scope};
use crate::{matching, naming};

/// What is answered for a host that the mesh does not know. Nothing of the request stands in it.
const UNKNOWN_HOST_BODY: &str = "no service of this mesh answers for this host\n";
/// What is answered when a route leads nowhere.
const NO_BACKEND_BODY: &str = "this route has no backend that exists\n";

/// How many of [`MeshSnapshot::hosts`] a service has by its name; the others are its `hostnames`.
const OWN_HOSTS: usize = 2;

/// Collects while the virtual hosts are built.
struct Draft<'a> {
    snapshot: &'a MeshSnapshot,
    caller: Option<&'a ServiceNode>,
    origins: Vec<Origin>,
    diagnostics: Vec<Diagnostic>,
    clusters: Vec<String>,
}

/// The hosts that each service of a mesh answers for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(BTreeMap<Name, Vec<String>>);

impl Hosts {
    /// Those of one service; sorted.
    #[must_use]
    pub fn of(&self, service: &Name) -> &[String] {
        self.0.get(service).map_or(&[], Vec::as_slice)
    }
}

/// A port of a service.
#[derive(Clone, Copy)]
struct Destination<'a> {
    node: &'a ServiceNode,
    index: usize,
    port: &'a Port,
    /// Whether it is the first that takes requests: it answers for hosts without a port.
    first: bool,
}

/// The outbound routes to some services of a mesh. Those of a caller have its exceptions in them.
pub(crate) fn routes<'a>(
    snapshot: &'a MeshSnapshot,
    hosts: &Hosts,
    caller: Option<&'a ServiceNode>,
    callees: impl Iterator<Item = &'a ServiceNode>,
) -> (Resource, Vec<Diagnostic>) {
    let mut draft = Draft {
        snapshot,
        caller,
        origins: vec![Source::Mesh(snapshot).at("", "")],
        diagnostics: Vec::new(),
        clusters: Vec::new(),
    };
    let mut virtual_hosts = Vec::new();
    for node in callees {
        if node.service.spec.http_ports().next().is_none() {
            draft.diagnostics.extend(routes_of_nothing(node));
        }
        for (at, (index, port)) in node.service.spec.http_ports().enumerate() {
            let to = Destination {
                node,
                index,
                port,
                first: at == 0,
            };
            let own = hosts.of(&node.service.name);
            let virtual_host = draft.virtual_host(virtual_hosts.len(), to, own);
            virtual_hosts.push(virtual_host);
        }
    }
    virtual_hosts.push(draft.unknown_host(virtual_hosts.len()));
    let configuration = RouteConfiguration {
        name: naming::OUTBOUND.to_owned(),
        virtual_hosts,
        // Over RDS Envoy does not look whether clusters exist; our clusters come first, and a test holds us to it.
        validate_clusters: boolean(false),
        ..RouteConfiguration::default()
    };
    let name = naming::OUTBOUND.to_owned();
    let clusters = draft.clusters.into_iter();
    let resource = Resource::new(ResourceType::Route, name, &configuration, draft.origins)
        .needing(clusters.map(|name| (ResourceType::Cluster, name)));
    (resource, draft.diagnostics)
}

/// Routes of a service that takes no requests.
fn routes_of_nothing(node: &ServiceNode) -> impl Iterator<Item = Diagnostic> + '_ {
    node.routes.iter().map(|one| {
        let message =
            "every port of the service speaks tcp: there are no requests that a route could take";
        Source::Route(node, &one.route).diagnose("", message)
    })
}

/// The hosts of each service. Envoy refuses a configuration in which a host stands twice, and with it all that the proxy
/// knows: a service's own names come first, then the first service in the order of names.
pub(crate) fn hosts(snapshot: &MeshSnapshot) -> (Hosts, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut owners: BTreeMap<String, &Name> = BTreeMap::new();
    for (name, node) in &snapshot.services {
        let own = snapshot.hosts(node).into_iter().take(OWN_HOSTS);
        owners.extend(own.map(|host| (host, name)));
    }
    let mut hosts = BTreeMap::new();
    for (name, node) in &snapshot.services {
        let mut granted = Vec::new();
        for (i, host) in snapshot.hosts(node).into_iter().enumerate() {
            let owner = *owners.entry(host.clone()).or_insert(name);
            if owner == name {
                granted.push(host);
            } else {
                let pointer = format!("/hostnames/{}", i.saturating_sub(OWN_HOSTS));
                let message = format!("{host} leads to service {owner}, which had it first");
                diagnostics.push(Source::Service(node).diagnose(pointer, message));
            }
        }
        // The order in which hosts are written means nothing, and a host may be written that is there anyway.
        granted.sort();
        granted.dedup();
        hosts.insert(name.clone(), granted);
    }
    (Hosts(hosts), diagnostics)
}

impl<'a> Draft<'a> {
    fn virtual_host(&mut self, at: usize, to: Destination<'_>, hosts: &[String]) -> VirtualHost {
        let service = &to.node.service.name;
        let domains = hosts.iter().flat_map(|host| match to.first {
            true => vec![host.clone(), format!("{host}:*")],
            false => vec![format!("{host}:{}", to.port.port)],
        });
        let name = naming::virtual_host(service, &to.port.name);
        let source = Source::Service(to.node);
        let whole = format!("VirtualHosts[{at}]");
        let pointer = format!("/ports/{}", to.index);
        self.origins.push(source.at(pointer.clone(), name.clone()));
        self.origins.push(source.at(pointer, whole.clone()));

        let mut ordered: Vec<&RouteNode> = to.node.routes.iter().collect();
        ordered.sort_by_key(|one| (one.route.spec.priority, &one.route.name));
        let mut routes = Vec::new();
        for one in ordered {
            let action = self.route_action(to, one, &whole, routes.len());
            let name = naming::route(service, &one.route.name);
            let source = Source::Route(to.node, &one.route);
            self.origins.push(source.at("", name.clone()));
            let matches: Vec<RouteMatch> = match one.route.spec.matches.as_deref() {
                None | Some([]) => vec![matching::everything()],
                Some(several) => several.iter().map(matching::request).collect(),
            };
            for (i, request) in matches.into_iter().enumerate() {
                let here = format!("{whole} Routes[{}]", routes.len());
                self.origins.push(source.at("", here.clone()));
                if one.route.spec.matches.is_some() {
                    let within = format!("{here} RouteMatchValidationError");
                    self.origins.push(source.at(format!("/match/{i}"), within));
                }
                routes.push(Route {
                    name: name.clone(),
                    r#match: Some(request),
                    action: Some(action.clone()),
                    ..Route::default()
                });
            }
        }
        let default =
            self.cluster_action(to, None, vec![(own_cluster(to), 1)], &whole, routes.len());
        routes.push(Route {
            name: service.to_string(),
            r#match: Some(matching::everything()),
            action: Some(default),
            ..Route::default()
        });
        VirtualHost {
            name,
            domains: domains.collect(),
            routes,
            ..VirtualHost::default()
        }
    }

    /// Where a route sends its requests.
    fn route_action(
        &mut self,
        to: Destination<'_>,
        one: &RouteNode,
        whole: &str,
        at: usize,
    ) -> Action {
        let clusters = match &one.split {
            Some(split) => {
                let service = &to.node.service.name;
                let source = Source::Split(to.node, &one.route, split);
                let name = naming::route(service, &one.route.name);
                self.origins.push(source.at("/weights", name));
                let shares = split.spec.weights.iter().filter(|share| share.weight > 0);
                shares
                    .map(|share| {
                        let name = naming::subset(service, &to.port.name, &share.version);
                        (name, share.weight)
                    })
                    .collect()
            }
            None => self.backends(to, one),
        };
        if clusters.is_empty() {
            return direct_response(503, NO_BACKEND_BODY);
        }
        self.cluster_action(to, Some(one), clusters, whole, at)
    }

    /// The backends that exist, in equal shares.
    fn backends(&mut self, to: Destination<'_>, one: &RouteNode) -> Vec<(String, u32)> {
        let mut clusters: Vec<(String, u32)> = Vec::new();
        for (i, backend) in one.route.spec.backends.iter().enumerate() {
            let name = if let Some(version) = &backend.version {
                naming::subset(&to.node.service.name, &to.port.name, version)
            } else if let Some(service) = &backend.service {
                let Some(name) = self.cluster_of(service, &to.port.name) else {
                    let there = self.snapshot.services.contains_key(service);
                    let missing = match there {
                        true => format!("service {service} has no port that takes requests"),
                        false => format!("the mesh has no service {service}"),
                    };
                    let message = format!(
                        "{missing}; the other backends take its share, and without one the answer is 503"
                    );
                    let source = Source::Route(to.node, &one.route);
                    let pointer = format!("/backends/{i}/service");
                    self.diagnostics.push(source.diagnose(pointer, message));
                    continue;
                };
                name
            } else {
                continue;
            };
            // Named twice under two descriptions (the service itself, and by name): twice the share.
            match clusters.iter_mut().find(|(known, _)| *known == name) {
                Some((_, weight)) => *weight += 1,
                None => clusters.push((name, 1)),
            }
        }
        clusters
    }

    /// The cluster of another service: of its port with the same name, else of its first; of those that take requests.
    fn cluster_of(&self, service: &Name, port: &Name) -> Option<String> {
        let spec = &self.snapshot.services.get(service)?.service.spec;
        let same = spec.http_ports().find(|(_, p)| p.name == *port);
        let (_, port) = same.or_else(|| spec.http_ports().next())?;
        Some(naming::cluster(service, &port.name))
    }

    fn cluster_action(
        &mut self,
        to: Destination<'_>,
        route: Option<&RouteNode>,
        mut clusters: Vec<(String, u32)>,
        whole: &str,
        at: usize,
    ) -> Action {
        clusters.sort();
        self.clusters
            .extend(clusters.iter().map(|(name, _)| name.clone()));
        let specifier = if clusters.len() == 1 {
            ClusterSpecifier::Cluster(clusters.remove(0).0)
        } else {
            let weighted = |(name, weight)| ClusterWeight {
                name,
                weight: number(weight),
                ..ClusterWeight::default()
            };
            ClusterSpecifier::WeightedClusters(WeightedCluster {
                clusters: clusters.into_iter().map(weighted).collect(),
                ..WeightedCluster::default()
            })
        };
        let mut action = RouteAction {
            cluster_specifier: Some(specifier),
            ..RouteAction::default()
        };
        let scope = Scope {
            snapshot: self.snapshot,
            callee: to.node,
            route: route.map(|one| &one.route),
            caller: self.caller,
        };
        let protocol = to.port.protocol;
        let call = Call {
            levels: scope.levels(Some(protocol)),
            protocol,
        };
        let here = format!("{whole} Routes[{at}]");
        for applied in settings::apply(&mut action, &call) {
            self.origins.extend(scope.origin(&applied, &here));
        }
        Action::Route(action)
    }

    fn unknown_host(&mut self, at: usize) -> VirtualHost {
        let source = Source::Mesh(self.snapshot);
        for within in [
            naming::UNKNOWN_HOST.to_owned(),
            format!("VirtualHosts[{at}]"),
        ] {
            self.origins.push(source.at("/unknown_hosts", within));
        }
        let status = self.snapshot.mesh.spec.unknown_host_status();
        VirtualHost {
            name: naming::UNKNOWN_HOST.to_owned(),
            domains: vec!["*".to_owned()],
            routes: vec![Route {
                name: naming::UNKNOWN_HOST.to_owned(),
                r#match: Some(matching::everything()),
                action: Some(direct_response(status.into(), UNKNOWN_HOST_BODY)),
                ..Route::default()
            }],
            ..VirtualHost::default()
        }
    }
}

fn own_cluster(to: Destination<'_>) -> String {
    naming::cluster(&to.node.service.name, &to.port.name)
}

fn direct_response(status: u32, body: &str) -> Action {
    Action::DirectResponse(DirectResponseAction {
        status,
        body: Some(inline_string(body)),
        ..DirectResponseAction::default()
    })
}
