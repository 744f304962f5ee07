//! `xds-load`: a fleet on any xDS server, described by flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind as Json;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value as JsonValue};
use prost::Message as _;
use serde_json::Value;

use crate::fleet::{Behaviour, Fleet, Member};
use crate::process::Usage;
use crate::report::Report;
use crate::target::Target;
use crate::wire::Protocol;

/// Flags of `xds-load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server; loopback only
    #[arg(long, value_name = "ADDRESS")]
    server: SocketAddr,
    /// PEM file of the CA that signed the server's certificate; plain text when absent
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// PEM files of a client certificate and its key, for mutual TLS
    #[arg(long, value_name = "FILE", num_args = 2, requires = "tls_ca")]
    client_certificate: Option<Vec<PathBuf>>,
    /// File with the bearer token that every stream presents
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// `node.id`; `{n}` becomes the number of the proxy
    #[arg(long, default_value = "load-{n}")]
    node_id: String,
    /// `node.cluster`; `{n}` as above
    #[arg(long, default_value = "")]
    node_cluster: String,
    /// `node.metadata` as a JSON object; `{n}` as above
    #[arg(long, default_value = "{}")]
    node_metadata: String,
    /// Delta or state of the world
    #[arg(long, value_enum, default_value_t = Protocol::Delta)]
    protocol: Protocol,
    /// Proxies
    #[arg(long, default_value_t = 100)]
    proxies: usize,
    /// Proxies that are on their way to ready at a time
    #[arg(long, default_value_t = 200)]
    in_flight: usize,
    /// Streams that share a connection
    #[arg(long, default_value_t = 1)]
    streams_per_connection: usize,
    /// Of 100 responses, so many are refused
    #[arg(long, default_value_t = 0)]
    nack_percent: u64,
    /// Of 100 proxies, so many stop reading for 30 seconds once they are ready
    #[arg(long, default_value_t = 0)]
    slow_percent: usize,
    /// Seconds to stay after all are ready; at most an hour
    #[arg(long, default_value_t = 10)]
    stay: u64,
    /// Process of the server, for its CPU time and memory
    #[arg(long)]
    server_pid: Option<u32>,
    /// Where the figures go as JSON
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// Runs the load and prints what came.
///
/// # Errors
/// The server cannot be reached, or not every proxy becomes ready within five minutes.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    if args.stay > 3_600 || args.proxies > 200_000 {
        bail!("at most an hour, and at most 200,000 proxies");
    }
    let token: Option<Arc<str>> = match &args.token_file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("read {}", file.display()))?;
            Some(text.trim().into())
        }
        None => None,
    };
    let members: Result<Vec<_>, _> = (0..args.proxies)
        .map(|number| member(&args, number, token.clone()))
        .collect();
    let client = args
        .client_certificate
        .as_deref()
        .and_then(|files| match files {
            [chain, key] => Some((chain.as_path(), key.as_path())),
            _ => None,
        });
    let target = Target::new(args.server, args.tls_ca.as_deref(), client)?;
    let behaviour = Behaviour {
        protocol: args.protocol,
        nack_percent: args.nack_percent,
        slow_percent: args.slow_percent,
        streams_per_connection: args.streams_per_connection,
    };
    let before = args.server_pid.map(Usage::of);
    let fleet = Fleet::start(target, members?, args.in_flight, behaviour);
    fleet.stop_reading();
    let all_ready = fleet.all_ready(Duration::from_secs(300)).await?;
    let mut report = Report::new("xds-load");
    report.count("proxies", args.proxies);
    report.time("all_ready", all_ready);
    report.times("ready", &fleet.times_to_ready());
    let stay = Duration::from_secs(args.stay);
    let slow = stay.min(Duration::from_secs(30));
    tokio::time::sleep(slow).await;
    fleet.read_again();
    tokio::time::sleep(stay - slow).await;
    let counters = fleet.counters();
    for (key, value) in [
        ("responses", &counters.responses),
        ("resources", &counters.resources),
        ("received_bytes", &counters.bytes),
        ("nacks", &counters.nacks),
        ("connects", &counters.connects),
        ("broken_connections", &counters.failures),
    ] {
        report.count(key, value.load(Ordering::Relaxed));
    }
    if let (Some(pid), Some(before)) = (args.server_pid, before) {
        let after = Usage::of(pid);
        report.time("server_cpu", after.cpu_since(before));
        report.number("server_rss_mb", after.resident_bytes as f64 / 1e6);
    }
    report.print();
    report.write(&args.out)
}

fn member(args: &Args, number: usize, token: Option<Arc<str>>) -> anyhow::Result<Member> {
    let numbered = |text: &str| text.replace("{n}", &number.to_string());
    let metadata: Value =
        serde_json::from_str(&numbered(&args.node_metadata)).context("read --node-metadata")?;
    let Some(Json::StructValue(metadata)) = proto(metadata).kind else {
        bail!("--node-metadata is not a JSON object");
    };
    let node = Node {
        id: numbered(&args.node_id),
        cluster: numbered(&args.node_cluster),
        metadata: Some(metadata),
        ..Node::default()
    };
    Ok(Member {
        node: node.encode_to_vec().into(),
        token,
    })
}

fn proto(value: Value) -> JsonValue {
    let kind = match value {
        Value::Null => Json::NullValue(0),
        Value::Bool(value) => Json::BoolValue(value),
        Value::Number(value) => Json::NumberValue(value.as_f64().unwrap_or_default()),
        Value::String(value) => Json::StringValue(value),
        Value::Array(values) => Json::ListValue(ListValue {
            values: values.into_iter().map(proto).collect(),
        }),
        Value::Object(fields) => Json::StructValue(Struct {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name, proto(value)))
                .collect(),
        }),
    };
    JsonValue { kind: Some(kind) }
}
