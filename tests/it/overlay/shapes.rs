//! Files that Envoys run with before they know of Heddle, and what their listeners answer.

use std::path::{Path, PathBuf};

use heddle_tests::{Application, free_ports};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

/// A file of somebody's own.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// The file; JSON is YAML.
    pub(super) file: Value,
    /// What is asked of its listeners.
    pub(super) asks: Vec<Ask>,
    pub(super) admin_port: u16,
    /// It says what its node is, and that is to stay so.
    pub(super) keep_node: bool,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str =
    "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const DOWNSTREAM_TLS: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const STATSD: &str = "type.googleapis.com/envoy.config.metrics.v3.StatsdSink";
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn listener(name: &str, port: u16, chain: &Value) -> Value {
    json!({"name": name, "address": socket("127.0.0.1", port), "filter_chains": [chain]})
}

/// A connection manager with these fields beside the usual ones.
fn http(fields: &Value) -> Value {
    let mut manager = json!({
        "@type": MANAGER,
        "stat_prefix": "own",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    });
    for (name, value) in fields.as_object().unwrap() {
        manager[name] = value.clone();
    }
    json!({"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]})
}

fn routes(routes: &Value) -> Value {
    json!({"name": "own", "virtual_hosts": [{"name": "own", "domains": ["*"], "routes": routes}]})
}

fn to(path: &str, cluster: &str) -> Value {
    json!({
        "match": {"prefix": path},
        "route": {"cluster": cluster},
        "response_headers_to_add": [{"header": {"key": "x-by", "value": "my own file"}}],
    })
}

fn cluster(name: &str, kind: &str, address: &str, port: u16) -> Value {
    json!({
        "name": name, "type": kind, "connect_timeout": "1s", "dns_lookup_family": "V4_ONLY",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(address, port)}}]}]},
    })
}

fn ask(scheme: &str, port: u16, path: &str) -> Ask {
    Ask {
        url: format!("{scheme}://127.0.0.1:{port}{path}"),
        headers: Vec::new(),
    }
}

fn file(admin_port: u16, listeners: &[Value], clusters: &[Value]) -> Value {
    json!({
        "admin": {"address": socket("127.0.0.1", admin_port)},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    })
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// All of them; what they lead to is this application.
pub(super) fn all(directory: &Path, app: &Application, statsd: u16) -> Vec<Shape> {
    let address = app.address.to_string();
    vec![
        plain(&address, &[]),
        terminating(directory, &address),
        passing(&address),
        particular(&address, statsd),
        from_files(directory, &address),
        by_names(&address),
    ]
}

/// A listener, a cluster, nothing else. `more` goes before its only route.
pub(super) fn plain(address: &str, more: &[Value]) -> Shape {
    let [port, admin_port] = free_ports();
    let mut all = more.to_vec();
    all.push(to("/", "app"));
    let mut config = routes(&json!(all));
    if !more.is_empty() {
        // What Heddle brings is not there yet when static routes are read.
        config["validate_clusters"] = json!(false);
    }
    let chain = http(&json!({"route_config": config}));
    Shape {
        name: "plain",
        file: file(
            admin_port,
            &[listener("web", port, &chain)],
            &[cluster("app", "STATIC", address, Application::PORT)],
        ),
        asks: vec![ask("http", port, "/a"), ask("http", port, "/b?c=d")],
        admin_port,
        keep_node: false,
    }
}

/// A route to a cluster of Heddle.
pub(super) fn into_the_mesh() -> Value {
    to("/pay", "heddle/payments/http")
}

/// TLS ends here, with a certificate from files.
fn terminating(directory: &Path, address: &str) -> Shape {
    let [port, admin_port] = free_ports();
    let key = KeyPair::generate().unwrap();
    let names = vec![String::from("www.acme.example")];
    let certificate = CertificateParams::new(names).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let directory = directory.join(format!("tls-{port}"));
    std::fs::create_dir(&directory).unwrap();
    let chain = write(&directory, "chain.pem", &certificate.pem());
    let key = write(&directory, "key.pem", &key.serialize_pem());
    let mut filters = http(&json!({"route_config": routes(&json!([to("/", "app")]))}));
    filters["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": DOWNSTREAM_TLS,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}],
        },
    }});
    Shape {
        name: "tls",
        file: file(
            admin_port,
            &[listener("tls", port, &filters)],
            &[cluster("app", "STATIC", address, Application::PORT)],
        ),
        asks: vec![ask("https", port, "/")],
        admin_port,
        keep_node: false,
    }
}

