//! Random requests against random rules: what a real Envoy does is what the evaluator says. Many services in one Envoy, each
//! with rules of its own; callers with certificates and addresses of their own.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use heddle_model::access::{self, Because, Call};
use heddle_model::name::Name;
use serde_json::{Value, json};

use crate::case::{Case, TRUST_DOMAIN};
use crate::envoy::{Identity, binaries, static_bootstrap};
use crate::sidecar::{Envoy, application, free_ports, peer, read_message, send};

/// Services in one Envoy.
const SERVICES: usize = 40;
/// So many of them have a `tcp` port that is called, too.
const RAW: usize = 12;
/// Who calls: the path of the SPIFFE id, and the last byte of the address on the loopback network.
const CALLERS: [(&str, u8); 4] = [
    ("service/alpha", 1),
    ("service/alphabet", 2),
    ("pay/api", 3),
    ("payroll", 4),
];
/// Who calls in plain text, where that is taken: nobody, from this address.
const NOBODY: u8 = 5;

/// A small generator, so that a seed says everything.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..1 + self.below(most)).map(|_| make(self)).collect()
    }
}

const PATHS: [&str; 12] = [
    "/", "/admin", "/admin/", "/a", "/a/b", "/a/b/c", "/a.b", "/a(b)", "/a%20b", "/A", "/x_y-z~",
    "/a;b",
];
const TEMPLATES: [&str; 7] = [
    "/{*}",
    "/a/{*}",
    "/a/{*}/c",
    "/{**}",
    "/a/{**}",
    "/{*}/b/{**}",
    "/admin/{*}/",
];
const VALUES: [&str; 5] = ["root", "user", "ro", "r.t", ""];
const HOSTS: [&str; 3] = ["shop.local", "secret.local", "svc"];
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "DELETE"];

fn path_rule(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!({"exact": random.one(&PATHS)}),
        1 => json!({"prefix": random.one(&PATHS)}),
        _ => json!({"template": random.one(&TEMPLATES)}),
    }
}

fn header_rule(random: &mut Random) -> Value {
    let name = random.one(&["x-role", "x-team"]);
    match random.below(4) {
        0 => json!({"name": name, "present": random.chance(50)}),
        1 => json!({"name": name, "prefix": random.one(&["r", "us", "ro"])}),
        _ => json!({"name": name, "exact": random.one(&VALUES)}),
    }
}

fn caller(random: &mut Random) -> Value {
    let mut caller = match random.below(6) {
        0 | 1 => json!({"service": random.one(&["alpha", "alphabet"])}),
        2 => json!({"spiffe": format!("spiffe://{TRUST_DOMAIN}/pay/api")}),
        3 => {
            let below = random.one(&["", "/pay", "/service", "/payroll", "/service/alpha"]);
            json!({"spiffe_prefix": format!("spiffe://{TRUST_DOMAIN}{below}")})
        }
        4 => json!({"spiffe_prefix": "spiffe://other.example"}),
        _ => json!({}),
    };
    if caller == json!({}) || random.chance(25) {
        let networks = [
            "127.0.0.1/32",
            "127.0.0.2/31",
            "127.0.0.0/8",
            "10.0.0.0/8",
            "::/0",
        ];
        caller["networks"] = random
            .some(2, |random| random.one(&networks).to_owned())
            .into();
    }
    caller
}

fn target(random: &mut Random) -> Value {
    let mut target = json!({});
    while target == json!({}) {
        if random.chance(30) {
            target["methods"] = json!([random.one(&METHODS)]);
        }
        if random.chance(60) {
            target["paths"] = random.some(2, path_rule).into();
        }
        if random.chance(30) {
            target["headers"] = random.some(2, header_rule).into();
        }
        if random.chance(20) {
            target["hosts"] = json!([random.one(&HOSTS)]);
        }
        if random.chance(20) {
            target["ports"] = json!([random.one(&["http", "raw", "raw", "other"])]);
        }
    }
    target
}

fn rule(random: &mut Random) -> Value {
    let mut rule = json!({"action": if random.chance(55) { "allow" } else { "deny" }});
    if random.chance(75) {
        rule["from"] = random.some(2, caller).into();
    }
    if random.chance(85) {
        rule["to"] = random.some(2, target).into();
    }
    if random.chance(15) {
        rule["report_only"] = json!(true);
    }
    rule
}

