//! What people type about Envoys: those of a mesh, and the one on this host.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Shown;
use crate::output::Format;

/// Where an Envoy is and what it listens on.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "The Envoy")]
pub(crate) struct Instance {
    /// The version of the service that runs there
    #[arg(long, value_name = "NAME")]
    pub(crate) version: Option<String>,
    /// Where the Envoy listens [default: 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bind_address: Option<String>,
    /// Where other proxies reach it [default: where it listens]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) advertise_address: Option<String>,
    /// Where the application listens, as seen from the Envoy [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) app_address: Option<String>,
    /// The first inbound port [default: 15006]
    #[arg(long, value_name = "PORT")]
    pub(crate) inbound_port: Option<u16>,
    /// Where the application sends its calls [default: 15001]
    #[arg(long, value_name = "PORT")]
    pub(crate) outbound_port: Option<u16>,
    /// The port of Envoy's admin interface [default: 15000]
    #[arg(long, value_name = "PORT")]
    pub(crate) admin_port: Option<u16>,
}

/// For an Envoy that keeps a file of its own.
#[derive(Args, Debug)]
#[command(next_help_heading = "An Envoy that you have")]
pub(crate) struct Overlay {
    /// Print an overlay: the Envoy keeps its file and its listeners, and gets the mesh's clusters in addition
    #[arg(long, conflicts_with_all = ["bind_address", "advertise_address", "app_address", "inbound_port", "outbound_port", "admin_port", "version"])]
    pub(crate) overlay: bool,
    /// The file that it starts with: refused when it says something that an overlay would take the place of
    #[arg(long, value_name = "FILE", requires = "overlay")]
    pub(crate) beside: Option<PathBuf>,
    /// Leave `node.id` and `node.cluster` as its file says
    #[arg(long, requires = "overlay")]
    pub(crate) keep_node: bool,
}

/// `heddle bootstrap`
#[derive(Args, Debug)]
pub(crate) struct Bootstrap {
    /// The service
    pub(crate) service: String,
    /// A name for this Envoy, unique within its service
    pub(crate) proxy: String,
    #[command(flatten)]
    pub(crate) instance: Instance,
    #[command(flatten)]
    pub(crate) overlay: Overlay,
    /// Where the join token lies on the Envoy's host [default: /etc/heddle/token]
    #[arg(long, value_name = "FILE")]
    pub(crate) join_token_file: Option<PathBuf>,
    /// Make a join token for one proxy, and write it to this file here, for its owner only
    #[arg(long, value_name = "FILE")]
    pub(crate) new_token: Option<PathBuf>,
    /// Print the join token that is in this file in the bootstrap itself: whoever reads it can join
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new_token", "join_token_file"])]
    pub(crate) inline_token: Option<PathBuf>,
    /// How it is printed: yaml or json; Envoy reads both
    #[arg(long, short, value_enum, default_value = "yaml", value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// `heddle proxies`
#[derive(Subcommand)]
pub(crate) enum ProxiesCommand {
    /// List the proxies of a mesh
    #[command(
        after_help = "Examples:\n  heddle proxies list\n  heddle proxies list --service payments -o wide\n  \
        heddle proxies list --state nacked -o name"
    )]
    List(ProxiesList),
    /// Say which proxies have what they should have: 6 when one has not
    #[command(
        after_help = "SYNCED: it has everything. STALE: something is not acknowledged yet. NACK: it refuses something, see `heddle proxies nacks`.\n\
        NEW: it has just come. OFFLINE: it is not connected.\n\n\
        Examples:\n  heddle proxies status || test $? = 6\n  heddle proxies status --service payments --allow-offline -o json || test $? = 6"
    )]
    Status(ProxiesStatus),
    /// Show what a proxy is told: every Envoy resource, how far the proxy is with it, and where it came from
    #[command(
        after_help = "Types: clusters, endpoints, listeners, routes, secrets. Of a secret only what is public is shown. `-o json` has the resources\n\
        themselves; so has a table with --name.\n\n\
        Examples:\n  heddle proxies config payments-1\n  heddle proxies config payments-1 listeners\n  \
        heddle proxies config payments-1 routes --name heddle/outbound -o yaml"
    )]
    Config(ProxiesConfig),
    /// Explain what proxies refuse: the object, the field, and what Envoy says: 6 when there is anything
    #[command(
        after_help = "Examples:\n  heddle proxies nacks\n  heddle proxies nacks payments-1 -o json"
    )]
    Nacks(ProxiesNacks),
}

