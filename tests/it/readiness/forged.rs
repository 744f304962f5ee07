//! Reports of whoever is not the proxy that it says it is: they cost nothing and count for nobody.

use std::time::Duration;

use heddle_tests::{Api, EnvoyVersion, Server, ServerOptions, Stack, Workload, until};
use serde_json::json;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Request};

use super::{PATIENCE, permissive, readiness, requests, start};
use crate::identity::identity;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

#[derive(Clone, PartialEq, prost::Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Level>,
}

/// Resources, and scopes below them.
#[derive(Clone, PartialEq, prost::Message)]
struct Level {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Scope {
    #[prost(message, repeated, tag = "2")]
    records: Vec<Record>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Text>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// Bytes where records should be.
#[derive(Clone, PartialEq, prost::Message)]
struct Junk {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

/// A call in plain text at the port of a service.
fn record(service: &str, port: &str, from: &str) -> Export {
    let pairs = [
        ("service", service),
        ("port", port),
        ("plain", "true"),
        ("from", from),
        ("type", "DownstreamEnd"),
    ];
    let attributes = pairs.map(|(key, text)| Attribute {
        key: key.to_owned(),
        value: Some(Text {
            text: text.to_owned(),
        }),
    });
    Export {
        resources: vec![Level {
            scopes: vec![Scope {
                records: vec![Record {
                    attributes: attributes.into(),
                }],
            }],
        }],
    }
}

/// Somebody with a certificate, or without.
struct Reporter(tonic::client::Grpc<Channel>);

impl Reporter {
    async fn connect(server: &Server, identity: Option<&(Vec<u8>, Vec<u8>)>) -> Self {
        let ca = Certificate::from_pem(server.xds_ca_pem());
        let mut tls = ClientTlsConfig::new().ca_certificate(ca);
        if let Some((chain, key)) = identity {
            tls = tls.identity(Identity::from_pem(chain, key));
        }
        let endpoint = Channel::from_shared(format!("https://127.0.0.1:{}", server.xds_port()));
        let endpoint = endpoint.unwrap().tls_config(tls).unwrap();
        Self(tonic::client::Grpc::new(endpoint.connect().await.unwrap()))
    }