/// A mesh with one service that has a few rules.
fn case(random: &mut Random, [app, raw_app]: [u16; 2], inbound: &[u16]) -> Case {
    let rules: serde_json::Map<String, Value> = (0..1 + random.below(4))
        .map(|i| (format!("r{i}"), rule(random)))
        .collect();
    let default = random.one(&["deny", "deny", "allow"]);
    let revoked: Vec<&str> = match random.chance(20) {
        true => vec![random.one(&["alpha", "alphabet"])],
        false => Vec::new(),
    };
    let inbound_ports: serde_json::Map<String, Value> = ["http", "raw"]
        .into_iter()
        .zip(inbound)
        .map(|(name, port)| (name.to_owned(), json!(port)))
        .collect();
    let description = json!({
        "mesh": {"access_default": default},
        "services": {"svc": {
            "spec": {"mtls": random.one(&["strict", "permissive"]), "ports": [
                {"name": "http", "port": app, "protocol": "http"},
                {"name": "raw", "port": raw_app, "protocol": "tcp"},
            ]},
            "access_rules": rules,
        }},
        "revoked": revoked,
        "proxy": {"service": "svc", "bind_address": "127.0.0.1", "app_address": "127.0.0.1",
            "outbound_port": 1, "inbound_ports": inbound_ports},
    });
    Case::parse(&description.to_string())
}

/// A request, and what of it the evaluator is told.
#[derive(Debug)]
struct Request {
    method: &'static str,
    path: String,
    host: String,
    headers: Vec<(String, String)>,
}

fn path(random: &mut Random) -> String {
    const PARTS: [&str; 21] = [
        "a",
        "b",
        "c",
        "admin",
        "A",
        "Admin",
        "aDmin;x=1",
        "admin.",
        "a.b",
        "a(b)",
        "a%28b%29",
        "a%20b",
        "a%3bb",
        "%61",
        "..",
        ".",
        "x_y-z~",
        "..;",
        "%2e%2e",
        "b%2E",
        "admin%3b",
    ];
    match random.below(20) {
        0 => return "/a%2fb".to_owned(),
        1 => return "/a\\b".to_owned(),
        2 => return "//admin".to_owned(),
        3 => return "/admin#f".to_owned(),
        4..8 => return random.one(&PATHS).to_owned(),
        _ => {}
    }
    let mut path = String::new();
    for part in random.some(3, |random| random.one(&PARTS)) {
        path.push('/');
        path.push_str(part);
    }
    path.push_str(random.one(&["", "", "", "/", "?x=/admin", "?"]));
    path
}

fn request(random: &mut Random) -> Request {
    let hosts = [
        "svc",
        "shop.local",
        "Secret.Local",
        "secret.local:80",
        "secret.local.",
        "secret.local.evil",
        "SVC:1",
    ];
    let mut headers = Vec::new();
    if random.chance(50) {
        let values = [
            "root",
            "user",
            "ROOT",
            "user,root",
            "ro , root",
            "root,root",
            "r\u{f6}\u{f6}t",
            "root , user",
            "user",
            "",
            "rot",
            "r.t",
            "roots",
        ];
        headers = random.some(3, |random| {
            let name = random.one(&["x-role", "x-role", "x-team", "x-other"]);
            (name.to_owned(), random.one(&values).to_owned())
        });
    }
    if random.chance(2) {
        headers.push(("x_role".to_owned(), "root".to_owned()));
    }
    Request {
        method: random.one(&METHODS),
        path: path(random),
        host: random.one(&hosts).to_owned(),
        headers,
    }
}

impl Request {
    fn bytes(&self) -> String {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let Self {
            method, path, host, ..
        } = self;
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}content-length: 0\r\n\r\n")
    }
}

/// What a caller's proxy asks for a connection to a `tcp` port, in HTTP/1.1.
const CONNECT: &str = "CONNECT svc.shop.mesh:1 HTTP/1.1\r\nhost: svc.shop.mesh:1\r\n\r\n";

/// The same as the evaluator is told, with claims that nobody can make of a connection.
fn connection<'a>(caller: &'a str, address: IpAddr) -> Call<'a> {
    static RAW: LazyLock<Name> = LazyLock::new(|| "raw".parse().unwrap());
    Call {
        caller,
        address,
        port: &RAW,
        method: "GET",
        host: "shop.local",
        path: "/",
        headers: &[],
        token: None,
    }
}

/// A connection that is opened again when the other side ended it.
struct Line {
    port: u16,
    stream: Option<TcpStream>,
}

impl Line {
    fn ask(&mut self, request: &Request) -> u16 {
        for _ in 0..3 {
            let stream = self.stream.get_or_insert_with(|| {
                let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port);
                let stream = TcpStream::connect(address).unwrap();
                let patience = Some(Duration::from_secs(20));
                stream.set_read_timeout(patience).unwrap();
                stream.set_nodelay(true).unwrap();
                stream
            });
            let sent = stream.write_all(request.bytes().as_bytes());
            let head = request.method == "HEAD";
            let answer = sent.ok().and_then(|()| read_message(stream, head));
            let status = answer
                .as_deref()
                .and_then(|text| text.split(' ').nth(1)?.parse().ok());
            if status != Some(200) {
                // Envoy ends connections that sent something malformed.
                self.stream = None;
            }
            if let Some(status) = status {
                return status;
            }
        }
        panic!("no answer to {request:?}");
    }
}

