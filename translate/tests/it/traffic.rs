//! What our listeners, routes and clusters do to real requests, in each supported version of Envoy.

use crate::envoy::{assert_accepted, binaries};
use crate::shapes::PATHS;
use crate::sidecar::{get, mesh, send};

/// What Envoy believes when somebody whom it trusts says it.
const ENVOY_HEADERS: [&str; 26] = [
    "attempt-count",
    "decorator-operation",
    "downstream-service-cluster",
    "downstream-service-node",
    "expected-rq-timeout-ms",
    "external-address",
    "force-trace",
    "hedge-on-per-try-timeout",
    "internal",
    "ip-tags",
    "is-timeout-retry",
    "max-retries",
    "original-dst-host",
    "original-host",
    "original-method",
    "original-path",
    "original-url",
    "peer-metadata",
    "retriable-header-names",
    "retriable-status-codes",
    "retry-grpc-on",
    "retry-on",
    "upstream-alt-stat-name",
    "upstream-rq-per-try-timeout-ms",
    "upstream-rq-timeout-alt-response",
    "upstream-rq-timeout-ms",
];

const ALLOW_ALL: &str = "{all: {action: allow, from: [{service: payments}]}}";

#[test]
fn sec_z02_a_request_crosses_the_mesh_with_the_callers_identity_and_nothing_that_it_claims() {
    let mesh = mesh(ALLOW_ALL);
    for binary in binaries() {
        let envoy = mesh.run(&binary);
        for host in [
            "payments",
            "PAYMENTS",
            "payments.shop.mesh",
            "payments:8080",
            "payments.",
        ] {
            let answer = get(mesh.outbound, host, "/hello?secret=1");
            assert_eq!(answer.status, 200, "{host}: {}", answer.text);
        }
        let mut claims = String::from(
            "x-forwarded-client-cert: URI=spiffe://evil/x\r\nx-request-id: my-request\r\n",
        );
        for name in ENVOY_HEADERS {
            claims.push_str(&format!("x-envoy-{name}: 1\r\n"));
        }
        for port in [mesh.outbound, mesh.inside()] {
            let request = format!("GET /hello?secret=1 HTTP/1.1\r\nhost: payments\r\n{claims}\r\n");
            let answer = send(port, &request).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text);
            let (head, seen) = answer.text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("server: app"), "{head}");
            assert!(!head.contains("envoy"), "{head}");
            assert!(!seen.contains("x-envoy-"), "{seen}");
            assert!(!seen.contains("evil"), "{seen}");
            assert!(
                seen.contains("URI=spiffe://shop-7k2m.heddle.example/service/payments"),
                "{seen}"
            );
        }
        let line = envoy.logged("my-request");
        assert_eq!(line["direction"], "inbound");
        assert_eq!(line["path"], "/hello");
        assert_eq!(line["response_code"], 200);
        let caller = "spiffe://shop-7k2m.heddle.example/service/payments";
        assert_eq!(line["downstream_peer_uri_san"], caller);
    }
}

#[test]
fn what_leads_nowhere_is_answered_on_purpose() {
    let mesh = mesh(ALLOW_ALL);
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        let unknown = get(mesh.outbound, "no-such-host", "/");
        assert_eq!(unknown.status, 404);
        assert!(
            unknown
                .text
                .contains("no service of this mesh answers for this host")
        );
        let nowhere = get(mesh.outbound, "payments", "/nowhere");
        assert_eq!(nowhere.status, 503);
        assert!(
            nowhere
                .text
                .contains("this route has no backend that exists")
        );
    }
}

#[test]
fn only_the_mesh_gets_in_and_only_the_callee_is_answered() {
    let mesh = mesh(ALLOW_ALL);
    for binary in binaries() {
        let envoy = mesh.run(&binary);
        let request = "GET / HTTP/1.1\r\nhost: payments\r\n\r\n";
        assert_eq!(send(mesh.inside(), request).unwrap().status, 200);
        assert!(
            send(mesh.inbound, request).is_none(),
            "plain text got an answer"
        );
        assert!(
            send(mesh.outside(), request).is_none(),
            "another mesh got an answer"
        );
        // Whoever sits at the address of `frontend` has the identity of `payments`.
        let request = "GET / HTTP/1.1\r\nhost: frontend\r\nx-request-id: mistaken\r\n\r\n";
        assert_eq!(send(mesh.outbound, request).unwrap().status, 503);
        let line = envoy.logged("mistaken");
        assert_eq!(line["direction"], "outbound");
        let reason = line["upstream_failure"].to_string();
        assert!(reason.contains("CERTIFICATE_VERIFY_FAILED"), "{line}");
    }
}