    async fn says<M: prost::Message + Send + Sync + 'static>(
        &mut self,
        mesh: &str,
        what: M,
    ) -> Code {
        self.0.ready().await.unwrap();
        let mut request = Request::new(what);
        if !mesh.is_empty() {
            request
                .metadata_mut()
                .insert("heddle-mesh", mesh.parse().unwrap());
        }
        let codec = tonic_prost::ProstCodec::<M, Nothing>::default();
        let path = axum::http::uri::PathAndQuery::from_static(EXPORT);
        match self.0.unary(request, path, codec).await {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        }
    }
}

/// As an Envoy of a mesh names it.
async fn mesh_of(api: &Api, workload: &Workload) -> String {
    let mesh = api.get("/meshes/shop").await.expect(200).json;
    let uid = mesh["meta"]["uid"].as_str().unwrap();
    let told = workload.envoy.admin("/config_dump").await;
    let at = told.find(&format!("/{uid}\"")).expect("the mesh is named");
    let org = told[..at].rsplit('"').next().unwrap();
    format!("{org}/{uid}")
}

async fn outcome(stack: &Stack, outcome: &str) -> f64 {
    let name = format!("heddle_xds_reports_total{{outcome=\"{outcome}\"}}");
    stack
        .server
        .metrics()
        .await
        .get(&name)
        .copied()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t07_a_report_counts_for_the_service_and_mesh_of_its_certificate_alone() {
    let stack = Stack::start(ServerOptions::default()).await;
    let open = || json!({"access_default": "allow"});
    let services = ["frontend", "payments"];
    let ours = stack.mesh("acme", "shop", open(), &services).await;
    let theirs = stack.mesh("globex", "shop", open(), &services).await;
    let mut running = Vec::new();
    for (api, name) in [(&ours, "ours"), (&theirs, "theirs")] {
        running.push(start(&stack, api, "payments", name, EnvoyVersion::Newest).await);
        permissive(api).await;
    }
    let our_mesh = mesh_of(&ours, &running[0]).await;
    let their_mesh = mesh_of(&theirs, &running[1]).await;
    assert_ne!(our_mesh, their_mesh);
    let seen = async |api: &Api| requests(&readiness(api).await);

    // It is this that counts: the certificate of a proxy of the mesh, about its own service.
    let payments = identity(&stack.server, &ours, "shop", "payments", "p-2").await;
    let good = || record("payments", "http", "10.1.1.1");
    let mut reporter = Reporter::connect(&stack.server, Some(&payments)).await;
    assert_eq!(reporter.says(&our_mesh, good()).await, Code::Ok);
    until("it is counted", PATIENCE, async || seen(&ours).await == 1).await;

    // About others, or about what the service does not have.
    assert_eq!(
        reporter
            .says(&our_mesh, record("frontend", "http", "10.1.1.1"))
            .await,
        Code::Ok
    );
    assert_eq!(outcome(&stack, "foreign").await, 1.0);
    assert_eq!(
        reporter
            .says(&our_mesh, record("payments", "https", "10.1.1.1"))
            .await,
        Code::Ok
    );
    assert_eq!(
        reporter
            .says(&our_mesh, record("payments", "http", "nowhere"))
            .await,
        Code::Ok
    );
    let junk = Junk {
        bytes: vec![0xff; 100],
    };
    assert_ne!(reporter.says(&our_mesh, junk).await, Code::Ok);
    assert_eq!(outcome(&stack, "malformed").await, 2.0);
    // Larger than anything that is read.
    let large = Junk {
        bytes: vec![0; 1 << 20],
    };
    assert_ne!(reporter.says(&our_mesh, large).await, Code::Ok);

    // Of another mesh, of none, and without a certificate.
    let before = outcome(&stack, "unauthenticated").await;
    for mesh in [their_mesh.as_str(), "", "org_x/mesh_y", "nonsense"] {
        let mut anew = Reporter::connect(&stack.server, Some(&payments)).await;
        assert_eq!(
            anew.says(mesh, good()).await,
            Code::Unauthenticated,
            "{mesh}"
        );
    }
    let mut nobody = Reporter::connect(&stack.server, None).await;
    assert_eq!(nobody.says(&our_mesh, good()).await, Code::Unauthenticated);
    // One that looks the same, made by somebody else: a name is no proof.
    let names = vec![String::from("payments.example")];
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    let own = (
        own.cert.pem().into_bytes(),
        own.signing_key.serialize_pem().into_bytes(),
    );
    let mut forger = Reporter::connect(&stack.server, Some(&own)).await;
    assert_eq!(forger.says(&our_mesh, good()).await, Code::Unauthenticated);
    assert_eq!(outcome(&stack, "unauthenticated").await, before + 6.0);
    // On one connection nobody can go through meshes.
    assert_eq!(
        reporter.says(&their_mesh, good()).await,
        Code::Unauthenticated
    );
    assert_eq!(reporter.says(&our_mesh, good()).await, Code::Ok);
    until("it is counted", PATIENCE, async || seen(&ours).await == 2).await;
    assert_eq!(seen(&theirs).await, 0);

    // So many of a port are told apart a day; the others are one.
    for n in 0..150 {
        let from = format!("10.2.0.{n}");
        while reporter
            .says(&our_mesh, record("payments", "http", &from))
            .await
            == Code::ResourceExhausted
        {
            tokio::task::yield_now().await;
        }
    }
    until("all are counted", PATIENCE, async || {
        seen(&ours).await == 152
    })
    .await;
    let told = readiness(&ours).await;
    let callers = told["ports"][0]["callers"].as_array().unwrap();
    assert_eq!(callers.len(), 101);
    assert_eq!(
        callers[0]["address"],
        serde_json::Value::Null,
        "{}",
        callers[0]
    );
    assert_eq!(callers[0]["requests"], 51);

    // Whoever is revoked reports no more.
    let revoke = json!({"proxy": "p-2", "reason": "stolen"});
    let _ = ours
        .post("/meshes/shop/revocations", revoke)
        .await
        .expect(201);
    until("nobody listens", Duration::from_secs(30), async || {
        reporter.says(&our_mesh, good()).await == Code::Unauthenticated
    })
    .await;
}
