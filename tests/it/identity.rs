//! Who a workload is: certificates, mutual TLS and their renewal.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{Secret, secret};
use heddle_tests::{
    Api, EnvoyVersion, Outcome, Server, ServerOptions, Stack, Traffic, Workload, WorkloadSpec,
    XdsClient, node, until,
};
use prost::Message as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

pub(crate) const SECRET: &str = "envoy.extensions.transport_sockets.tls.v3.Secret";

/// Looks at nothing: the tests look at the certificate themselves.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A certificate with its key, as the xDS server hands it to a proxy.
pub(crate) async fn identity(
    server: &Server,
    api: &Api,
    mesh: &str,
    service: &str,
    name: &str,
) -> (Vec<u8>, Vec<u8>) {
    let body = json!({"name": name, "service": service});
    let token = api
        .post(&format!("/meshes/{mesh}/join-tokens"), body)
        .await
        .expect(201);
    let token = token.json["secret"].as_str().unwrap().to_owned();
    let mut client = XdsClient::connect(server, &token, node(name, service))
        .await
        .unwrap();
    client.subscribe(SECRET, &["heddle/identity"]).await;
    let (resources, _) = client.drain(Duration::from_secs(2)).await.unwrap();
    let secret = Secret::decode(resources["heddle/identity"].as_slice()).unwrap();
    let Some(secret::Type::TlsCertificate(certificate)) = secret.r#type else {
        panic!("not a certificate")
    };
    let bytes = |source: Option<envoy_types::pb::envoy::config::core::v3::DataSource>| match source
        .unwrap()
        .specifier
        .unwrap()
    {
        Specifier::InlineBytes(bytes) => bytes,
        Specifier::InlineString(text) => text.into_bytes(),
        other => panic!("not inline: {other:?}"),
    };
    (
        bytes(certificate.certificate_chain),
        bytes(certificate.private_key),
    )
}

