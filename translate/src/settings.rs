//! What the settings do to an Envoy route, a cluster, a listener. One file per setting; the order of the list is the order in
//! which they are applied.

pub(crate) mod access_log;
pub(crate) mod authentication;
pub(crate) mod circuit_breaking;
pub(crate) mod health_check;
mod outlier_detection;
mod retries;
mod timeout;

use heddle_model::id::RouteId;
use heddle_model::kind::Route;
use heddle_model::kind::service::{Port, Protocol};
use heddle_model::settings::{Level, Levels, Settings};
use heddle_model::snapshot::{MeshSnapshot, Object, ServiceNode};

use crate::envoy::cluster::Cluster;
use crate::envoy::route::RouteAction;
use crate::origin::Source;
use crate::resource::{Diagnostic, Origin};

/// Who has a say about some calls: the mesh, the service that is called, a route of it, and the caller where it is one that
/// made an exception.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) snapshot: &'a MeshSnapshot,
    pub(crate) callee: &'a ServiceNode,
    pub(crate) route: Option<&'a Object<RouteId, Route>>,
    pub(crate) caller: Option<&'a ServiceNode>,
}

impl<'a> Scope<'a> {
    /// What the caller says about the callee, and where.
    fn exception(&self) -> Option<(usize, &'a Settings)> {
        let upstreams = self.caller?.service.spec.upstreams.iter().flatten();
        let named = |upstream: &&heddle_model::kind::service::Upstream| {
            upstream.service == self.callee.service.name
        };
        let mut found = upstreams.enumerate().filter(|(_, one)| named(one));
        let (index, upstream) = found.next()?;
        Some((index, upstream.exception.as_ref()?))
    }

    /// Nobody but the service itself, its profile and the mesh has a say.
    pub(crate) const fn own(snapshot: &'a MeshSnapshot, service: &'a ServiceNode) -> Self {
        Self {
            snapshot,
            callee: service,
            route: None,
            caller: None,
        }
    }

    pub(crate) fn levels(&self, protocol: Option<Protocol>) -> Levels<'a> {
        Levels {
            route: self.route.and_then(|route| route.spec.settings.as_ref()),
            upstream: self.exception().map(|(_, settings)| settings),
            protocol,
            ..self.snapshot.levels(self.callee)
        }
    }

    /// The object and field behind something that was applied; `within` is where in the resource it stands.
    pub(crate) fn origin(&self, applied: &Applied, within: &str) -> Option<Origin> {
        let within = match applied.within {
            "" => within.to_owned(),
            part => format!("{within} {part}"),
        };
        let below = |field: &str| format!("{field}{}", applied.pointer);
        let callee = self.callee;
        Some(match applied.from {
            Level::BuiltIn => return None,
            Level::Mesh => Source::Mesh(self.snapshot).at(below("/defaults"), within),
            Level::Profile => {
                let profile = self.snapshot.profile(callee)?;
                Source::Profile(profile).at(below("/settings"), within)
            }
            Level::Service => Source::Service(callee).at(below("/defaults"), within),
            Level::Route => Source::Route(callee, self.route?).at(below("/settings"), within),
            Level::Upstream => {
                let (index, _) = self.exception()?;
                let pointer = below(&format!("/upstreams/{index}/override"));
                Source::Service(self.caller?).at(pointer, within)
            }
        })
    }
}

/// The services whose clusters are another's business for this caller: those that it makes an exception for.
pub(crate) fn own_clusters<'a>(
    snapshot: &'a MeshSnapshot,
    caller: &'a ServiceNode,
) -> impl Iterator<Item = &'a ServiceNode> {
    let upstreams = caller.service.spec.upstreams.iter().flatten();
    let about_clusters = upstreams.filter(|upstream| {
        let exception = upstream.exception.as_ref();
        exception.is_some_and(Settings::is_about_clusters)
    });
    about_clusters.filter_map(|upstream| snapshot.service(&upstream.service))
}

/// What a service says that cannot be used: it names what the mesh does not have any more, or cannot be checked as it asks.
/// It is passed over.
pub(crate) fn unusable(snapshot: &MeshSnapshot, node: &ServiceNode) -> Vec<Diagnostic> {
    let spec = &node.service.spec;
    let mut found = Vec::new();
    if let (Some(profile), None) = (&spec.profile, snapshot.profile(node)) {
        let message = format!("there is no profile {profile}; the service is without one");
        found.push(Source::Service(node).diagnose("/profile", message));
    }
    for (i, upstream) in spec.upstreams.iter().flatten().enumerate() {
        if !snapshot.services.contains_key(&upstream.service) {
            let pointer = format!("/upstreams/{i}/service");
            let message = format!("there is no service {}", upstream.service);
            found.push(Source::Service(node).diagnose(pointer, message));
        }
    }
    let scope = Scope::own(snapshot, node);
    let levels = scope.levels(None);
    let wrong = health_check::problem(&levels, spec.ports.first());
    if let Some(origin) = wrong.and_then(|wrong| scope.origin(&wrong, "")) {
        let name = &node.service.name;
        let why = match spec
            .ports
            .first()
            .is_some_and(|port| port.protocol.is_tcp())
        {
            true => "takes connections and no requests",
            false => "speaks HTTP/1.1, and gRPC is checked over HTTP/2",
        };
        let message = format!("the first port of {name} {why}; it is not checked");
        found.push(Diagnostic { origin, message });
    }
    found
}

/// A call: the levels that speak about it, and what it is made in.
pub(crate) struct Call<'a> {
    pub(crate) levels: Levels<'a>,
    pub(crate) protocol: Protocol,
}

/// A field that some level set, and what Envoy calls the part that it ended up in.
pub(crate) struct Applied {
    pub(crate) from: Level,
    /// The pointer below `defaults` or `settings`.
    pub(crate) pointer: String,
    /// Envoy's name of it in an error message.
    pub(crate) within: &'static str,
}

/// Applies all settings; says which levels set what.
pub(crate) fn apply(action: &mut RouteAction, call: &Call<'_>) -> Vec<Applied> {
    let mut applied = Vec::new();
    timeout::apply(action, call, &mut applied);
    retries::apply(action, call, &mut applied);
    applied.retain(|one| one.from != Level::BuiltIn);
    applied
}

/// A service as others call it: the levels that speak about its clusters.
pub(crate) struct Callee<'a> {
    pub(crate) levels: Levels<'a>,
    /// The port that it is checked on.
    pub(crate) first: Option<&'a Port>,
    /// The host that its proxies are asked for.
    pub(crate) host: String,
}

/// Applies all settings of a service's clusters; says which levels set what.
pub(crate) fn apply_to_cluster(cluster: &mut Cluster, callee: &Callee<'_>) -> Vec<Applied> {
    let mut applied = Vec::new();
    outlier_detection::apply(cluster, &callee.levels, &mut applied);
    circuit_breaking::apply(cluster, &callee.levels, &mut applied);
    health_check::apply(cluster, callee, &mut applied);
    applied.retain(|one| one.from != Level::BuiltIn);
    applied
}
