//! What is wrong on a host.

use super::*;

/// The checks by name, as `heddle doctor -o json` tells them.
fn states(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|c| (text(&c["check"]), text(&c["state"])))
        .collect()
}

#[track_caller]
fn has(report: &Value, check: &str, state: &str) {
    let all = states(report);
    let found = all.contains(&(check.to_owned(), state.to_owned()));
    assert!(found, "{check} is not {state}: {report:#}");
    for one in report["checks"].as_array().unwrap() {
        if one["state"] == "error" {
            assert!(
                one["fix"].as_str().is_some_and(|fix| !fix.is_empty()),
                "{one}"
            );
        }
    }
}

/// The certificate of an authority that nobody knows.
fn rcgen_authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.self_signed(&key).unwrap().pem()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_finds_what_is_wrong() {
    let (stack, api, person) = stack().await;
    let binary = EnvoyVersion::Newest.binary();
    let binary = binary.to_str().unwrap().to_owned();
    let [inbound, outbound, admin] = free_ports::<3>().map(|port| port.to_string());
    let made = person
        .run(&[
            "bootstrap",
            "payments",
            "payments-1",
            "--bind-address",
            "127.0.0.1",
            "--new-token",
            "token",
            "--inbound-port",
            &inbound,
            "--outbound-port",
            &outbound,
            "--admin-port",
            &admin,
            "-o",
            "json",
        ])
        .await
        .expect(0);
    std::fs::write(person.path("envoy.yaml"), &made.out).unwrap();
    let envoy = joined(&stack, &api, &made.out, &admin).await;
    let doctor = async |file: &str| {
        person
            .run(&["doctor", file, "--envoy", &binary, "-o", "json"])
            .await
    };
    // Everything is fine, and everything was looked at.
    let healthy = doctor("envoy.yaml").await.expect(0).json();
    assert_eq!(healthy["ok"], true);
    for (check, state) in states(&healthy) {
        assert_eq!(state, "ok", "{check}: {healthy:#}");
    }
    assert!(states(&healthy).len() > 15, "{healthy:#}");
    let shown = person
        .run(&["doctor", "envoy.yaml", "--envoy", &binary])
        .await
        .expect(0);
    assert!(
        shown
            .out
            .contains("  √ the token is accepted: the server knows it"),
        "{}",
        shown.out
    );
    let secret = std::fs::read_to_string(person.path("token")).unwrap();
    assert!(!shown.out.contains(&secret) && !healthy.to_string().contains(&secret));

    let with = |from: &str, to: &str| {
        assert!(made.out.contains(from), "{from}");
        std::fs::write(person.path("wrong.yaml"), made.out.replace(from, to)).unwrap();
    };
    let token_file = person.path("token").display().to_string();
    // Another authority.
    let stranger = rcgen_authority();
    let mut document = made.json();
    document["dynamic_resources"]["ads_config"]["grpc_services"][0]["google_grpc"]["channel_credentials"]
        ["ssl_credentials"]["root_certs"]["inline_string"] = json!(stranger);
    std::fs::write(person.path("wrong.yaml"), document.to_string()).unwrap();
    let report = doctor("wrong.yaml").await.expect(1).json();
    has(&report, "certificate", "error");
    has(&report, "the token is accepted", "skipped");
    has(&report, "connection", "ok");
    assert!(
        report.to_string().contains("has another authority"),
        "{report:#}"
    );
    // A port where nobody listens, and a name that nobody has.
    let server = format!("127.0.0.1:{}", stack.server.xds_port());
    with(&server, &format!("127.0.0.1:{}", free_port()));
    let report = doctor("wrong.yaml").await.expect(1).json();
    has(&report, "connection", "error");
    has(&report, "certificate", "skipped");
    // Envoy would say that it is connected also while it waits.
    has(&report, "connected to the server", "warning");
    with(&server, "nobody.invalid:443");
    has(&doctor("wrong.yaml").await.expect(1).json(), "DNS", "error");
    // A port where somebody else listens.
    with(&server, &format!("127.0.0.1:{}", stack.server.api_port()));
    has(
        &doctor("wrong.yaml").await.expect(1).json(),
        "certificate",
        "error",
    );
    // No token file; one that others may read; a token that lost a character; one of another kind.
    with(&token_file, "/nowhere/token");
    has(
        &doctor("wrong.yaml").await.expect(1).json(),
        "where it is",
        "error",
    );
    std::fs::set_permissions(person.path("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    has(
        &doctor("envoy.yaml").await.expect(0).json(),
        "where it is",
        "warning",
    );
    std::fs::set_permissions(person.path("token"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let other = person.path("other").display().to_string();
    for wrong in [&secret[..secret.len() - 1], &api.token, ""] {
        std::fs::write(person.path("other"), wrong).unwrap();
        std::fs::set_permissions(person.path("other"), std::fs::Permissions::from_mode(0o600))
            .unwrap();
        with(&token_file, &other);
        has(
            &doctor("wrong.yaml").await.expect(1).json(),
            "its form",
            "error",
        );
    }
    // No admin interface, and that of another one.
    with(
        &format!("\"port_value\": {admin}"),
        &format!("\"port_value\": {}", free_port()),
    );
    let report = doctor("wrong.yaml").await.expect(1).json();
    has(&report, "admin interface", "error");
    has(&report, "connected to the server", "skipped");
    with("\"id\": \"payments-1\"", "\"id\": \"payments-7\"");
    has(
        &doctor("wrong.yaml").await.expect(1).json(),
        "it is this one",
        "error",
    );
    // No Envoy that runs here, no file, no YAML.
    let report = person
        .run(&[
            "doctor",
            "envoy.yaml",
            "--envoy",
            "/bin/false",
            "-o",
            "json",
        ])
        .await
        .expect(1)
        .json();
    has(&report, "binary", "error");
    has(
        &doctor("none.yaml").await.expect(1).json(),
        "the file",
        "error",
    );
    std::fs::write(person.path("wrong.yaml"), "a: [").unwrap();
    has(
        &doctor("wrong.yaml").await.expect(1).json(),
        "the file",
        "error",
    );
    // A token that is revoked: the server says so, and the Envoy has lost its stream.
    let tokens = api.get("/meshes/shop/join-tokens").await.expect(200);
    let name = tokens.json["items"][0]["name"].as_str().unwrap().to_owned();
    let _ = api
        .delete(&format!("/meshes/shop/join-tokens/{name}"))
        .await
        .expect(204);
    until("the Envoy is disconnected", PATIENCE, async || {
        envoy.stat("control_plane.connected_state").await == 0
    })
    .await;
    let report = doctor("envoy.yaml").await.expect(1).json();
    has(&report, "the token is accepted", "error");
    has(&report, "connected to the server", "error");
    has(&report, "certificate", "ok");
    // Without any credential of a person, and without a server to ask, it says the same of the rest.
    let output = person
        .command(&["doctor", "envoy.yaml", "--envoy", &binary, "-o", "json"])
        .env_remove("HEDDLE_TOKEN")
        .env_remove("HEDDLE_SERVER")
        .output()
        .await
        .unwrap();
    has(
        &ended(&output).expect(1).json(),
        "the token is accepted",
        "error",
    );
}