/// One request over mutual TLS. The answer, and the URI names of the server's certificate.
pub(crate) async fn call(
    port: u16,
    identity: Option<&(Vec<u8>, Vec<u8>)>,
) -> Result<(String, Vec<String>), String> {
    let builder = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
                .collect::<Result<_, _>>()
                .unwrap();
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key).unwrap())
                .unwrap()
        }
    };
    let tcp = TcpStream::connect(("127.0.0.1", port))
        .await
        .map_err(|e| e.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("payments.shop.mesh").unwrap();
    let mut tls = connector
        .connect(name, tcp)
        .await
        .map_err(|e| e.to_string())?;
    let peer = tls.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let (_, certificate) = X509Certificate::from_der(&peer).unwrap();
    let names = certificate
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names
        .iter();
    let uris = names
        .map(|name| match name {
            GeneralName::URI(uri) => (*uri).to_owned(),
            other => panic!("not a URI: {other:?}"),
        })
        .collect();
    tls.write_all(b"GET / HTTP/1.1\r\nhost: payments\r\nconnection: close\r\n\r\n")
        .await
        .map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    // Envoy closes without a TLS close_notify at times; what was read counts.
    if let Err(error) = tls.read_to_end(&mut answer).await
        && answer.is_empty()
    {
        return Err(error.to_string());
    }
    if answer.is_empty() {
        return Err(String::from("closed without an answer"));
    }
    Ok((String::from_utf8_lossy(&answer).into_owned(), uris))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_p04_only_certificates_of_the_mesh_get_in() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["frontend", "payments"],
        )
        .await;
    let _ = api
        .put("/meshes/other", json!({"access_default": "allow"}))
        .await
        .expect(201);
    let ports = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let _ = api
        .put("/meshes/other/services/frontend", ports)
        .await
        .expect(201);
    let spec = WorkloadSpec::of_shop("payments", "payments-1", EnvoyVersion::Newest);
    let payments = Workload::start(&stack, &api, &spec).await;
    payments.ready(&api, "shop").await;
    let port = payments.inbound_port;

    // Plain text.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: payments\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(
        !String::from_utf8_lossy(&answer).contains("HTTP/1.1"),
        "answered plain text"
    );

    // No certificate; one of another mesh; one of this mesh.
    assert!(
        call(port, None).await.is_err(),
        "answered without a certificate"
    );
    let foreign = identity(&stack.server, &api, "other", "frontend", "foreign").await;
    let refused = call(port, Some(&foreign)).await;
    assert!(
        refused.is_err(),
        "another mesh's certificate was accepted: {refused:?}"
    );
    let own = identity(&stack.server, &api, "shop", "frontend", "own").await;
    let (answer, uris) = call(port, Some(&own)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mesh = api.get("/meshes/shop").await.expect(200);
    let trust_domain = mesh.json["status"]["trust_domain"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(trust_domain.starts_with("shop-"), "{trust_domain}");
    assert_eq!(uris, [format!("spiffe://{trust_domain}/service/payments")]);
    let shown = payments.envoy.certificates().await;
    let shown = shown["certificates"].as_array().unwrap().iter();
    let own_uris: Vec<String> = shown
        .flat_map(|c| c["cert_chain"].as_array().cloned().unwrap_or_default())
        .flat_map(|c| {
            c["subject_alt_names"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter_map(|n| n["uri"].as_str().map(ToOwned::to_owned))
        .collect();
    assert!(
        own_uris.contains(&format!("spiffe://{trust_domain}/service/payments")),
        "{own_uris:?}"
    );
    until(
        "the access log names the caller",
        Duration::from_secs(10),
        async || {
            let expected = format!("spiffe://{trust_domain}/service/frontend");
            payments
                .envoy
                .access_log()
                .iter()
                .any(|line| line.to_string().contains(&expected))
        },
    )
    .await;
    assert_eq!(
        payments.application.requests(),
        1,
        "only the rightful caller reached the application"
    );
}

/// A certificate of one's own making, with the name of a service of the mesh.
fn forged(trust_domain: &str) -> (Vec<u8>, Vec<u8>) {
    let mut params = rcgen::CertificateParams::default();
    let name = format!("spiffe://{trust_domain}/service/frontend");
    params.subject_alt_names = vec![rcgen::SanType::URI(name.try_into().unwrap())];
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (
        certificate.pem().into_bytes(),
        key.serialize_pem().into_bytes(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_p05_expired_and_self_signed_certificates_do_not_get_in() {
    let options = ServerOptions {
        leaf_lifetime: String::from("20s"),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let spec = json!({"access_default": "allow"});
    let services = ["frontend", "payments"];
    let api = stack.mesh("acme", "shop", spec, &services).await;
    let spec = WorkloadSpec::of_shop("payments", "payments-1", EnvoyVersion::Newest);
    let payments = Workload::start(&stack, &api, &spec).await;
    payments.ready(&api, "shop").await;
    let port = payments.inbound_port;
    let own = identity(&stack.server, &api, "shop", "frontend", "own").await;
    let (answer, _) = call(port, Some(&own)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mesh = api.get("/meshes/shop").await.expect(200);
    let trust_domain = mesh.json["status"]["trust_domain"].as_str().unwrap();
    let (leaf, key) = forged(trust_domain);
    // Alone, and with the mesh's own issuing certificate behind it.
    let issuing = CertificateDer::pem_slice_iter(&own.0).nth(1).unwrap();
    assert!(issuing.is_ok());
    let own_chain = String::from_utf8(own.0.clone()).unwrap();
    let rest = own_chain.match_indices("-----BEGIN").nth(1).unwrap().0;
    let chained = [&leaf[..], &own.0[rest..]].concat();
    for chain in [leaf, chained] {
        let refused = call(port, Some(&(chain, key.clone()))).await;
        assert!(refused.is_err(), "{refused:?}");
    }

    let first = CertificateDer::from_pem_slice(&own.0).unwrap();
    let (_, certificate) = X509Certificate::from_der(&first).unwrap();
    let end = certificate.validity().not_after.timestamp();
    until("it is refused", Duration::from_secs(40), async || {
        call(port, Some(&own)).await.is_err()
    })
    .await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(now >= end.unsigned_abs(), "refused before its end");
    let next = identity(&stack.server, &api, "shop", "frontend", "next").await;
    assert!(call(port, Some(&next)).await.is_ok());
}

/// The serials of the leaf certificates that an Envoy holds.
async fn serials(workload: &Workload) -> Vec<String> {
    let shown = workload.envoy.certificates().await;
    let mut serials: Vec<String> = shown["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| {
            c["cert_chain"][0]["serial_number"]
                .as_str()
                .map(ToOwned::to_owned)
        })
        .filter(|serial| !serial.is_empty())
        .collect();
    serials.sort();
    serials.dedup();
    serials
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_are_renewed_under_load_without_a_failed_request() {
    let options = ServerOptions {
        leaf_lifetime: String::from("20s"),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let api = stack
        .mesh(
            "acme",
            "shop",
            json!({"access_default": "allow"}),
            &["frontend", "payments"],
        )
        .await;
    let start = async |service, proxy, envoy| {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        Workload::start(&stack, &api, &spec).await
    };
    let frontend = start("frontend", "frontend-1", EnvoyVersion::Newest).await;
    let payments = start("payments", "payments-1", EnvoyVersion::Oldest).await;
    for workload in [&frontend, &payments] {
        workload.ready(&api, "shop").await;
    }
    until("payments answers", Duration::from_secs(20), async || {
        frontend.call("payments", "/").await.0 == 200
    })
    .await;
    let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
    let traffic = Traffic::start(&url, "payments", 3, Duration::from_millis(5), "/version");
    let mut seen: Vec<Vec<String>> = Vec::new();
    for workload in [&frontend, &payments] {
        let now = serials(workload).await;
        assert_eq!(now.len(), 1, "one leaf at a time: {now:?}");
        seen.push(now);
    }
    for round in 1..=3 {
        for (i, workload) in [&frontend, &payments].into_iter().enumerate() {
            let old = seen[i].last().unwrap().clone();
            until(
                &format!("renewal {round} of {}", workload.name),
                Duration::from_secs(30),
                async || {
                    let now = serials(workload).await;
                    now.len() == 1 && now[0] != old
                },
            )
            .await;
            let now = serials(workload).await;
            assert!(!seen[i].contains(&now[0]), "an old serial came back");
            seen[i].extend(now);
        }
    }
    let outcomes = traffic.stop().await;
    let failed = Outcome::failed(&outcomes);
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        outcomes.len(),
        failed.first()
    );
    assert!(outcomes.len() > 1_000, "only {} requests", outcomes.len());
}
