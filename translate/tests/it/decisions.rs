//! Random requests against random rules: what a real Envoy does is what the evaluator says. Many services in one Envoy, each
//! with rules of its own; callers with certificates and addresses of their own.

mod draw;

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
use draw::{Random, Request, case, request};

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