/// Rule sets, and the ports at which each caller finds both ports of each.
struct Town {
    cases: Vec<Case>,
    peers: Vec<Vec<Vec<u16>>>,
    bootstrap: Value,
}

fn town(random: &mut Random, apps: [u16; 2]) -> Town {
    let mut ports = free_ports((SERVICES + RAW) * (2 + CALLERS.len())).into_iter();
    let mut port = || ports.next().unwrap();
    let ids = CALLERS.map(|(id, _)| format!("spiffe://{TRUST_DOMAIN}/{id}"));
    let server = format!("spiffe://{TRUST_DOMAIN}/service/svc");
    let all: Vec<&str> = std::iter::once(&server)
        .chain(&ids)
        .map(String::as_str)
        .collect();
    let family = Identity::family(&all);
    let (own, callers) = family.split_first().unwrap();
    let mut town = Town {
        cases: Vec::new(),
        peers: Vec::new(),
        bootstrap: Value::Null,
    };
    let (mut listeners, mut clusters) = (Vec::new(), Vec::new());
    for i in 0..SERVICES {
        let inbound: Vec<u16> = (0..1 + usize::from(i < RAW)).map(|_| port()).collect();
        let case = case(random, apps, &inbound);
        let mut one = static_bootstrap(&case.translate().resources, own);
        let statics = &mut one["static_resources"];
        for listener in statics["listeners"].as_array_mut().unwrap() {
            let name = listener["name"].as_str().unwrap();
            if let Some(port) = name.strip_prefix("heddle/inbound/") {
                listener["name"] = json!(format!("inbound-{i}-{port}"));
                listeners.push(listener.take());
            }
        }
        if i == 0 {
            clusters.append(statics["clusters"].as_array_mut().unwrap());
            town.bootstrap = one;
        }
        let mut peers = Vec::new();
        let mut all: Vec<_> = callers
            .iter()
            .map(Some)
            .zip(CALLERS.map(|(_, byte)| byte))
            .collect();
        let node = &case.snapshot.services["svc"];
        let open = case.snapshot.mtls(node, &node.service.spec.ports[0]).mode;
        all.extend(open.takes_plain_text().then_some((None, NOBODY)));
        for (identity, byte) in all {
            // Nobody comes to the other port in plain text.
            let inbound = &inbound[..if identity.is_some() { inbound.len() } else { 1 }];
            let each = inbound.iter().map(|inbound| {
                let at = port();
                let name = format!("peer-{at}");
                let (listener, mut cluster) = peer(&name, at, *inbound, identity.unwrap_or(own));
                if identity.is_none() {
                    cluster.as_object_mut().unwrap().remove("transport_socket");
                }
                cluster["upstream_bind_config"] = json!({"source_address": {"address": format!("127.0.0.{byte}"), "port_value": 0}});
                listeners.push(listener);
                clusters.push(cluster);
                at
            });
            peers.push(each.collect());
        }
        town.peers.push(peers);
        town.cases.push(case);
    }
    town.bootstrap["static_resources"]["listeners"] = listeners.into();
    town.bootstrap["static_resources"]["clusters"] = clusters.into();
    town
}

