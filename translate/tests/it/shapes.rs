//! The request shapes of the bypass table, byte for byte, against rules that deny and rules that allow, in each supported Envoy.

use crate::envoy::binaries;
use crate::sidecar::{mesh, send};

/// What is asked for in ways that some server takes for `/admin`.
pub(crate) const PATHS: [&str; 24] = [
    "/admin",
    "//admin",
    "/\\admin",
    "/./admin",
    "/x/../admin",
    "/%61dmin",
    "/x/%2e%2e/admin",
    "/x\\..\\admin",
    "/x%2f..%2fadmin",
    "/%2fadmin",
    "/admin%2f",
    "/x%5c..%5cadmin",
    "/admin%00",
    "/Admin",
    "/admin;a=1",
    "/admin.",
    "/admin?x",
    "/admin#f",
    "/admin/",
    // Not in the table, and the same idea.
    "/admin%3ba=1",
    "/x/..;/admin",
    "/ADMIN?x=1",
    "/admin;a=1;b",
    "/admin#fragment",
];

fn get(target: &str, host: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n")
}

/// Every shape, and what it is called.
fn shapes() -> Vec<(String, String)> {
    let path = |path: &&str| ((*path).to_owned(), get(path, "payments", ""));
    let mut shapes: Vec<_> = PATHS.iter().map(path).collect();
    for headers in [
        "x-role: root\r\n",
        "X-Role: root\r\n",
        "X_role: root\r\n",
        "x-role: user,root\r\n",
        "x-role: user\r\nx-role: root\r\n",
        "x-role: root\r\nx-role: user\r\n",
        "x-role: ROOT\r\n",
        "x-role:root \r\n",
    ] {
        shapes.push((format!("{headers:?}"), get("/ok", "payments", headers)));
    }
    for host in [
        "secret.local",
        "Secret.Local",
        "secret.local.",
        "secret.local:80",
        "secret.local.:80",
        "SECRET.local:8080",
    ] {
        shapes.push((host.to_owned(), get("/ok", host, "")));
    }
    for target in [
        "http://secret.local/ok",
        "HTTP://Secret.Local:80/ok",
        "http://payments/admin",
    ] {
        shapes.push((target.to_owned(), get(target, "payments", "")));
    }
    shapes
}

/// A request with these bytes as a header, which may go on with further lines.
fn of_role(path: &str, value: &[u8]) -> Vec<u8> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: payments\r\nx-role: ");
    [head.as_bytes(), value, b"\r\n\r\n"].concat()
}

#[test]
fn sec_z01_no_shape_of_a_request_gets_around_rules_that_deny() {
    // The path by its exact name: what is below it is not what was denied.
    let rules = "{all: {action: allow}, \
        no-admin: {action: deny, to: [{paths: [{exact: /admin}]}]}, \
        no-root: {action: deny, to: [{headers: [{name: x-role, exact: root}]}]}, \
        no-secret: {action: deny, to: [{hosts: [secret.local]}]}}";
    let mesh = mesh(rules);
    let shapes = shapes();
    assert!(shapes.len() >= 27);
    let mut around = Vec::new();
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        for (name, request) in &shapes {
            let status = send(mesh.inside(), request).map(|answer| answer.status);
            if !matches!(status, Some(400 | 403)) {
                around.push(format!("{name}: {status:?} from {}", binary.display()));
            }
        }
        // Bytes that are not UTF-8, which no expression matches.
        for value in [
            &b"\xff,root"[..],
            b"root,\xff",
            b"\xe9",
            b"user\r\nx-role: \xff,root",
            b"user\r\nx-role: root,\xff",
            b"user\r\nx-role: \xff, root ,\xff",
        ] {
            let status = send(mesh.inside(), of_role("/ok", value)).map(|answer| answer.status);
            if !matches!(status, Some(400 | 403)) {
                around.push(format!("{value:?}: {status:?} from {}", binary.display()));
            }
        }
        for (path, host, headers) in [
            ("/", "payments", ""),
            ("/administrator", "payments", "x-role: user\r\n"),
            ("/x/admin", "payments.shop.mesh", "x-role: roots\r\n"),
            ("/admin/users", "secret.local.example", "x-other: root\r\n"),
        ] {
            let status = send(mesh.inside(), get(path, host, headers))
                .unwrap()
                .status;
            assert_eq!(status, 200, "{path} {host} {headers}");
        }
    }
    assert_eq!(around, Vec::<String>::new());
}

