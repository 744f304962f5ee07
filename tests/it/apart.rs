//! The certificate authority as a process of its own: the server has no key, and does without that process for a while.

use std::time::Duration;

use envoy_types::pb::google::protobuf::{Struct, Value as Junk, value::Kind};
use heddle_tests::{Authority, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, until};
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

const SOON: Duration = Duration::from_secs(20);

/// What `/readyz` says of it.
async fn degraded(url: &str) -> Value {
    let answer = reqwest::get(format!("{url}/readyz")).await.unwrap();
    assert_eq!(answer.status(), 200, "it still gets traffic");
    let mut body: Value = answer.json().await.unwrap();
    body["degraded"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s54_c11_a_server_without_a_key_asks_a_process_that_may_be_away() {
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
    // The key goes where the server has nothing to look for.
    let key = keys.path().join("sealing.key");
    std::fs::rename(stack.directory.path().join("sealing.key"), &key).unwrap();
    let key = format!("file:{}", key.display());
    let url = stack.server.url();
    let ready = async || stack.server.metrics().await["heddle_ca_ready"];
    until("its absence is noticed", SOON, async || {
        degraded(&url).await == json!(["certificate_authority"])
    })
    .await;

    let mut authority =
        Authority::start(&socket, &stack.postgres, &[("HEDDLE_SEALING_KEY", &key)]).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", authority.pid())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let spec = json!({"access_default": "allow"});
    let api = stack
        .mesh("acme", "shop", spec, &["frontend", "payments"])
        .await;
    let workload = async |service: &'static str, proxy: &'static str| {
        let spec = WorkloadSpec::of_shop(service, proxy, EnvoyVersion::Newest);
        Workload::start(&stack, &api, &spec).await
    };
    let frontend = workload("frontend", "frontend-1").await;
    let payments = workload("payments", "payments-1").await;
    frontend.ready(&api, "shop").await;
    payments.ready(&api, "shop").await;
    let answers = async || frontend.call("payments", "/").await.0 == 200;
    until("payments answers over mutual TLS", SOON, answers).await;
    until("its presence is noticed", SOON, async || {
        degraded(&url).await == Value::Null
    })
    .await;
    assert_eq!(ready().await, 1.0);

    // As whoever signs in does: the key of sessions is opened over there.
    let created = [
        "member",
        "create",
        "--org",
        "acme",
        "--email",
        "a@acme.example",
        "--role",
        "admin",
        "--json",
    ];
    let member = stack.server.admin(&created).await;
    let sign_in = json!({"org": "acme", "email": "a@acme.example", "password": member["password"]});
    let client = reqwest::Client::new();
    let signed = client
        .post(format!("{url}/v1/sessions"))
        .json(&sign_in)
        .send()
        .await
        .unwrap();
    assert_eq!(signed.status(), 201, "{}", signed.text().await.unwrap());

    authority.kill().await;
    until("that is noticed", SOON, async || {
        degraded(&url).await == json!(["certificate_authority"])
    })
    .await;
    assert_eq!(ready().await, 0.0);
    assert!(answers().await, "what is connected goes on");
    let late = workload("payments", "payments-2").await;
    let body = json!({
        "ports": [{"name": "http", "port": 8080, "protocol": "http"}],
        "defaults": {"timeout": "9s"}
    });
    let _ = api
        .put("/meshes/shop/services/payments", body)
        .await
        .expect(200);
    // It is ready when it has everything of the mesh's newest revision.
    frontend.ready(&api, "shop").await;
    assert!(answers().await);
    assert_eq!(
        stack
            .server
            .log()
            .matches("no certificate can be issued")
            .count(),
        2,
        "said once each time"
    );

    authority.start_again().await;
    late.ready(&api, "shop").await;
    until("that is noticed too", SOON, async || {
        degraded(&url).await == Value::Null
    })
    .await;
    assert_eq!(ready().await, 1.0);
}

/// What a process that signs answers to a call of this name with this in it, which is nothing that it knows.
async fn asked(socket: &std::path::Path, call: &str, junk: Struct) -> Code {
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).unwrap();
    let mut grpc = Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let path = format!("/heddle.ca.v1.Authority/{call}").parse().unwrap();
    let codec = ProstCodec::<Struct, Struct>::default();
    let answer = grpc.unary(Request::new(junk), path, codec).await;
    answer.expect_err("it is refused").code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c05_c07_what_is_no_call_or_makes_no_sense_signs_nothing() {
    let keys = tempfile::Builder::new()
        .prefix("heddle-ca-")
        .tempdir_in("/tmp")
        .unwrap();
    let socket = keys.path().join("ca.sock");
    let stack = Stack::start(ServerOptions::default()).await;
    let key = stack.directory.path().join("sealing.key");
    let key = format!("file:{}", key.display());
    let mut authority =
        Authority::start(&socket, &stack.postgres, &[("HEDDLE_SEALING_KEY", &key)]).await;
    let junk = || Struct {
        fields: [(
            "a".to_owned(),
            Junk {
                kind: Some(Kind::NumberValue(1.0)),
            },
        )]
        .into(),
    };
    for unknown in [
        "Sign",
        "issue",
        "IssueCertificate",
        "",
        "Issue/",
        "Check/../Issue",
    ] {
        let code = asked(&socket, unknown, junk()).await;
        assert_eq!(code, Code::Unimplemented, "{unknown}");
    }
    let calls = [
        "Issue",
        "Certify",
        "MakeRoot",
        "MakeIssuing",
        "MakeRequest",
        "SealSessionKey",
        "OpenSessionKey",
    ];
    for call in calls {
        for with in [Struct::default(), junk()] {
            let code = asked(&socket, call, with).await;
            let refused = matches!(code, Code::InvalidArgument | Code::Internal);
            assert!(refused, "{call}: {code:?}");
        }
    }
    let written: i64 = sqlx::query_scalar("select count(*) from heddle.certificates")
        .fetch_one(&mut stack.postgres.inspect().await)
        .await
        .unwrap();
    assert_eq!(written, 0);
    // It is none the worse for it.
    let check = asked(&socket, "Unknown", Struct::default()).await;
    assert_eq!(check, Code::Unimplemented);
    authority.kill().await;
}
