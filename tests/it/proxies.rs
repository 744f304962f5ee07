//! Proxies as the API shows them: joining, leaving, being revoked, starting from a token file.

use std::time::Duration;

use heddle_tests::{
    Application, Envoy, EnvoyVersion, Outcome, ServerOptions, Stack, Traffic, Workload,
    WorkloadSpec, free_ports, until,
};
use reqwest::Method;
use serde_json::json;

fn spec<'a>(service: &'a str, proxy: &'a str) -> WorkloadSpec<'a> {
    WorkloadSpec::of_shop(service, proxy, EnvoyVersion::Newest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_leaves_is_drained_and_makes_no_revision() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["frontend", "payments"],
        )
        .await;
    let frontend = Workload::start(&stack, &api, &spec("frontend", "frontend-1")).await;
    let first = Workload::start(&stack, &api, &spec("payments", "payments-1")).await;
    let mut second = Workload::start(&stack, &api, &spec("payments", "payments-2")).await;
    for workload in [&frontend, &first, &second] {
        workload.ready(&api, "shop").await;
    }
    let endpoint =
        |port: u16| format!("heddle/payments/http::127.0.0.1:{port}::health_flags::healthy");
    until("both are endpoints", Duration::from_secs(20), async || {
        let clusters = frontend.envoy.admin("/clusters").await;
        clusters.contains(&endpoint(first.inbound_port))
            && clusters.contains(&endpoint(second.inbound_port))
    })
    .await;
    let revision = api.get("/meshes/shop").await.expect(200).json["status"]["revision"].clone();

    let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
    let traffic = Traffic::start(&url, "payments", 3, Duration::from_millis(5), "/version");
    second.envoy.kill().await;
    until(
        "the dead one is no endpoint any more",
        Duration::from_secs(20),
        async || {
            !frontend
                .envoy
                .admin("/clusters")
                .await
                .contains(&format!("127.0.0.1:{}::", second.inbound_port))
        },
    )
    .await;
    let outcomes = traffic.stop().await;
    // Calls that were inside the killed Envoy are lost with it; none that came after.
    let failed = Outcome::failed(&outcomes);
    assert!(
        failed.len() <= 3,
        "{} of {} failed: {:?}",
        failed.len(),
        outcomes.len(),
        failed
    );
    until(
        "the API shows it offline",
        Duration::from_secs(10),
        async || {
            let reply = api.get("/meshes/shop/proxies/payments-2").await.expect(200);
            reply.json["state"] == "offline"
        },
    )
    .await;
    assert_eq!(
        api.get("/meshes/shop").await.expect(200).json["status"]["revision"],
        revision
    );
    let shown = api
        .get("/meshes/shop/proxies/payments-1")
        .await
        .expect(200)
        .json;
    assert_eq!(shown["service"], "payments");
    assert_eq!(shown["version"], "v1");
    assert_eq!(shown["state"], "ready");
    assert_eq!(shown["revision"]["acked"], revision);
    assert!(
        shown["envoy"]["version"]
            .as_str()
            .is_some_and(|v| v.starts_with("1.")),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_ends_its_proxies() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["payments"],
        )
        .await;
    let payments = Workload::start(&stack, &api, &spec("payments", "payments-1")).await;
    payments.ready(&api, "shop").await;
    let _ = api
        .delete("/meshes/shop/join-tokens/payments-1")
        .await
        .expect(204);
    until(
        "the proxy is disconnected for good",
        Duration::from_secs(15),
        async || {
            payments.envoy.stat("control_plane.connected_state").await == 0
                && api
                    .get("/meshes/shop/proxies/payments-1")
                    .await
                    .expect(200)
                    .json["state"]
                    == "offline"
        },
    )
    .await;
    let again = payments
        .envoy
        .stat("cluster_manager.cds.update_failure")
        .await;
    assert!(
        again > 0
            || payments.envoy.output().contains("401")
            || payments.envoy.output().contains("gRPC"),
        "{}",
        payments.envoy.output()
    );
}