/// Asks so many random questions of one Envoy. Returns how many were allowed, denied and malformed.
fn questions(binary: &Path, town: &Town, random: &mut Random, count: usize) -> [usize; 3] {
    let first: Vec<u16> = town.peers.iter().flatten().flatten().copied().collect();
    let _envoy = Envoy::up(binary, &town.bootstrap, &first);
    let mut tally = [0; 3];
    let mut disagreements = Vec::new();
    let mut connections = [0; 2];
    let port: Name = "http".parse().unwrap();
    let each = count.div_ceil(SERVICES * CALLERS.len()) + 1;
    for (case, peers) in town.cases.iter().zip(&town.peers) {
        let node = &case.snapshot.services["svc"];
        for ((id, byte), at) in CALLERS.iter().chain(&[("", NOBODY)]).zip(peers) {
            let caller = match *id {
                "" => String::new(),
                id => format!("spiffe://{TRUST_DOMAIN}/{id}"),
            };
            let mut line = Line {
                port: at[0],
                stream: None,
            };
            let address = IpAddr::from([127, 0, 0, *byte]);
            if let Some(raw) = at.get(1) {
                let connection = connection(&caller, address);
                let expected = match access::decide(&case.snapshot, node, &connection).allowed {
                    true => 200,
                    false => 403,
                };
                let status = send(*raw, CONNECT).map(|answer| answer.status);
                connections[usize::from(expected == 200)] += 1;
                if status != Some(expected) {
                    let rules: Vec<_> = node.access_rules.iter().map(|r| &r.spec).collect();
                    let rules = serde_json::to_string(&rules).unwrap();
                    disagreements.push(format!(
                        "{id} connects: {status:?} instead of {expected}, rules {rules}"
                    ));
                }
            }
            for _ in 0..each {
                let request = request(random);
                let call = Call {
                    caller: &caller,
                    address,
                    port: &port,
                    method: request.method,
                    host: &request.host,
                    path: &request.path,
                    headers: &request.headers,
                    token: None,
                };
                let decision = access::decide(&case.snapshot, node, &call);
                let expected = match (decision.allowed, decision.because) {
                    (true, _) => 200,
                    (false, Because::Malformed) => 400,
                    (false, _) => 403,
                };
                let status = line.ask(&request);
                if decision.because == Because::Disguised || request.path.contains("..;") {
                    // Some versions refuse it, others resolve it first: `shapes` holds both to what matters.
                    continue;
                }
                if status != expected {
                    let rules: Vec<_> = node.access_rules.iter().map(|r| &r.spec).collect();
                    let rules = serde_json::to_string(&rules).unwrap();
                    let version = binary.display();
                    disagreements.push(format!(
                        "{id} asks {request:?}: {status} instead of {expected} by {version}, rules {rules}"
                    ));
                }
                let kind = [200, 403, 400].iter().position(|s| *s == status).unwrap();
                tally[kind] += 1;
            }
        }
    }
    let some = &disagreements[..disagreements.len().min(12)];
    let count = disagreements.len();
    assert!(count == 0, "{count} of {tally:?}: {}", some.join("\n"));
    assert!(
        connections.iter().all(|n| *n >= 3),
        "{connections:?} says little"
    );
    tally
}

/// Asks in one town after the other until there are as many answers: 200, 403 and 400, and the number of towns.
fn agree(seed: u64, pairs: usize) -> ([usize; 3], usize) {
    let mut random = Random(seed);
    let apps = [application(), application()];
    let (mut total, mut towns) = ([0; 3], 0);
    while total.iter().sum::<usize>() < pairs {
        let town = town(&mut random, apps);
        for binary in binaries() {
            let tally = questions(&binary, &town, &mut random, 1000);
            total.iter_mut().zip(tally).for_each(|(sum, n)| *sum += n);
        }
        towns += 1;
    }
    (total, towns)
}

/// Where everybody uses plain text, the evaluator believes nobody, however they are called.
#[test]
fn sec_z04_where_callers_use_plain_text_they_are_nobody() {
    let allowed = |mode: &str, from: &str| {
        let case = Case::parse(&format!(
            "services:
  svc:
    spec: {{mtls: '{mode}', ports: [{{name: http, port: 1, protocol: http}}]}}
    access_rules: {{one: {{action: allow, from: [{from}]}}}}
proxy: {{service: svc, bind_address: 127.0.0.1, app_address: 127.0.0.1, outbound_port: 1, inbound_ports: {{}}}}"
        ));
        let caller = format!("spiffe://{TRUST_DOMAIN}/service/alpha");
        let call = Call {
            port: &"http".parse().unwrap(),
            ..connection(&caller, Ipv4Addr::LOCALHOST.into())
        };
        let node = &case.snapshot.services["svc"];
        access::decide(&case.snapshot, node, &call).allowed
    };
    let (name, network) = ("{service: alpha}", "{networks: [127.0.0.0/8]}");
    assert!(allowed("strict", name) && allowed("permissive", name) && !allowed("off", name));
    assert!(
        ["strict", "permissive", "off"]
            .iter()
            .all(|mode| allowed(mode, network))
    );
}

/// Half of them to the oldest Envoy that is supported, half to the newest.
#[test]
fn envoy_decides_as_the_evaluator_does() {
    let (total, _) = agree(7, 2000);
    assert!(total.iter().all(|n| *n >= 50), "{total:?} says little");
}

#[test]
#[ignore = "a minute or more: 20,000 pairs; `make test-long`"]
fn envoy_decides_as_the_evaluator_does_at_length() {
    let (seed, start) = (heddle_evidence::seed(), Instant::now());
    let (total, towns) = agree(seed, 20_000);
    let pairs = total.iter().sum::<usize>();
    let [allowed, denied, malformed] = total;
    heddle_evidence::evidence(
        "access-decisions",
        seed,
        json!({
            "pairs": pairs, "allowed": allowed, "denied": denied, "malformed": malformed, "disagreements": 0,
            "rule_sets": towns * SERVICES, "seconds": start.elapsed().as_secs(),
        }),
    );
}
