//! Rules and requests, drawn: in the corners of what can be said, where Envoy and the evaluator might differ.

use serde_json::{Value, json};

use crate::case::{Case, TRUST_DOMAIN};

/// A small generator, so that a seed says everything.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    pub(super) fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
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
pub(super) fn case(random: &mut Random, [app, raw_app]: [u16; 2], inbound: &[u16]) -> Case {
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
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) host: String,
    pub(super) headers: Vec<(String, String)>,
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

pub(super) fn request(random: &mut Random) -> Request {
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
    pub(super) fn bytes(&self) -> String {
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
