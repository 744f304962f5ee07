//! What is handed out, and to whom: held against the standard, by clients that others have written.

use std::process::Stdio;
use std::time::Duration;

use heddle_identity::{Caller, IssueRequest, IssueResponse, call};
use heddle_tests::{
    Agent, Authority, Envoy, EnvoyVersion, ServerOptions, Stack, free_ports, repository, until,
};
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::{Value, json};
use tokio::process::Command;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::calls::{self, Bundles, Svids};
use super::{SOON, openssl, shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s40_s41_s42_s43_the_workload_api_is_what_the_standard_says() {
    let (stack, api) = shop("24h").await;
    let agent = Agent::start(&stack.server, &api, stack.directory.path(), "payments").await;
    let socket = agent.socket();
    let code = async |path: &'static str, metadata| {
        let asked = calls::ask::<Svids>(&socket, path, metadata).await;
        asked.map_or_else(|status| status.code(), |_| Code::Ok)
    };
    let fetch = "/SpiffeWorkloadAPI/FetchX509SVID";
    for metadata in [None, Some("false"), Some("TRUE"), Some("")] {
        assert_eq!(
            code(fetch, metadata).await,
            Code::InvalidArgument,
            "{metadata:?}"
        );
    }
    for path in [
        "/SpiffeWorkloadAPI/FetchJWTSVID",
        "/SpiffeWorkloadAPI/FetchJWTBundles",
        "/SpiffeWorkloadAPI/ValidateJWTSVID",
        "/SpiffeWorkloadAPI/FetchEverything",
        "/heddle.identity.v1.Certificates/Issue",
    ] {
        assert_eq!(
            code(path, Some("true")).await,
            Code::Unimplemented,
            "{path}"
        );
        assert_eq!(code(path, None).await, Code::InvalidArgument, "{path}");
    }

    let first = calls::svid(&socket).await.unwrap();
    let [svid] = first.svids.as_slice() else {
        panic!("not one identity");
    };
    // The leaf first, then what signed it, and nothing after that.
    let (rest, leaf) = X509Certificate::from_der(&svid.x509_svid).unwrap();
    let (rest, issuing) = X509Certificate::from_der(rest).unwrap();
    assert!(rest.is_empty() && issuing.is_ca() && !leaf.is_ca());
    assert!(leaf.verify_signature(Some(issuing.public_key())).is_ok());
    let (rest, root) = X509Certificate::from_der(&svid.bundle).unwrap();
    assert!(rest.is_empty());
    assert!(issuing.verify_signature(Some(root.public_key())).is_ok());
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let own = GeneralName::URI(&svid.spiffe_id);
    assert_eq!(names.value.general_names, [own]);
    assert!(
        svid.spiffe_id.ends_with("/service/payments"),
        "{}",
        svid.spiffe_id
    );
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(svid.x509_svid_key.as_slice());
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    assert_eq!(
        rcgen::PublicKeyData::subject_public_key_info(&key),
        leaf.public_key().raw
    );

    let path = "/SpiffeWorkloadAPI/FetchX509Bundles";
    let mut bundles = calls::ask::<Bundles>(&socket, path, Some("true"))
        .await
        .unwrap();
    let bundles = bundles.message().await.unwrap().unwrap().bundles;
    let domain = svid.spiffe_id.trim_end_matches("/service/payments");
    assert_eq!(bundles.len(), 1);
    assert_eq!(bundles[domain], svid.bundle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s41_a_client_that_others_wrote_follows_an_identity_through_rotations() {
    let (stack, api) = shop("20s").await;
    let agent = Agent::start(&stack.server, &api, stack.directory.path(), "payments").await;
    let python = repository().join(".tools/spiffe/bin/python");
    assert!(
        python.exists(),
        "py-spiffe is missing: run scripts/setup --test first"
    );
    let run = Command::new(python)
        .arg(repository().join("tests/spiffe/follow.py"))
        .arg(format!("unix://{}", agent.socket().display()))
        .args(["2", "60"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(90), run)
        .await
        .unwrap();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8(output.stdout).unwrap();
    let given: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(given.len(), 3, "{said}");
    let folder = stack.directory.path();
    for (n, one) in given.iter().enumerate() {
        assert_eq!(one["certificates"], 2);
        assert!(one["id"].as_str().unwrap().ends_with("/service/payments"));
        let text = |field: &str| one[field].as_str().unwrap().to_owned();
        let (chain, roots) = (format!("chain-{n}.pem"), format!("roots-{n}.pem"));
        std::fs::write(folder.join(&chain), text("chain")).unwrap();
        std::fs::write(folder.join(&roots), text("roots")).unwrap();
        // The first ones have ended meanwhile; they were good when they were given.
        let verify = [
            "verify",
            "-no_check_time",
            "-purpose",
            "sslserver",
            "-CAfile",
            &roots,
            "-untrusted",
            &chain,
            &chain,
        ];
        let (good, said) = openssl(&verify, folder).await;
        assert!(good, "{said}");
    }
    // What was handed out is in the journal.
    let mut database = stack.postgres.inspect().await;
    for one in given {
        let serial = one["serial"].as_str().unwrap();
        let found: (i64,) =
            sqlx::query_as("select count(*) from heddle.certificates where serial = $1")
                .bind(serial)
                .fetch_one(&mut database)
                .await
                .unwrap();
        assert_eq!(found.0, 1, "{serial}");
    }
}

/// Asks for a certificate by a request that wants to be somebody else.
async fn greedy(stack: &Stack, token: &str, service: &str) -> Result<IssueResponse, tonic::Status> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["ledger.internal".to_owned()]).unwrap();
    let other = Ia5String::try_from("spiffe://elsewhere.example/service/ledger").unwrap();
    params.subject_alt_names.push(SanType::URI(other));
    let asked = IssueRequest {
        caller: Some(Caller {
            proxy: "greedy".to_owned(),
            service: service.to_owned(),
        }),
        request: params.serialize_request(&key).unwrap().der().to_vec(),
        watches: false,
    };
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(stack.server.xds_ca_pem()))
        .domain_name("127.0.0.1");
    let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", stack.server.xds_port()));
    let endpoint = endpoint.unwrap().tls_config(tls).unwrap();
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let mut request = Request::new(asked);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let codec = tonic_prost::ProstCodec::<IssueRequest, IssueResponse>::default();
    let answer = grpc
        .unary(request, call::ISSUE.parse().unwrap(), codec)
        .await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_p03_c01_a_request_that_names_somebody_else_gets_its_own_identity_also_from_a_process_apart()
 {
    let keys = tempfile::Builder::new()
        .prefix("heddle-ca-")
        .tempdir_in("/tmp")
        .unwrap();
    let socket = keys.path().join("ca.sock");
    let options = ServerOptions {
        ca_socket: Some(socket.clone()),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let key = keys.path().join("sealing.key");
    std::fs::rename(stack.directory.path().join("sealing.key"), &key).unwrap();
    let key = format!("file:{}", key.display());
    let _authority =
        Authority::start(&socket, &stack.postgres, &[("HEDDLE_SEALING_KEY", &key)]).await;
    let services = ["payments", "ledger"];
    let api = stack.mesh("acme", "shop", json!({}), &services).await;
    let body = json!({"name": "t", "service": "payments"});
    let token = api.post("/meshes/shop/join-tokens", body).await.expect(201);
    let token = token.json["secret"].as_str().unwrap().to_owned();

    let other = greedy(&stack, &token, "ledger").await.unwrap_err();
    assert_eq!(other.code(), Code::PermissionDenied, "{other}");
    let issued = greedy(&stack, &token, "").await.unwrap();
    let (_, leaf) = X509Certificate::from_der(&issued.chain[0]).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let own = format!("spiffe://{}/service/payments", issued.trust_domain);
    assert_eq!(names.value.general_names, [GeneralName::URI(&own)]);
    assert_eq!(issued.spiffe_id, own);
    let nobody = greedy(&stack, "hdlj_nothing", "").await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated, "{nobody}");
}

/// An Envoy that has a listener of its own, and its certificate from the agent's socket.
fn envoy(socket: &str, listens: u16, admin: u16) -> String {
    let secret = |name: &str| {
        json!({"name": name, "sds_config": {"resource_api_version": "V3", "api_config_source": {
            "api_type": "GRPC", "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "heddle-agent"}}]}}})
    };
    let tls = json!({"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [secret("heddle/identity")],
            "validation_context_sds_secret_config": secret("heddle/trust")}}});
    let http = json!({"name": "http", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "own",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "it is me"}}}]}]},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}});
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    json!({
        "node": {"id": "own", "cluster": "own"},
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [{"name": "own", "address": address(listens),
                           "filter_chains": [{"transport_socket": tls, "filters": [http]}]}],
            "clusters": [{"name": "heddle-agent", "connect_timeout": "1s", "http2_protocol_options": {},
                "load_assignment": {"cluster_name": "heddle-agent", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"pipe": {"path": socket}}}}]}]}}]}
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_takes_its_certificate_from_the_agent_and_follows_it() {
    let (stack, api) = shop("20s").await;
    let folder = stack.directory.path();
    let agent = Agent::start(&stack.server, &api, folder, "payments").await;
    let peer = Agent::start(&stack.server, &api, folder, "ledger").await;
    for (version, name) in [
        (EnvoyVersion::Newest, "newest"),
        (EnvoyVersion::Oldest, "oldest"),
    ] {
        let [listens, admin] = free_ports();
        let bootstrap = envoy(&agent.socket().display().to_string(), listens, admin);
        let _envoy = Envoy::start(version, folder, name, &bootstrap, admin).await;
        // Another workload of the mesh, by files: it trusts who the bundle says, and shows who it is.
        let call = async || {
            let text = |file: &str| std::fs::read(peer.file(file)).unwrap();
            let identity = [text("svid.pem"), text("key.pem")].concat();
            let client = reqwest::Client::builder()
                .tls_certs_only([reqwest::Certificate::from_pem(&text("bundle.pem")).unwrap()])
                .identity(reqwest::Identity::from_pem(&identity).unwrap())
                .tls_danger_accept_invalid_hostnames(true)
                .tls_info(true)
                .build()
                .unwrap();
            let response = client
                .get(format!("https://127.0.0.1:{listens}/"))
                .send()
                .await
                .ok()?;
            let info = response.extensions().get::<reqwest::tls::TlsInfo>()?;
            let der = info.peer_certificate()?.to_vec();
            let (_, certificate) = X509Certificate::from_der(&der).ok()?;
            let serial = certificate.tbs_certificate.raw_serial_as_string();
            (response.text().await.ok()? == "it is me").then_some(serial)
        };
        let mut first = None;
        until(
            "it answers with the agent's certificate",
            SOON,
            async || {
                first = call().await;
                first.is_some()
            },
        )
        .await;
        until("it shows the next one", SOON, async || {
            call().await.is_some_and(|serial| Some(serial) != first)
        })
        .await;
    }
}
