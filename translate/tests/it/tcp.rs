//! Ports that carry anything, in each supported version of Envoy: what the application sends and what it hears.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::case::Case;
use crate::envoy::{Identity, binaries, static_bootstrap};
use crate::sidecar::{Envoy, eventually, free_ports};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(20);
const GREETING: &[u8] = b"220 ready\r\n";
/// More than all buffers on the way hold.
const MUCH: usize = 24 << 20;

/// What fits into the buffers of one proxy. What lies in them when a server hangs up on a reader who is further behind may be lost:
/// Envoy resets a stream whose answer ends before the question does.
const LITTLE: usize = 256 << 10;

/// A server that speaks first, then answers with all that it was sent, once it was sent all. It ends with the test process.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: fn(TcpStream)) -> Self {
        let listener = TcpListener::bind((LOCAL, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || answer(stream));
            }
        });
        Self { port, connections }
    }

    /// Greets, waits for the end of what it is told, and says it back.
    fn echo(mut stream: TcpStream) {
        let mut said = Vec::new();
        // A connection that ends in the middle is of no interest here.
        if stream.write_all(GREETING).is_ok() && stream.read_to_end(&mut said).is_ok() {
            let _ = stream.write_all(&said);
        }
    }

    /// Says a little, and hangs up.
    fn note(mut stream: TcpStream) {
        let _ = stream.write_all(&[7; LITTLE]);
    }

    /// Says much, and hangs up once it is told to.
    fn pour(mut stream: TcpStream) {
        if stream.write_all(&vec![7; MUCH]).is_ok() {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

/// One Envoy that calls as `ledger` and is called as `ledger`.
struct Mesh {
    local: u16,
    bootstrap: Value,
}

fn mesh(server: &Server, more: &str, access_rules: &str) -> Mesh {
    let ports = free_ports(3);
    let (local, outbound, inbound) = (ports[0], ports[1], ports[2]);
    let app = server.port;
    let case = Case::parse(&format!(
        "services:
  ledger:
    spec: {{ports: [{{name: pg, port: {app}, protocol: tcp, local_port: {local}}}] {more}}}
    access_rules: {access_rules}
endpoints:
  ledger: [{{address: 127.0.0.1, ports: {{pg: {inbound}}}}}]
proxy:
  {{service: ledger, bind_address: 127.0.0.1, app_address: 127.0.0.1, outbound_port: {outbound}, inbound_ports: {{pg: {inbound}}}}}"
    ));
    let identity = Identity::of_service("ledger");
    let bootstrap = static_bootstrap(&case.translate().resources, &identity);
    Mesh { local, bootstrap }
}

impl Mesh {
    fn run(&self, binary: &std::path::Path) -> Envoy {
        let listeners = self.bootstrap["static_resources"]["listeners"].as_array();
        let port = |listener: &Value| {
            let port = listener["address"]["socket_address"]["port_value"].as_u64();
            u16::try_from(port.unwrap()).unwrap()
        };
        let ports: Vec<u16> = listeners.unwrap().iter().map(port).collect();
        Envoy::up(binary, &self.bootstrap, &ports)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(SocketAddr::new(LOCAL, self.local)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

fn greeted(stream: &mut TcpStream) -> bool {
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).is_ok() && greeting == GREETING
}

/// All that still comes. A connection that is broken off has said what it said.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return all,
            Ok(read) => all.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error} after {} bytes", all.len()),
        }
    }
}

const ALLOW: &str = "{own: {action: allow, from: [{service: ledger}], to: [{ports: [pg]}]}}";

#[test]
fn bytes_arrive_as_they_were_sent_also_after_one_side_has_said_all() {
    let server = Server::start(Server::echo);
    let mesh = mesh(&server, "", ALLOW);
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        let mut stream = mesh.connect();
        assert!(greeted(&mut stream), "the server speaks first");
        let sent: Vec<u8> = (0..MUCH).map(|i| (i % 251) as u8).collect();
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(rest(&mut stream) == sent, "other bytes came back");
    }
}