/// Bytes are passed on.
fn passing(address: &str) -> Shape {
    let [port, admin_port] = free_ports();
    let proxy = json!({"@type": TCP_PROXY, "stat_prefix": "own", "cluster": "app"});
    let filter = json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy});
    Shape {
        name: "tcp",
        file: file(
            admin_port,
            &[listener("tcp", port, &json!({"filters": [filter]}))],
            &[cluster("app", "STATIC", address, Application::PORT)],
        ),
        asks: vec![ask("http", port, "/through")],
        admin_port,
        keep_node: false,
    }
}

/// Everything about the process is said: who it is, runtime, statistics, limits.
fn particular(address: &str, statsd: u16) -> Shape {
    let [port, admin_port] = free_ports();
    let chain = http(&json!({
        "route_config": routes(&json!([to("/", "app")])),
        "add_user_agent": true,
        "server_name": "acme",
    }));
    let mut file = file(
        admin_port,
        &[listener("web", port, &chain)],
        &[cluster("app", "STATIC", address, Application::PORT)],
    );
    file["node"] = json!({
        "id": "acme-17", "cluster": "acme-edge",
        "locality": {"region": "eu", "zone": "eu-1"}, "metadata": {"team": "web"},
    });
    file["layered_runtime"] = json!({"layers": [
        {"name": "own", "static_layer": {"acme": {"share": 17}}},
        {"name": "admin", "admin_layer": {}},
    ]});
    file["stats_sinks"] = json!([{"name": "envoy.stat_sinks.statsd", "typed_config": {
        "@type": STATSD, "address": socket("127.0.0.1", statsd), "prefix": "acme",
    }}]);
    file["stats_flush_interval"] = json!("0.5s");
    file["stats_config"] = json!({"stats_tags": [{"tag_name": "acme_team", "fixed_value": "web"}]});
    Shape {
        name: "particular",
        file,
        asks: vec![ask("http", port, "/")],
        admin_port,
        keep_node: true,
    }
}

/// Routes of one listener come from a file, and so do other listeners.
fn from_files(directory: &Path, address: &str) -> Shape {
    let [one, two, three, admin_port] = free_ports();
    let directory = directory.join(format!("files-{one}"));
    std::fs::create_dir(&directory).unwrap();
    let mut config = routes(&json!([to("/", "app")]));
    config["name"] = json!("from-a-file");
    config["@type"] = json!(ROUTES);
    let rds = json!({"resources": [config]}).to_string();
    let rds = write(&directory, "rds.json", &rds);
    let source =
        |path: &Path| json!({"resource_api_version": "V3", "path_config_source": {"path": path}});
    let by_rds =
        http(&json!({"rds": {"route_config_name": "from-a-file", "config_source": source(&rds)}}));
    let fixed = || http(&json!({"route_config": routes(&json!([to("/", "app")]))}));
    let mut dynamic = listener("dynamic", three, &fixed());
    dynamic["@type"] = json!(LISTENER);
    let lds = json!({"resources": [dynamic]}).to_string();
    let lds = write(&directory, "lds.json", &lds);
    let mut file = file(
        admin_port,
        &[
            listener("by-rds", one, &by_rds),
            listener("fixed", two, &fixed()),
        ],
        &[cluster("app", "STATIC", address, Application::PORT)],
    );
    file["node"] = json!({"id": "old-name", "cluster": "old-cluster"});
    file["dynamic_resources"] = json!({"lds_config": source(&lds)});
    Shape {
        name: "files",
        file,
        asks: [one, two, three].map(|port| ask("http", port, "/")).into(),
        admin_port,
        keep_node: false,
    }
}

/// Where calls go is found by DNS, and by what the caller says.
fn by_names(address: &str) -> Shape {
    let [port, behind, admin_port] = free_ports();
    let chain = http(&json!({"route_config": routes(&json!([
        to("/strict", "strict"),
        to("/logical", "logical"),
        to("/direct", "direct"),
    ]))}));
    let local = http(&json!({"route_config": routes(&json!([
        {"match": {"prefix": "/"}, "direct_response": {"status": 203, "body": {"inline_string": "behind"}}},
    ]))}));
    let direct = json!({
        "name": "direct", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s",
        "original_dst_lb_config": {"use_http_header": true},
    });
    let original = format!("{address}:{}", Application::PORT);
    Shape {
        name: "names",
        file: file(
            admin_port,
            &[
                listener("names", port, &chain),
                listener("behind", behind, &local),
            ],
            &[
                cluster("strict", "STRICT_DNS", "localhost", behind),
                cluster("logical", "LOGICAL_DNS", "localhost", behind),
                direct,
            ],
        ),
        asks: vec![
            ask("http", port, "/strict"),
            ask("http", port, "/logical"),
            Ask {
                headers: vec![("x-envoy-original-dst-host", original)],
                ..ask("http", port, "/direct")
            },
        ],
        admin_port,
        keep_node: false,
    }
}
