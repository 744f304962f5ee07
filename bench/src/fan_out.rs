//! C1: what a plain gRPC server takes that keeps one prepared message and sends it to everybody. It decides nothing, so what it
//! takes is what the transport takes; it runs in a process of its own, as the server under load does.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use prost::Message;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::fleet::{Behaviour, Fleet};
use crate::members::{member, service};
use crate::process::Usage;
use crate::report::{Report, median, percentile};
use crate::scenario::{DEADLINE, Size, settle};
use crate::target::Target;
use crate::wire::Kind;

/// Endpoints of each service.
const ENDPOINTS: usize = 10;

/// Flags of the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services that everybody is told of
    #[arg(long)]
    services: usize,
}

type Delta = DeltaDiscoveryResponse;

/// What everybody is told, and what changes.
struct Server {
    clusters: Delta,
    endpoints: Vec<Resource>,
    changes: broadcast::Sender<Delta>,
}

fn resource(name: String, version: &str, kind: Kind, message: &impl Message) -> Resource {
    Resource {
        name,
        version: version.to_owned(),
        resource: Some(Any {
            type_url: kind.type_url().to_owned(),
            value: message.encode_to_vec(),
        }),
        ..Resource::default()
    }
}

fn response(kind: Kind, resources: Vec<Resource>) -> Delta {
    Delta {
        type_url: kind.type_url().to_owned(),
        nonce: String::from("1"),
        resources,
        ..Delta::default()
    }
}

fn cluster(number: usize) -> Resource {
    let name = service(number);
    let cluster = Cluster {
        name: name.clone(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            service_name: name.clone(),
            ..EdsClusterConfig::default()
        }),
        ..Cluster::default()
    };
    resource(name, "1", Kind::Cluster, &cluster)
}

fn endpoints(number: usize, version: usize) -> Resource {
    let endpoint = |index: usize| {
        let socket = SocketAddress {
            address: format!("10.{}.{}.{index}", (version >> 8) & 127, version & 255),
            port_specifier: Some(PortSpecifier::PortValue(8080)),
            ..SocketAddress::default()
        };
        let endpoint = Endpoint {
            address: Some(Address {
                address: Some(AddressKind::SocketAddress(socket)),
            }),
            ..Endpoint::default()
        };
        LbEndpoint {
            host_identifier: Some(HostIdentifier::Endpoint(endpoint)),
            ..LbEndpoint::default()
        }
    };
    let name = service(number);
    let assignment = ClusterLoadAssignment {
        cluster_name: name.clone(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: (0..ENDPOINTS).map(endpoint).collect(),
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    };
    resource(name, &version.to_string(), Kind::Endpoints, &assignment)
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Answers<Delta>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let mut requests = request.into_inner();
        let mut changes = self.changes.subscribe();
        let (clusters, endpoints) = (self.clusters.clone(), self.endpoints.clone());
        let (sender, answers) = mpsc::channel(4);
        tokio::spawn(async move {
            loop {
                let answer = tokio::select! {
                    request = requests.message() => match request {
                        Ok(Some(request)) if !request.response_nonce.is_empty() => continue,
                        Ok(Some(request)) if request.type_url == Kind::Cluster.type_url() => clusters.clone(),
                        Ok(Some(request)) if request.type_url == Kind::Endpoints.type_url() => {
                            response(Kind::Endpoints, endpoints.clone())
                        }
                        Ok(Some(_)) => response(Kind::Listener, Vec::new()),
                        Ok(None) | Err(_) => return,
                    },
                    change = changes.recv() => match change {
                        Ok(change) => change,
                        Err(_) => return,
                    },
                };
                if sender.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

/// The server: says where it listens in a line of output, tells everybody of a change for each line of input, and ends with it.
///
/// # Errors
/// It cannot listen.
pub(crate) async fn serve(args: Args) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", listener.local_addr()?)?;
    output.flush()?;
    let (changes, _) = broadcast::channel(16);
    let server = AggregatedDiscoveryServiceServer::new(Server {
        clusters: response(Kind::Cluster, (0..args.services).map(cluster).collect()),
        endpoints: (0..args.services).map(|n| endpoints(n, 1)).collect(),
        changes: changes.clone(),
    });
    let changing = tokio::task::spawn_blocking(move || {
        let mut version = 1;
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            version += 1;
            // Nobody there: nobody to tell.
            let _ = changes.send(response(Kind::Endpoints, vec![endpoints(0, version)]));
        }
    });
    tokio::select! {
        ended = accept(listener, server) => ended,
        ended = changing => Ok(ended?),
    }
}

async fn accept(
    listener: TcpListener,
    server: AggregatedDiscoveryServiceServer<Server>,
) -> anyhow::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let service = TowerToHyperService::new(server.clone());
        let connection = http2::Builder::new(TokioExecutor::new());
        tokio::spawn(connection.serve_connection(TokioIo::new(socket), service));
    }
}

/// The scenario.
///
/// # Errors
/// Something does not work at all.
pub(crate) async fn run(size: &Size, report: &mut Report) -> anyhow::Result<()> {
    let mut server = Command::new(std::env::current_exe()?)
        .args(["fan-out", "--services", &size.services.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let pid = server.id().context("the server runs")?;
    let output = server.stdout.take().context("its output is a pipe")?;
    let mut input = server.stdin.take().context("its input is a pipe")?;
    let address = BufReader::new(output).lines().next_line().await?;
    let target = Target::new(address.context("an address")?.parse()?, None, None)?;
    let tokens: Vec<Arc<str>> = vec!["none".into(); size.services];
    let members = (0..size.proxies).map(|number| member(number, &tokens));
    let before = Usage::of(pid);
    let fleet = Fleet::start(
        target,
        members.collect(),
        size.in_flight,
        Behaviour::default(),
    );
    let proxies = size.proxies as f64;
    report.count("proxies", size.proxies);
    report.count("services", size.services);
    report.time("all_ready", fleet.all_ready(DEADLINE).await?);
    settle(std::slice::from_ref(&fleet)).await?;
    let connected = Usage::of(pid);
    report.number(
        "server_cpu_ms_per_proxy",
        connected.cpu_since(before).as_secs_f64() * 1e3 / proxies,
    );
    let grown = connected
        .resident_bytes
        .saturating_sub(before.resident_bytes);
    report.number("server_rss_kb_per_proxy", grown as f64 / 1e3 / proxies);
    let (mut p50, mut p99, mut max) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.changes {
        let probe = fleet.probe();
        probe.ask(Kind::Endpoints);
        input.write_all(b"\n").await?;
        let heard = async {
            while probe.count() < size.proxies {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let heard = tokio::time::timeout(DEADLINE, heard).await;
        heard.context("not everybody heard of a change")?;
        let receipts = probe.end();
        p50.push(percentile(&receipts, 50));
        p99.push(percentile(&receipts, 99));
        max.push(percentile(&receipts, 100));
    }
    let used = Usage::of(pid).cpu_since(connected).as_secs_f64();
    report.count("changes", size.changes);
    report.time("receipt_p50", median(p50));
    report.time("receipt_p99", median(p99));
    report.time("receipt_max", median(max));
    report.number("server_cpu_ms_per_change", used * 1e3 / size.changes as f64);
    report.number(
        "server_cpu_us_per_push",
        used * 1e6 / (size.changes as f64 * proxies),
    );
    drop(fleet);
    // It ends when its input does.
    drop(input);
    server.wait().await?;
    Ok(())
}
