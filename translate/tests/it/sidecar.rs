//! A mesh in one real Envoy: both sides of it, an application, and peers that say what they want. No control plane.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::Case;
use crate::envoy::{Identity, static_bootstrap};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that nothing listens at, another one each time. Not of the range from which the system gives a port to whoever connects: that may
/// be taken by the time that an Envoy starts.
fn free_port() -> u16 {
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    const FIRST: u16 = 61_000;
    let all = usize::from(u16::MAX - FIRST);
    loop {
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(nth < 10 * all, "some port is free");
        // Processes that run side by side begin at different places.
        let place = (usize::try_from(std::process::id()).unwrap() * 61 + nth) % all;
        let port = FIRST + u16::try_from(place).unwrap();
        if TcpListener::bind((LOCAL, port)).is_ok() {
            return port;
        }
    }
}

/// So many ports that nothing listens at, all different.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    (0..count).map(|_| free_port()).collect()
}

/// Calls `probe` until it gives something.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads the head of a message, and as much of its body as `content-length` says, unless it is the answer to HEAD.
pub(crate) fn read_message(stream: &mut TcpStream, head_alone: bool) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        // Counted in bytes: not all of them have to be text.
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse().ok())?
            });
            if head_alone || bytes.len() >= end + 4 + length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

/// An application that answers every request with the head that it saw. It ends with the test process.
pub(crate) fn application() -> u16 {
    let listener = TcpListener::bind((LOCAL, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                while let Some(head) = read_message(&mut stream, false) {
                    let length = head.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nserver: app\r\ncontent-length: {length}\r\n\r\n{head}"
                    );
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

pub(crate) struct Envoy {
    process: Child,
    stdout: PathBuf,
    _directory: tempfile::TempDir,
}

impl Envoy {
    fn start(binary: &Path, bootstrap: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("envoy.json");
        std::fs::write(&config, bootstrap.to_string()).unwrap();
        let stdout = directory.path().join("stdout");
        let process = Command::new(binary)
            .args([
                "--concurrency",
                "1",
                "--use-dynamic-base-id",
                "--log-level",
                "error",
            ])
            .args(["--file-flush-interval-msec", "20", "-c"])
            .arg(&config)
            .stdout(Stdio::from(std::fs::File::create(&stdout).unwrap()))
            .spawn()
            .unwrap();
        Self {
            process,
            stdout,
            _directory: directory,
        }
    }

    /// The same, once it listens at all of these.
    pub(crate) fn up(binary: &Path, bootstrap: &Value, ports: &[u16]) -> Self {
        let mut envoy = Self::start(binary, bootstrap);
        eventually("Envoy listens", || {
            if let Some(status) = envoy.process.try_wait().unwrap() {
                panic!("Envoy ended: {status}");
            }
            let up = |port: &u16| TcpStream::connect(SocketAddr::new(LOCAL, *port)).is_ok();
            ports.iter().all(up).then_some(())
        });
        envoy
    }

    /// The line of the access log for this request id.
    pub(crate) fn logged(&self, request_id: &str) -> Value {
        eventually(request_id, || {
            let text = std::fs::read_to_string(&self.stdout).ok()?;
            let line = text.lines().find(|line| line.contains(request_id))?;
            serde_json::from_str(line).ok()
        })
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// One request, byte for byte as given; `None` when the connection ends without an answer.
pub(crate) fn send(port: u16, request: impl AsRef<[u8]>) -> Option<Answer> {
    let mut stream = TcpStream::connect(SocketAddr::new(LOCAL, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_ref()).unwrap();
    let text = read_message(&mut stream, false)?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, text })
}

pub(crate) fn get(port: u16, host: &str, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    send(port, &request).unwrap_or_else(|| panic!("no answer to {request:?}"))
}

/// A listener that hands bytes on through TLS with the given identity: a peer that says what it wants.
pub(crate) fn peer(name: &str, port: u16, to: u16, identity: &Identity) -> (Value, Value) {
    let socket = |port: u16| json!({"socket_address": {"address": LOCAL, "port_value": port}});
    let listener = json!({
        "name": name,
        "address": socket(port),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": name, "cluster": name,
            },
        }]}],
    });
    let cluster = json!({
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints":
            [{"lb_endpoints": [{"endpoint": {"address": socket(to)}}]}]},
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["http/1.1"],
                    "tls_certificates": [{
                        "certificate_chain": {"inline_string": identity.chain_pem},
                        "private_key": {"inline_string": identity.key_pem},
                    }],
                },
            },
        },
    });
    (listener, cluster)
}

/// A mesh in one Envoy: it calls as `payments` and is called as `payments`.
pub(crate) struct Mesh {
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
    /// The ports of the peers.
    pub(crate) peers: Vec<u16>,
    pub(crate) bootstrap: Value,
}

pub(crate) fn mesh(access_rules: &str) -> Mesh {
    mesh_with("{}", access_rules)
}

/// The same with settings of `payments`.
pub(crate) fn mesh_with(defaults: &str, access_rules: &str) -> Mesh {
    let own = Identity::of_service("payments");
    let other = Identity::of_service("payments");
    mesh_of(defaults, access_rules, &own, &[&own, &other])
}

/// The same as this identity, with a peer for each of those.
pub(crate) fn mesh_of(
    defaults: &str,
    access_rules: &str,
    own: &Identity,
    peers: &[&Identity],
) -> Mesh {
    let (outbound, inbound) = (free_port(), free_port());
    let app = application();
    // `frontend` claims the address at which `payments` answers.
    let case = Case::parse(&format!(
        "services:
  frontend: {{spec: {{ports: [{{name: http, port: 8080, protocol: http}}]}}}}
  payments:
    spec: {{ports: [{{name: http, port: {app}, protocol: http}}], defaults: {defaults}}}
    routes:
      direct-hit: {{spec: {{priority: 1, match: [{{path: {{exact: /nowhere}}}}], backends: [{{service: gone}}]}}}}
    access_rules: {access_rules}
endpoints:
  frontend: [{{address: 127.0.0.1, ports: {{http: {inbound}}}}}]
  payments: [{{address: 127.0.0.1, ports: {{http: {inbound}}}}}]
proxy:
  {{service: payments, bind_address: 127.0.0.1, app_address: 127.0.0.1, outbound_port: {outbound},
   inbound_ports: {{http: {inbound}}}}}"
    ));
    let mut mesh = Mesh {
        outbound,
        inbound,
        peers: Vec::new(),
        bootstrap: static_bootstrap(&case.translate().resources, own),
    };
    for identity in peers {
        let port = free_port();
        let (listener, cluster) = peer(&format!("peer-{port}"), port, inbound, identity);
        let resources = &mut mesh.bootstrap["static_resources"];
        resources["listeners"]
            .as_array_mut()
            .unwrap()
            .push(listener);
        resources["clusters"].as_array_mut().unwrap().push(cluster);
        mesh.peers.push(port);
    }
    mesh
}

impl Mesh {
    /// A peer with a certificate of this mesh: the first.
    pub(crate) fn inside(&self) -> u16 {
        self.peers[0]
    }

    /// A peer with a certificate of another mesh that calls itself the same: the second.
    pub(crate) fn outside(&self) -> u16 {
        self.peers[1]
    }

    /// The mesh in this version of Envoy, once it answers.
    pub(crate) fn run(&self, binary: &Path) -> Envoy {
        let own = [self.outbound, self.inbound];
        let ports: Vec<u16> = own.iter().chain(&self.peers).copied().collect();
        Envoy::up(binary, &self.bootstrap, &ports)
    }
}