#[test]
fn sec_z01_no_shape_of_a_request_gets_in_by_rules_that_allow() {
    let rules = "{public: {action: allow, to: [\
        {paths: [{prefix: /public}, {template: \"/{*}/open\"}], hosts: [payments], \
         headers: [{name: x-role, exact: user}]}, \
        {paths: [{exact: /team}], headers: [{name: x-team, prefix: pay}]}]}}";
    let mesh = mesh(rules);
    let role = "x-role: user\r\n";
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        let status = |request: &str| send(mesh.inside(), request).map(|answer| answer.status);
        for (name, request) in shapes() {
            let request = request.replacen("\r\n\r\n", &format!("\r\n{role}\r\n"), 1);
            let got = status(&request);
            assert!(
                matches!(got, Some(400 | 403)),
                "{name}: {got:?} from {}",
                binary.display()
            );
        }
        for path in [
            "/public/../admin",
            "/public/..;/admin",
            "/public/%2e%2e;x/admin",
            "/public/%2e%2e/admin",
            "/public/..%3b/admin",
            "/public/..%2fadmin",
            "/..;x/open",
            "/publicity",
            "/Public",
            "/a/b/open",
            "//open",
        ] {
            let got = status(&get(path, "payments", role));
            assert!(
                matches!(got, Some(400 | 403)),
                "{path}: {got:?} from {}",
                binary.display()
            );
        }
        for headers in [
            "x-role: user,root\r\n",
            "x-role: user\r\nx-role: root\r\n",
            "x-role: root\r\nx-role: user\r\n",
            "x-role: User\r\n",
            "",
        ] {
            let got = status(&get("/public", "payments", headers));
            assert_eq!(got, Some(403), "{headers:?} from {}", binary.display());
        }
        // Bytes that are not UTF-8, which no dot of an expression matches.
        for value in [
            &b"user\r\nx-role: \xff,root"[..],
            b"user\r\nx-role: \xffroot",
            b"user\r\nx-role: root\xff",
            b"user\r\nx-role: u\xffser, root",
            b"user,\xffroot",
            b"user\xff",
        ] {
            let got = send(mesh.inside(), of_role("/public", value)).map(|answer| answer.status);
            assert!(
                matches!(got, Some(400 | 403)),
                "{value:?}: {got:?} from {}",
                binary.display()
            );
        }
        for (headers, expected) in [
            ("x-team: pay", 200),
            ("x-team: payments", 200),
            ("x-team: pay-a, pay-b", 200),
            ("x-team: pay-a\r\nx-team: pay-b", 200),
            ("x-team: pay-a\r\nx-team: root", 403),
            ("x-team: root\r\nx-team: pay-a", 403),
            ("x-team: pay-a, root", 403),
            ("x-team: pay-a\r\nx-team:", 403),
            ("x-team: pa", 403),
            ("x-team: p\r\nx-team: ay", 403),
        ] {
            let got = status(&get("/team", "payments", &format!("{headers}\r\n")));
            assert_eq!(got, Some(expected), "{headers:?} from {}", binary.display());
        }
        for headers in [
            "x-role: user\r\nx-role: user\r\n",
            "x-role: user , user\r\n",
        ] {
            let got = status(&get("/public", "payments", headers));
            assert_eq!(got, Some(200), "{headers:?} from {}", binary.display());
        }
        for (path, host) in [
            ("/public", "payments"),
            ("/public/x;y/z?q", "PAYMENTS:80"),
            ("/a/open", "payments."),
        ] {
            let got = status(&get(path, host, role));
            assert_eq!(got, Some(200), "{path} from {}", binary.display());
        }
    }
}

/// What a rule that only reports would do is counted, and stands in the access log under the rule's id.
#[test]
fn a_rule_that_only_reports_decides_nothing_and_is_heard_of() {
    let rules = "{all: {action: allow, to: [{paths: [{prefix: /open}]}]}, \
        maybe: {action: deny, report_only: true, to: [{paths: [{prefix: /open/soon-closed}]}]}, \
        perhaps: {action: allow, report_only: true, to: [{paths: [{prefix: /soon-open}]}]}}";
    let mut mesh = mesh(rules);
    let admin = crate::sidecar::free_ports(1)[0];
    mesh.bootstrap["admin"] = serde_json::json!({"address": {"socket_address":
        {"address": "127.0.0.1", "port_value": admin}}});
    for binary in binaries() {
        let envoy = mesh.run(&binary);
        let ask = |path: &str, id: &str| {
            let request = get(path, "payments", &format!("x-request-id: {id}\r\n"));
            send(mesh.inside(), &request).unwrap().status
        };
        assert_eq!(ask("/open/soon-closed/x", "would-be-denied"), 200);
        let line = envoy.logged("would-be-denied");
        assert!(
            line["would_deny"].as_str().unwrap().starts_with("ar_"),
            "{line}"
        );
        assert_eq!(line["would_allow"], serde_json::Value::Null, "{line}");
        let denied = line["would_deny"].as_str().unwrap();
        assert_eq!(ask("/soon-open", "would-be-allowed"), 403);
        let line = envoy.logged("would-be-allowed");
        assert!(
            line["would_allow"].as_str().unwrap().starts_with("ar_"),
            "{line}"
        );
        assert_eq!(ask("/open", "as-it-is"), 200);
        let line = envoy.logged("as-it-is");
        assert_eq!(line["would_deny"], serde_json::Value::Null, "{line}");
        let stats = send(
            admin,
            "GET /stats?filter=shadow_denied HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        );
        let stats = stats.unwrap().text;
        let counted = format!("{denied}.shadow_denied: 1");
        assert!(stats.contains(&counted), "{counted} is not in {stats}");
    }
}

#[test]
fn sec_z02_no_header_changes_where_a_call_comes_from() {
    let rules = "{elsewhere: {action: allow, from: [{networks: [10.0.0.0/8]}]}, \
        here: {action: allow, from: [{networks: [127.0.0.0/8]}], to: [{paths: [{prefix: /here}]}]}, \
        not-here: {action: deny, from: [{networks: [127.0.0.1/32]}], to: [{paths: [{prefix: /here/not}]}]}}";
    let mesh = mesh(rules);
    let claims = "x-forwarded-for: 10.0.0.1\r\nx-real-ip: 10.0.0.1\r\nforwarded: for=10.0.0.1\r\n\
        x-envoy-external-address: 10.0.0.1\r\n";
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        for (path, status) in [("/", 403), ("/here", 200), ("/here/not", 403)] {
            let got = send(mesh.inside(), get(path, "payments", claims))
                .unwrap()
                .status;
            assert_eq!(got, status, "{path} from {}", binary.display());
        }
    }
}
