//! The bootstrap, as text and before real Envoys.

use std::collections::BTreeMap;

use heddle_translate::bootstrap::{Bootstrap, Credential, render};
use serde_json::{Value, json};

use crate::envoy::{Identity, assert_accepted};

fn given(host: &str, credential: Credential) -> Bootstrap {
    Bootstrap {
        org: "acme".to_owned(),
        mesh: "shop".parse().unwrap(),
        service: "payments".parse().unwrap(),
        node_id: "payments-1".to_owned(),
        version: Some("v2".parse().unwrap()),
        bind_address: "127.0.1.4".parse().unwrap(),
        advertise_address: "10.1.2.3".parse().unwrap(),
        app_address: "127.0.0.1".parse().unwrap(),
        inbound_ports: BTreeMap::from([
            ("http".parse().unwrap(), 15006),
            ("grpc".parse().unwrap(), 15007),
        ]),
        outbound_port: 15001,
        admin_address: "127.0.0.1".parse().unwrap(),
        admin_port: 15000,
        xds_host: host.to_owned(),
        xds_port: 15443,
        xds_ca_pem: Identity::of("spiffe://throw.away/ca").roots_pem,
        credential,
    }
}

fn inline() -> Credential {
    Credential::Inline("heddle_join_s3cret".into())
}

#[test]
fn both_credentials_are_accepted_by_envoy() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "heddle_join_s3cret").unwrap();
    let file = || Credential::File(token.to_str().unwrap().to_owned());
    for host in ["127.0.0.1", "::1", "xds.heddle.example"] {
        for credential in [inline(), file()] {
            let what = format!("{host} {credential:?}");
            assert_accepted(&what, &render(&given(host, credential)));
        }
    }
}

#[test]
fn the_node_says_what_the_server_asks_for() {
    let rendered = render(&given("127.0.0.1", inline()));
    let expected = json!({
        "id": "payments-1",
        "cluster": "payments",
        "metadata": {"heddle": {
            "bind_address": "127.0.1.4",
            "advertise_address": "10.1.2.3",
            "app_address": "127.0.0.1",
            "outbound_port": 15001,
            "inbound_ports": {"grpc": 15007, "http": 15006},
            "version": "v2",
        }},
    });
    assert_eq!(rendered["node"], expected);
    let mut without = given("127.0.0.1", inline());
    without.version = None;
    let heddle = &render(&without)["node"]["metadata"]["heddle"];
    assert_eq!(heddle.get("version"), None);
}

#[test]
fn the_token_stands_in_the_bootstrap_only_when_it_is_inlined() {
    let secret = "heddle_join_s3cret";
    let inlined = render(&given("127.0.0.1", inline()));
    let metadata =
        &inlined["dynamic_resources"]["ads_config"]["grpc_services"][0]["initial_metadata"];
    assert_eq!(
        *metadata,
        json!([{"key": "authorization", "value": format!("Bearer {secret}")}])
    );
    assert!(!format!("{:?}", given("127.0.0.1", inline())).contains(secret));
    let file = Credential::File("/etc/heddle/token".to_owned());
    let filed = render(&given("127.0.0.1", file)).to_string();
    assert!(!filed.contains(secret));
    assert!(filed.contains("/etc/heddle/token"));
}

#[test]
fn the_control_plane_is_checked_by_its_name_or_its_address() {
    let context = |host: &str| -> (Value, Value, Value) {
        let rendered = render(&given(host, inline()));
        let cluster = rendered["static_resources"]["clusters"][0].clone();
        let tls = cluster["transport_socket"]["typed_config"].clone();
        let validation = &tls["common_tls_context"]["validation_context"];
        let san = validation["match_typed_subject_alt_names"][0].clone();
        (cluster["type"].clone(), san, tls["sni"].clone())
    };
    let (kind, san, sni) = context("xds.heddle.example");
    assert_eq!(
        (kind, sni),
        (json!("STRICT_DNS"), json!("xds.heddle.example"))
    );
    assert_eq!(
        san,
        json!({"san_type": "DNS", "matcher": {"exact": "xds.heddle.example"}})
    );
    let (kind, san, sni) = context("::1");
    assert_eq!((kind, sni), (json!("STATIC"), Value::Null));
    assert_eq!(
        san,
        json!({"san_type": "IP_ADDRESS", "matcher": {"exact": "::1"}})
    );
}

#[test]
fn a_lost_control_plane_is_noticed_and_found_again_within_seconds() {
    let rendered = render(&given("127.0.0.1", inline()));
    let grpc = &rendered["dynamic_resources"]["ads_config"]["grpc_services"][0];
    let back_off = &grpc["envoy_grpc"]["retry_policy"]["retry_back_off"];
    assert_eq!(back_off["max_interval"], "5s");
    let text = rendered.to_string();
    assert!(text.contains(r#""connection_keepalive":{"interval":"5s","timeout":"2s"}"#));
    assert!(!text.contains(r#""initial_fetch_timeout":"0s""#));
    let file = Credential::File("/etc/heddle/token".to_owned());
    let filed = render(&given("127.0.0.1", file)).to_string();
    assert!(filed.contains(r#""grpc.max_reconnect_backoff_ms":{"int_value":5000}"#));
}
