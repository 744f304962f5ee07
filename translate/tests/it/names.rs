//! Whose names count: what real Envoys make of the names in a peer's certificate, and of its TLS.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::SanType;
use serde_json::Value;

use crate::case::{Case, TRUST_DOMAIN};
use crate::envoy::{Identity, binaries};
use crate::golden;
use crate::protos;
use crate::sidecar::{mesh_of, send};

const ONLY_PAYMENTS: &str = "{all: {action: allow, from: [{service: payments}]}}";
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: payments\r\n\r\n";

fn uri(id: &str) -> SanType {
    SanType::URI(id.try_into().unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// What `payments` answers to callers with such names, all by the root of its own mesh.
fn answers(binary: &Path, names: &[Vec<SanType>]) -> Vec<Option<u16>> {
    let own = vec![uri(&format!("spiffe://{TRUST_DOMAIN}/service/payments"))];
    let all: Vec<_> = std::iter::once(own).chain(names.iter().cloned()).collect();
    let family = Identity::named(&all);
    let peers: Vec<_> = family.iter().skip(1).collect();
    let mesh = mesh_of("{}", ONLY_PAYMENTS, &family[0], &peers);
    let _envoy = mesh.run(binary);
    let ask = |port: &u16| send(*port, REQUEST).map(|answer| answer.status);
    mesh.peers.iter().map(ask).collect()
}

#[test]
fn sec_z06_a_caller_of_another_trust_domain_is_nobody_here_whoever_signed_for_it() {
    let ids = [
        (
            format!("spiffe://{TRUST_DOMAIN}/service/payments"),
            Some(200),
        ),
        // Of this mesh, and not who the rule names.
        (
            format!("spiffe://{TRUST_DOMAIN}/service/payments-2"),
            Some(403),
        ),
        (
            format!("spiffe://{TRUST_DOMAIN}/service/paymentS"),
            Some(403),
        ),
        (format!("spiffe://{TRUST_DOMAIN}/payments"), Some(403)),
        // Of other trust domains: their connections end before they have asked for anything.
        ("spiffe://other.example/service/payments".to_owned(), None),
        (
            format!("spiffe://{TRUST_DOMAIN}.evil.example/service/payments"),
            None,
        ),
        (
            format!("spiffe://evil-{TRUST_DOMAIN}/service/payments"),
            None,
        ),
        (
            format!("spiffe://{TRUST_DOMAIN}@evil.example/service/payments"),
            None,
        ),
        (format!("https://{TRUST_DOMAIN}/service/payments"), None),
    ];
    let names: Vec<_> = ids.iter().map(|(id, _)| vec![uri(id)]).collect();
    for binary in binaries() {
        for ((id, expected), got) in ids.iter().zip(answers(&binary, &names)) {
            assert_eq!(got, *expected, "{id} at {}", binary.display());
        }
    }
}

#[test]
fn sec_z07_a_name_of_another_type_is_no_spiffe_id() {
    let payments = format!("spiffe://{TRUST_DOMAIN}/service/payments");
    let names = [
        vec![dns(&payments)],
        vec![SanType::Rfc822Name(payments.as_str().try_into().unwrap())],
        vec![
            dns(&payments),
            uri("spiffe://other.example/service/payments"),
        ],
        Vec::new(),
        // Who has an id of this mesh is that one alone, whatever else is written beside it.
        vec![
            uri(&format!("spiffe://{TRUST_DOMAIN}/service/frontend")),
            dns(&payments),
        ],
    ];
    for binary in binaries() {
        let got = answers(&binary, &names);
        let expected = [None, None, None, None, Some(403)];
        assert_eq!(got, expected, "{}", binary.display());
        // Nor does a caller take a server for one whose id it has as another type of name.
        let server = Identity::named(&[vec![dns(&payments)]]).remove(0);
        let mesh = mesh_of("{}", ONLY_PAYMENTS, &server, &[]);
        let _envoy = mesh.run(&binary);
        assert_eq!(send(mesh.outbound, REQUEST).unwrap().status, 503);
    }
}

/// All string matchers of callers and of names in certificates, in any output that the goldens cover.
#[test]
fn sec_z06_z07_names_are_matched_by_type_and_to_the_end_of_a_segment() {
    fn ends(matcher: &Value) -> bool {
        let whole = |text: &str| {
            let rest = text.strip_prefix("spiffe://");
            rest.is_some_and(|rest| !rest.starts_with('/'))
        };
        let matcher = matcher.as_object().unwrap();
        let [(kind, text)] = &*matcher.iter().collect::<Vec<_>>() else {
            return false;
        };
        let text = text.as_str().unwrap_or_default();
        match kind.as_str() {
            "exact" => whole(text),
            "prefix" => whole(text) && text.ends_with('/'),
            _ => false,
        }
    }
    fn walk(value: &Value, found: &mut [usize; 2]) {
        match value {
            Value::Object(object) => {
                assert!(!object.contains_key("match_subject_alt_names"));
                if let Some(names) = object.get("match_typed_subject_alt_names") {
                    for name in names.as_array().unwrap() {
                        if name["san_type"] == "URI" {
                            assert!(ends(&name["matcher"]), "{name}");
                            found[0] += 1;
                        }
                    }
                }
                assert!(!object.contains_key("principal_name"), "of any type");
                if let Some(caller) = object.get("san_matcher") {
                    assert_eq!(caller["san_type"], "URI");
                    assert!(ends(&caller["matcher"]), "{caller}");
                    found[1] += 1;
                }
                object.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = [0; 2];
    for case in golden::cases() {
        for resource in Case::read(&case.join("in.yaml")).translate().resources {
            walk(&protos::json(&resource), &mut found);
        }
    }
    assert!(found.iter().all(|count| *count > 20), "{found:?}");
}

/// Connects with `openssl s_client`; what it says about the session.
fn session(port: u16, folder: &Path, with: &[&str]) -> String {
    let mut client = Command::new("openssl")
        .current_dir(folder)
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}")])
        .args(["-cert", "chain.pem", "-key", "key.pem", "-ign_eof"])
        .args(with)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = "GET / HTTP/1.1\r\nhost: payments\r\nconnection: close\r\n\r\n";
    // Refused connections do not take it.
    let _ = client.stdin.take().unwrap().write_all(request.as_bytes());
    let output = client.wait_with_output().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    String::from_utf8_lossy(&out).into_owned() + &String::from_utf8_lossy(&err)
}

#[test]
fn spiffe_s19_old_tls_is_refused_and_no_session_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let own = Identity::of_service("payments");
    let mesh = mesh_of("{}", ONLY_PAYMENTS, &own, &[]);
    std::fs::write(folder.path().join("chain.pem"), &own.chain_pem).unwrap();
    std::fs::write(folder.path().join("key.pem"), &own.key_pem).unwrap();
    for binary in binaries() {
        let _envoy = mesh.run(&binary);
        let ask = |with: &[&str]| session(mesh.inbound, folder.path(), with);
        for version in ["-tls1_2", "-tls1_3"] {
            let first = ask(&[version, "-sess_out", "session.pem"]);
            assert!(first.contains("HTTP/1.1 200"), "{first}");
            assert!(first.contains("New, TLSv1."), "{first}");
            // No ticket came, or a session without one, which the server has forgotten.
            if folder.path().join("session.pem").exists() {
                let again = ask(&[version, "-sess_in", "session.pem"]);
                assert!(again.contains("New, TLSv1."), "{again}");
                assert!(!again.contains("Reused"), "{again}");
                std::fs::remove_file(folder.path().join("session.pem")).unwrap();
            }
        }
        for version in ["-tls1", "-tls1_1"] {
            let old = ask(&[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
            assert!(!old.contains("HTTP/1.1"), "{old}");
            assert!(old.contains("protocol version"), "{old}");
        }
    }
}
