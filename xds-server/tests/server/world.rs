//! A running server on a free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use heddle_model::clock::SystemClock;
use heddle_xds_server::{Options, ProxyStatus, ServeError, ServerTls, serve};
use rustls::{ClientConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::client::{Ads, Node};
use crate::source::{Identities, Source};

pub(crate) struct World {
    pub(crate) source: Arc<Source>,
    pub(crate) identities: Arc<Identities>,
    pub(crate) address: SocketAddr,
    pub(crate) ca: String,
    pub(crate) certificate: Certificate,
    pub(crate) tls: Option<Arc<ServerTls>>,
    options: Options,
    shutdown: CancellationToken,
    server: Option<JoinHandle<Result<(), ServeError>>>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_leaves_of(TimeDelta::hours(24)).await
    }

    pub(crate) async fn with_leaves_of(lifetime: TimeDelta) -> Self {
        Self::with(lifetime, |_| {}).await
    }

    /// With other options.
    pub(crate) async fn with(lifetime: TimeDelta, change: impl FnOnce(&mut Options)) -> Self {
        let mut world = Self::unserved(lifetime, Certificate::new());
        change(&mut world.options);
        world.serve().await;
        world
    }

    fn unserved(lifetime: TimeDelta, certificate: Certificate) -> Self {
        Self {
            source: Source::new(),
            identities: Identities::new(lifetime),
            address: ([127, 0, 0, 1], 0).into(),
            ca: String::new(),
            certificate,
            tls: None,
            options: Options {
                endpoint_grace: Duration::from_millis(100),
                endpoint_drain: Duration::from_millis(200),
                checkpoint_interval: Duration::from_millis(10),
                drain_deadline: Duration::from_secs(1),
                ..Options::default()
            },
            shutdown: CancellationToken::new(),
            server: None,
        }
    }

    /// A server that shows the certificate of another one.
    pub(crate) async fn beside(other: &Self) -> Self {
        let mut world = Self::unserved(TimeDelta::hours(24), other.certificate.copy());
        world.serve().await;
        world
    }

    async fn serve(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.shutdown = CancellationToken::new();
        let (chain, key) = self.certificate.parts();
        let tls = ServerTls::new(chain, key, Arc::new(SystemClock)).unwrap();
        self.ca.clone_from(&self.certificate.pem);
        self.tls = Some(Arc::clone(&tls));
        self.server = Some(tokio::spawn(serve(
            listener,
            tls,
            self.source.clone(),
            self.identities.clone(),
            self.options.clone(),
            Arc::new(SystemClock),
            self.shutdown.clone(),
        )));
    }

    /// A connection with TLS and HTTP/2 agreed on, and nothing said yet.
    pub(crate) async fn dial(&self) -> TlsStream<TcpStream> {
        let config = self.certificate.client(rustls::DEFAULT_VERSIONS);
        self.dial_as(Arc::new(config)).await
    }

    /// The same, as this client.
    pub(crate) async fn dial_as(&self, client: Arc<ClientConfig>) -> TlsStream<TcpStream> {
        let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
        let socket = TcpStream::connect(self.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(client);
        connector.connect(name, socket).await.unwrap()
    }

    /// Stops the server in an orderly way and waits for its end.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        let server = self.server.take().unwrap();
        let outcome = tokio::time::timeout(Duration::from_secs(5), server).await;
        outcome.expect("it stops in time").unwrap().unwrap();
    }

    /// Another server takes over with what is stored.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.serve().await;
    }

    /// A proxy with its whole configuration.
    pub(crate) async fn proxy(&self, token: &str, node: &Node) -> Ads {
        let mut ads = Ads::open(self, token, node).await.unwrap();
        ads.load().await;
        ads
    }

    /// A proxy that has its whole configuration and is an endpoint, with nothing left to be said.
    pub(crate) async fn settled(&self, token: &str, node: &Node) -> Ads {
        let mut ads = self.proxy(token, node).await;
        let me = (node.address.clone(), 1);
        let cluster = format!("heddle/{}/http", node.service);
        while !ads.endpoints(&cluster).contains(&me) {
            ads.step().await;
        }
        let proxy = self.source.proxy(token, &node.id);
        let settled = |status: &ProxyStatus| {
            status.registration.is_some() && status.acked_revision == status.target_revision
        };
        self.source.until(proxy, settled).await;
        ads
    }
}

/// A certificate for `localhost`, and its key.
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            der: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            pem: certificate.pem(),
        }
    }

    fn copy(&self) -> Self {
        Self {
            der: self.der.clone(),
            key: self.key.clone_key(),
            pem: self.pem.clone(),
        }
    }

    /// What a server or a replacement wants.
    pub(crate) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.der.clone()], self.key.clone_key())
    }

    /// A client that trusts it, with TLS of these versions.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}
