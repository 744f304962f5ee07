//! The bootstrap, as text and before real Envoys.

use std::collections::{BTreeMap, BTreeSet};

use heddle_translate::bootstrap::{Bootstrap, ControlPlane, Credential, Overlay, render};
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
        control_plane: at(host, credential),
    }
}

fn at(host: &str, credential: Credential) -> ControlPlane {
    ControlPlane {
        host: host.to_owned(),
        port: 15443,
        ca_pem: Identity::of("spiffe://throw.away/ca").roots_pem,
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
    // Envoy heeds a retry policy of its own client only, and would wait up to 30 s after a stream that failed. One
    // that waits for the connection does not fail.
    assert!(!filed.contains("retry_policy"));
    assert!(filed.contains(r#"\"waitForReady\":true"#));
}

#[test]
fn an_overlay_says_nothing_that_a_file_of_ones_own_says() {
    let overlay = |keep_node, credential| Overlay {
        service: "payments".parse().unwrap(),
        proxy: "edge-1".to_owned(),
        keep_node,
        control_plane: at("127.0.0.1", credential),
    };
    let file = || Credential::File("/etc/heddle/token".to_owned());
    let rendered = overlay(false, file()).render();
    let names = |value: &Value| -> Vec<String> {
        let fields = value.as_object().unwrap();
        fields
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    assert_eq!(names(&rendered), ["dynamic_resources", "node"]);
    assert_eq!(
        names(&rendered["dynamic_resources"]),
        ["ads_config", "cds_config"]
    );
    assert_eq!(
        rendered["dynamic_resources"]["cds_config"]["initial_fetch_timeout"],
        "5s"
    );
    let heddle = json!({"mode": "augment", "service": "payments", "proxy": "edge-1"});
    let node = json!({"id": "edge-1", "cluster": "payments", "metadata": {"heddle": heddle}});
    assert_eq!(rendered["node"], node);
    let kept = overlay(true, file()).render();
    assert_eq!(kept["node"], json!({"metadata": {"heddle": heddle}}));
    // With the token inlined there is one thing more, and it has a name of ours.
    let inlined = overlay(false, inline()).render();
    assert_eq!(
        names(&inlined),
        ["dynamic_resources", "node", "static_resources"]
    );
    let clusters = inlined["static_resources"]["clusters"].as_array().unwrap();
    let clusters: Vec<_> = clusters.iter().map(|cluster| &cluster["name"]).collect();
    assert_eq!(clusters, ["heddle/xds"]);
}
