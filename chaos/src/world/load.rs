//! What goes on all the time: traffic, proxies, changes, writes and reads.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use heddle_bench::target::Target;
use heddle_tests::{Api, Application, EnvoyVersion, Random, Workload, WorkloadSpec};

use super::XDS;
use super::replica::Replica;
use super::tenants::{FLEET, Tenants, ledgers};
use crate::beat::Beat;
use crate::crowd::Crowd;
use crate::readers::Readers;
use crate::scale::Scale;
use crate::traffic::Traffic;
use crate::writers::Writers;

/// Of the other organisation there is one for so many.
const RIVALS: usize = 20;

/// All of it; ends when it is dropped.
pub(crate) struct Load {
    pub(crate) traffic: Traffic,
    pub(crate) writers: Writers,
    pub(crate) readers: Readers,
    pub(crate) beat: Beat,
    _rival_beat: Beat,
    pub(crate) crowd: Crowd,
    pub(crate) rivals: Crowd,
    /// Where simulated proxies go.
    pub(crate) target: Target,
    pub(crate) envoys: Vec<RealEnvoy>,
}

/// An Envoy that calls others of its kind.
pub(crate) struct RealEnvoy(pub(crate) Workload);

impl RealEnvoy {
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Which change it knows of.
    pub(crate) async fn stroke(&self) -> Option<u64> {
        let dump = "/config_dump?resource=dynamic_route_configs";
        Beat::read(&self.0.envoy.admin(dump).await)
    }
}

impl Load {
    /// Starts it.
    ///
    /// # Errors
    /// The address of a server cannot be used.
    pub(crate) async fn start(
        scale: Scale,
        proxies: usize,
        tenants: &Tenants,
        replicas: &[Replica],
        front: &str,
        directory: &Path,
        random: &mut Random,
    ) -> anyhow::Result<Self> {
        let (acme, rival) = (&tenants.acme, &tenants.rival);
        let mut envoys = Vec::new();
        for (number, version) in EnvoyVersion::installed(scale.envoys())
            .into_iter()
            .enumerate()
        {
            let name = format!("echo-{number}");
            let spec = WorkloadSpec {
                mesh: FLEET,
                ..WorkloadSpec::of_shop("echo", &name, version)
            };
            let application = Application::start("echo", "v1").await;
            let token = acme.echo_token.clone();
            let envoy = Workload::join_in(directory, &acme.api, &spec, application, token).await;
            envoys.push(RealEnvoy(envoy));
        }
        for envoy in &envoys {
            envoy.0.ready(&acme.api, FLEET).await;
        }
        let target = target(directory, replicas)?;
        let in_flight = 256;
        let crowd = |tenant: &super::tenants::Tenant, count| {
            let members = tenant.members(0, count);
            Crowd::start(
                target.clone(),
                members,
                in_flight,
                Arc::clone(&tenant.taint),
            )
        };
        let at_front = |of: &Api| Api::new(front, &of.org, &of.token).without_keep_alive();
        let ports: Vec<u16> = envoys.iter().map(|envoy| envoy.0.outbound_port).collect();
        Ok(Self {
            crowd: crowd(acme, proxies),
            rivals: crowd(rival, (proxies / RIVALS).max(5)),
            beat: Beat::start(at_front(&acme.api), FLEET, &acme.mark),
            _rival_beat: Beat::start(at_front(&rival.api), FLEET, &rival.mark),
            readers: Readers::start(vec![
                (at_front(&acme.api), Arc::clone(&acme.taint)),
                (at_front(&rival.api), Arc::clone(&rival.taint)),
            ]),
            writers: Writers::start(
                at_front(&acme.api),
                &ledgers(),
                scale.writes(),
                Arc::clone(&acme.taint),
                random,
            ),
            traffic: Traffic::start(&ports, scale.requests()),
            target,
            envoys,
        })
    }
}

fn target(directory: &Path, replicas: &[Replica]) -> anyhow::Result<Target> {
    let at =
        |which: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, replicas[which].server.xds_port()));
    let ca = directory.join("xds-ca.pem");
    Ok(Target::new(at(XDS[0]), Some(&ca), None)?
        .and(at(XDS[1]))?
        .asking())
}