#[test]
fn what_a_server_says_before_it_hangs_up_arrives_whole() {
    let server = Server::start(Server::note);
    let mesh = mesh(&server, "", ALLOW);
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        for _ in 0..20 {
            assert_eq!(rest(&mut mesh.connect()).len(), LITTLE);
        }
    }
}

#[test]
fn sec_z03_whoever_is_refused_hears_nothing_and_the_application_of_nobody() {
    for rules in [
        "{}",
        "{own: {action: allow, from: [{service: ledger}], to: [{methods: [CONNECT, GET], ports: [pg]}]}}",
        "{own: {action: allow, from: [{service: other}]}}",
        "{own: {action: allow, from: [{service: ledger, networks: [10.0.0.0/8]}]}}",
        "{own: {action: allow, from: [{service: ledger}]}, no: {action: deny, from: [{networks: [127.0.0.0/8]}]}}",
        "{own: {action: allow, from: [{service: ledger}]}, no: {action: deny, to: [{paths: [{exact: /x}]}]}}",
    ] {
        let server = Server::start(Server::echo);
        let mesh = mesh(&server, "", rules);
        for binary in binaries() {
            let _envoy = mesh.run(&binary);
            assert_eq!(rest(&mut mesh.connect()), b"", "{rules}");
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), 0, "{rules}");
    }
}

#[test]
fn one_connection_too_many_is_refused_at_once_and_the_others_go_on() {
    let server = Server::start(Server::echo);
    let limit = ", defaults: {circuit_breaking: {max_connections: 2}}";
    let mesh = mesh(&server, limit, ALLOW);
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        // Whoever looked whether it listens has to be gone.
        let held = eventually("two are connected", || {
            let mut held = [mesh.connect(), mesh.connect()];
            held.iter_mut().all(greeted).then_some(held)
        });
        assert_eq!(rest(&mut mesh.connect()), b"");
        for mut stream in held {
            stream.write_all(b"still here").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(rest(&mut stream), b"still here");
        }
        // Their places are free again.
        eventually("a third one is taken", || {
            greeted(&mut mesh.connect()).then_some(())
        });
    }
}

/// What carries requests ends at half the life of a certificate; an open connection of an application is not cut for that.
#[test]
fn spiffe_s59_a_connection_goes_on_when_what_carries_it_takes_no_more() {
    let server = Server::start(Server::echo);
    let mut mesh = mesh(&server, "", ALLOW);
    let text = mesh.bootstrap.to_string();
    let half = r#""max_connection_duration":"43200s""#;
    assert_eq!(text.matches(half).count(), 2, "both sides say so");
    let short = text.replace(half, r#""max_connection_duration":"1s""#);
    mesh.bootstrap = serde_json::from_str(&short).unwrap();
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        let mut stream = mesh.connect();
        assert!(greeted(&mut stream));
        // Until long after Envoy has told the other side (one second) and has waited for it to go (five).
        let start = Instant::now();
        let mut sent = Vec::new();
        while start.elapsed() < Duration::from_secs(9) {
            stream.write_all(b"x").unwrap();
            sent.push(b'x');
            std::thread::sleep(Duration::from_millis(50));
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream), sent);
    }
}

/// What nobody reads from holds up nobody else.
#[test]
fn many_that_nobody_reads_from_do_not_stop_another() {
    let server = Server::start(Server::pour);
    let mesh = mesh(&server, "", ALLOW);
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        let mut stuck: Vec<TcpStream> = (0..40).map(|_| mesh.connect()).collect();
        let first = |stream: &mut TcpStream| stream.read_exact(&mut [0]).is_ok();
        assert!(stuck.iter_mut().all(first));
        let mut read = mesh.connect();
        read.read_exact(&mut vec![0; MUCH]).unwrap();
        read.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut read), b"");
        drop(stuck);
    }
}
