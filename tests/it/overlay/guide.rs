//! The guide does what it shows, and what does not go is as it says.

use super::*;

/// A file as somebody might have it, before they follow the guide.
const MINE: &str = r#"
static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 10080}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          http_filters:
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /payments}
                route:
                  cluster: old-payments
              - match: {prefix: /}
                direct_response: {status: 200, body: {inline_string: hello}}
  clusters:
  - {name: old-payments, type: STATIC}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let allow = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "prod", allow, &["edge", "payments"]);
    let api = api.await;
    let payments = WorkloadSpec {
        mesh: "prod",
        service: "payments",
        version: "v1",
        proxy: "payments-1",
        envoy: EnvoyVersion::Oldest,
    };
    let payments = Workload::start(&stack, &api, &payments).await;
    payments.ready(&api, "prod").await;
    // The places of the page, where this test may write and listen.
    let directory = stack.directory.path().join("host");
    for part in ["heddle", "envoy", "bin"] {
        std::fs::create_dir_all(directory.join(part)).unwrap();
    }
    let port = free_port().to_string();
    let here = |text: &str| {
        let at = |part: &str| directory.join(part).to_string_lossy().into_owned();
        text.replace("10080", &port)
            .replace("/etc/heddle", &at("heddle"))
            .replace("/etc/envoy", &at("envoy"))
    };
    std::fs::write(directory.join("envoy/envoy.yaml"), here(MINE)).unwrap();
    let envoy = EnvoyVersion::Newest.binary();
    std::os::unix::fs::symlink(envoy, directory.join("bin/envoy")).unwrap();
    let page = repository().join("docs/guides/connect-an-existing-envoy.md");
    let page = here(&std::fs::read_to_string(page).unwrap());
    // Another Envoy of this machine may have the base id that one takes by itself.
    let page = page.replace("envoy -c", "envoy --use-dynamic-base-id -c");
    docs::execute(&page, |script| {
        let path = format!("PATH={}:$PATH", directory.join("bin").display());
        let mut command = Command::new("bash");
        command
            .args([
                "-c",
                &format!("{path}\ntrap 'kill $(jobs -p)' EXIT\n{script}"),
            ])
            .current_dir(&directory)
            .env("HEDDLE", stack.server.url())
            .env("TOKEN", &api.token)
            .kill_on_drop(true)
            .stdin(Stdio::null());
        command
    })
    .await;
}

/// What the guide says cannot be joined: once it is refused before anything happens, and once nobody tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_go_with_an_overlay_is_as_the_guide_says() {
    let stack = Stack::start(ServerOptions::default()).await;
    let allow = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", allow, &["edge"]).await;
    let directory = stack.directory.path();
    let overlay = overlay(&api, "edge-1", "/nowhere/token", false).await;
    let admin = free_port();
    let mut file = shapes::plain("127.0.0.1", &[]).file;
    file["admin"]["address"]["socket_address"]["port_value"] = json!(admin);
    for version in EnvoyVersion::BOTH {
        let mut with_ads = file.clone();
        with_ads["dynamic_resources"] = json!({
            "ads_config": {"api_type": "GRPC", "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "app"}}]},
        });
        let path = directory.join("with-ads.yaml");
        std::fs::write(&path, with_ads.to_string()).unwrap();
        let mut command = Command::new(version.binary());
        command
            .args(["--mode", "validate", "--config-yaml", &overlay, "-c"])
            .arg(&path);
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{version:?}");
        assert!(
            said.contains("no more than 1 gRPC services"),
            "{version:?}: {said}"
        );

        let mut with_cds = file.clone();
        with_cds["node"] = json!({"id": "own", "cluster": "own"});
        let clusters = directory.join("clusters.json");
        let own = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "from-a-file", "type": "STATIC",
        }]});
        std::fs::write(&clusters, own.to_string()).unwrap();
        with_cds["dynamic_resources"] = json!({
            "cds_config": {"resource_api_version": "V3", "path_config_source": {"path": clusters}},
        });
        let file = with_cds.to_string();
        for (overlay, there) in [(None, true), (Some(overlay.as_str()), false)] {
            let name = format!("cds-{version:?}-{there}");
            let envoy = Envoy::start_beside(version, directory, &name, &file, overlay, admin).await;
            let what = "Envoy is past its first configuration";
            until(what, Duration::from_secs(20), async || {
                envoy.admin("/server_info").await.contains("LIVE")
            })
            .await;
            let clusters = envoy.admin("/clusters").await;
            assert_eq!(clusters.contains("from-a-file::"), there, "{version:?}");
        }
    }
}