/// The bootstrap for people: the token stays in a file on the host.
async fn starts_from_a_token_file(version: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["payments"],
        )
        .await;
    let application = Application::start("payments", "v1").await;
    let token = api
        .post(
            "/meshes/shop/join-tokens",
            json!({"name": "host-1", "service": "payments"}),
        )
        .await
        .expect(201);
    let secret = token.json["secret"].as_str().unwrap();
    let file = stack.directory.path().join("token");
    std::fs::write(&file, secret).unwrap();
    let [inbound, outbound, admin] = free_ports();
    let path = format!(
        "/v1/orgs/-/meshes/shop/bootstrap?proxy=host-1&service=payments&bind_address=127.0.0.1&app_address={}&inbound_port={inbound}&outbound_port={outbound}&admin_port={admin}&token_file={}",
        application.address,
        file.display(),
    );
    let bootstrap = api
        .raw(
            Method::GET,
            &path,
            &[("accept", "application/yaml")],
            Vec::new(),
        )
        .await
        .expect(200);
    assert!(
        !bootstrap.text.contains(secret),
        "the token is not in the bootstrap"
    );
    let mut envoy = Envoy::start(
        version,
        stack.directory.path(),
        "host-1",
        &bootstrap.text,
        admin,
    )
    .await;
    let ready = async || api.get("/meshes/shop/proxies/host-1").await.json["state"] == "ready";
    until("the proxy is ready", Duration::from_secs(30), ready).await;
    // A one-off token that has joined may come back.
    envoy.kill().await;
    until("it is offline", Duration::from_secs(20), async || {
        api.get("/meshes/shop/proxies/host-1").await.json["state"] == "offline"
    })
    .await;
    let _envoy = Envoy::start(
        version,
        stack.directory.path(),
        "host-1",
        &bootstrap.text,
        admin,
    )
    .await;
    until("it is ready again", Duration::from_secs(30), ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_envoy_starts_from_a_token_file() {
    starts_from_a_token_file(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_envoy_starts_from_a_token_file() {
    starts_from_a_token_file(EnvoyVersion::Oldest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_envoy_refuses_is_kept_with_its_cause() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["payments"],
        )
        .await;
    // Something listens where the proxy is told to: Envoy refuses the listener and keeps what it has.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let inbound = taken.local_addr().unwrap().port();
    let application = Application::start("payments", "v1").await;
    let token = api
        .post(
            "/meshes/shop/join-tokens",
            json!({"name": "host-1", "service": "payments"}),
        )
        .await
        .expect(201);
    let as_proxy = api.with_token(token.json["secret"].as_str().unwrap());
    let [outbound, admin] = free_ports();
    let path = format!(
        "/v1/orgs/-/meshes/shop/bootstrap?proxy=host-1&bind_address=127.0.0.1&app_address={}&inbound_port={inbound}&outbound_port={outbound}&admin_port={admin}",
        application.address,
    );
    let bootstrap = as_proxy
        .raw(
            Method::GET,
            &path,
            &[("accept", "application/yaml")],
            Vec::new(),
        )
        .await
        .expect(200);
    let envoy = Envoy::start(
        EnvoyVersion::Newest,
        stack.directory.path(),
        "host-1",
        &bootstrap.text,
        admin,
    )
    .await;
    let shown = heddle_tests::until_some(
        "the refusal is shown",
        Duration::from_secs(20),
        async || {
            let shown = api.get("/meshes/shop/proxies/host-1").await;
            (shown.json["state"] == "nacked").then_some(shown.json)
        },
    )
    .await;
    let nack = &shown["nacks"][0];
    assert_eq!(nack["type"], "LDS", "{shown}");
    assert_eq!(nack["code"], "HED-3007", "{shown}");
    assert_eq!(nack["cause"]["kind"], "service", "{shown}");
    assert_eq!(nack["cause"]["name"], "payments", "{shown}");
    assert!(
        nack["raw"].as_str().is_some_and(
            |raw| raw.contains("Address already in use") || raw.contains("cannot bind")
        ),
        "{shown}"
    );
    // The rest arrived all the same: the outbound listener answers.
    until(
        "the other listener serves",
        Duration::from_secs(10),
        async || {
            envoy
                .admin("/listeners")
                .await
                .contains(&format!("127.0.0.1:{outbound}"))
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_sc4_an_envoy_with_known_holes_is_flagged() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["old", "new"]).await;
    let of = |service, envoy| WorkloadSpec {
        envoy,
        ..spec(service, service)
    };
    let old = Workload::start(&stack, &api, &of("old", EnvoyVersion::Oldest)).await;
    let new = Workload::start(&stack, &api, &of("new", EnvoyVersion::Newest)).await;
    for workload in [&old, &new] {
        workload.ready(&api, "shop").await;
    }
    let shown = api.get("/meshes/shop/proxies/old").await.expect(200).json;
    let found = shown["advisories"].as_array().unwrap();
    let header = found.iter().find(|one| one["id"] == "CVE-2026-26308");
    let header = header.unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(header["severity"], "high");
    assert_eq!(header["fixed_in"], "1.36.5");
    let shown = api.get("/meshes/shop/proxies/new").await.expect(200).json;
    assert_eq!(shown["advisories"], json!([]), "{shown}");
}