#[test]
fn no_rule_means_no_way_in() {
    let mesh = mesh("{}");
    for binary in binaries() {
        let envoy = mesh.run(&binary);
        let request = "GET / HTTP/1.1\r\nhost: payments\r\nx-request-id: nobody-may\r\n\r\n";
        assert_eq!(send(mesh.inside(), request).unwrap().status, 403);
        let line = envoy.logged("nobody-may");
        assert_eq!(
            line["response_code_details"],
            "rbac_access_denied_matched_policy[none]"
        );
    }
}

/// Spellings of what lies below `/admin`.
const BELOW: [&str; 2] = ["/admin/users", "/aDmin;x/users"];

#[test]
fn sec_z01_no_spelling_of_a_path_gets_around_a_deny_rule() {
    let rules = "{all: {action: allow, from: [{service: payments}]}, \
                 no-admin: {action: deny, from: [{service: payments}], to: [{paths: [{prefix: /admin}]}]}}";
    let mesh = mesh(rules);
    for binary in binaries() {
        let envoy = mesh.run(&binary);
        for path in PATHS.into_iter().chain(BELOW) {
            for port in [mesh.inside(), mesh.outbound] {
                let answer = get(port, "payments", path);
                let refused = matches!(answer.status, 400 | 403);
                assert!(
                    refused,
                    "{path} on {port} got {} from {}",
                    answer.status,
                    binary.display()
                );
            }
        }
        let underscore = "GET / HTTP/1.1\r\nhost: payments\r\nx_role: root\r\n\r\n";
        assert_eq!(send(mesh.inside(), underscore).unwrap().status, 400);
        for path in ["/", "/administrator", "/x/admin", "/admin2", "/admin-area"] {
            assert_eq!(get(mesh.inside(), "payments", path).status, 200, "{path}");
        }
        let request = "GET /admin HTTP/1.1\r\nhost: payments\r\nx-request-id: refused\r\n\r\n";
        assert_eq!(send(mesh.inside(), request).unwrap().status, 403);
        let details = envoy.logged("refused")["response_code_details"].to_string();
        assert!(
            details.contains("rbac_access_denied_matched_policy[ar_"),
            "{details}"
        );
    }
}

#[test]
fn sec_z05_an_allow_rule_opens_exactly_what_it_names() {
    let rules = "{some: {action: allow, from: [{service: payments}], \
                 to: [{methods: [GET], paths: [{prefix: /pay}, {exact: /exact}]}]}}";
    let mesh = mesh(rules);
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        for (path, status) in [
            ("/pay", 200),
            ("/pay/x?y", 200),
            ("/exact", 200),
            ("/payroll", 403),
            ("/pay.", 403),
            ("/PAY", 403),
            ("/exact/x", 403),
            ("/pay/../secret", 403),
        ] {
            assert_eq!(
                get(mesh.inside(), "payments", path).status,
                status,
                "{path}"
            );
        }
        let post = "POST /pay HTTP/1.1\r\nhost: payments\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(send(mesh.inside(), post).unwrap().status, 403);
    }
}

#[test]
fn envoy_takes_the_longest_rules_that_users_may_write() {
    let path = |i: usize| format!("{{prefix: /{i}{}}}", "a.(b-c)/".repeat(125));
    let paths: Vec<String> = (0..64).map(path).collect();
    let paths = paths.join(", ");
    let methods = "[GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT]";
    let rules = format!(
        "{{long: {{action: deny, from: [{{service: payments}}], to: [{{paths: [{paths}]}}]}}, \
          every: {{action: allow, from: [{{service: payments}}], to: [{{methods: {methods}}}]}}}}"
    );
    assert_accepted("long paths", &mesh(&rules).bootstrap);
}