/// Which proxies.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Only those of this service
    #[arg(long, short, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Args)]
pub(crate) struct ProxiesList {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only those in this state
    #[arg(long, value_enum, value_name = "STATE")]
    pub(crate) state: Option<State>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What a proxy is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// It has everything
    Ready,
    /// Something is not acknowledged yet
    Stale,
    /// It refuses something
    Nacked,
    /// It has just come
    Connecting,
    /// It is not connected
    Offline,
}

#[derive(Args)]
pub(crate) struct ProxiesStatus {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Proxies that are not connected are no problem
    #[arg(long)]
    pub(crate) allow_offline: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// The types of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// CDS
    #[value(alias = "cluster")]
    Clusters,
    /// EDS
    #[value(alias = "endpoint")]
    Endpoints,
    /// LDS
    #[value(alias = "listener")]
    Listeners,
    /// RDS
    #[value(alias = "route")]
    Routes,
    /// SDS
    #[value(alias = "secret")]
    Secrets,
}

#[derive(Args)]
pub(crate) struct ProxiesConfig {
    /// The proxy: its name, or its id
    pub(crate) proxy: String,
    /// Only resources of this type
    #[arg(value_enum)]
    pub(crate) kind: Option<Kind>,
    /// Only the resource of this name, whole
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct ProxiesNacks {
    /// Only this proxy: its name, or its id
    pub(crate) proxy: Option<String>,
    /// Only those of this service
    #[arg(long, short, value_name = "NAME", conflicts_with = "proxy")]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// `heddle connect`
#[derive(Args, Debug)]
pub(crate) struct Connect {
    /// The service
    pub(crate) service: String,
    /// A name for this Envoy, unique within its service [default: the service and the name of this host]
    pub(crate) proxy: Option<String>,
    #[command(flatten)]
    pub(crate) instance: Instance,
    /// The folder that the bootstrap and the join token are written to; it is made when it is not there
    #[arg(long, value_name = "FOLDER", default_value = "heddle-envoy")]
    pub(crate) dir: PathBuf,
    /// A file with a join token that exists already [default: one is made, for this proxy alone]
    #[arg(long, value_name = "FILE")]
    pub(crate) join_token: Option<PathBuf>,
    /// The Envoy to start [default: envoy, as the shell finds it]
    #[arg(long, value_name = "FILE")]
    pub(crate) envoy: Option<PathBuf>,
    /// The admin interface of an Envoy that runs here already: its version is looked at
    #[arg(long, value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// Start the Envoy, and stay with it until it ends
    #[arg(long)]
    pub(crate) run: bool,
    /// Do not wait for it to appear
    #[arg(long, conflicts_with = "run")]
    pub(crate) no_wait: bool,
    /// How long to wait for it to be ready, in seconds: 7 when it is not
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What `heddle connect --help` ends with.
pub(crate) const CONNECT_EXAMPLES: &str = "It writes envoy.yaml and, for its owner only, the join token; prints the line that starts the Envoy;\n\
    and waits until it is ready. With --run it starts the Envoy itself.\n\n\
    Examples:\n  heddle connect payments payments-9 --advertise-address 10.0.3.17 --no-wait\n  \
    heddle connect payments payments-9 --advertise-address 10.0.3.17 --timeout 1 || test $? = 7";

/// `heddle doctor`
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// The bootstrap that the Envoy starts with
    #[arg(default_value = "/etc/heddle/envoy.yaml")]
    pub(crate) bootstrap: PathBuf,
    /// The admin interface of the Envoy [default: what the bootstrap says]
    #[arg(long, value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// The Envoy [default: envoy, as the shell finds it]
    #[arg(long, value_name = "FILE")]
    pub(crate) envoy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What `heddle doctor --help` ends with.
pub(crate) const DOCTOR_EXAMPLES: &str = "To be run on the host of an Envoy. It needs no credential of yours and changes nothing. 1 when something is wrong.\n\n\
    Examples:\n  heddle doctor || test $? = 1\n  heddle doctor heddle-envoy/envoy.yaml -o json || test $? = 1";
