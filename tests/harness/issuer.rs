//! An issuer of tokens of end users, and a server over TLS that has its keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, SigningKey as _,
};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// Signs tokens with a key of its own, Ed25519.
pub struct Issuer {
    /// The `iss` of its tokens.
    pub name: String,
    key: KeyPair,
}

/// Base64url without padding, as JOSE has it.
fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    /// One with a new key.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            key: KeyPair::generate_for(&PKCS_ED25519).expect("keys can be made"),
        }
    }

    /// Its public key as a set.
    #[must_use]
    pub fn jwks(&self) -> String {
        let x = base64url(self.key.public_key_raw());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.name, "x": x}]})
            .to_string()
    }

    /// A token with these claims, and nothing else.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "kid": self.name, "typ": "JWT"});
        let signed = Self::unsigned(&header, claims);
        let signature = self.key.sign(signed.as_bytes()).expect("it can be signed");
        format!("{signed}.{}", base64url(&signature))
    }

    /// A header and claims, ready to be signed.
    #[must_use]
    pub fn unsigned(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        format!("{}.{}", part(header), part(claims))
    }
}

/// Serves a key set over TLS at `localhost`, with a certificate by an authority of its own. Dropping it stops it.
pub struct KeyServer {
    asked: Arc<AtomicU64>,
    task: AbortHandle,
}

impl KeyServer {
    /// The authority, the certificate for `localhost` and its key, for servers of one address.
    fn certificate() -> (String, Vec<u8>, Vec<u8>) {
        let mut root = CertificateParams::new(Vec::new()).expect("no names");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Two certificates of one name would pass for self-signed ones.
        let name = &mut root.distinguished_name;
        name.push(DnType::CommonName, "an authority of key servers");
        let key = KeyPair::generate().expect("keys can be made");
        let root = CertifiedIssuer::self_signed(root, key).expect("it can be signed");
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("keys can be made");
        let leaf = leaf.signed_by(&key, &root).expect("it can be signed");
        (root.pem(), leaf.der().to_vec(), key.serialize_der())
    }

    /// Reserves an address and makes a certificate; [`Self::start`] answers there.
    #[must_use]
    pub fn plan(port: u16) -> PlannedKeyServer {
        let (ca_pem, leaf, key) = Self::certificate();
        PlannedKeyServer {
            port,
            ca_pem,
            leaf,
            key,
        }
    }

    /// How many times it was asked.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A server of keys that does not answer yet.
pub struct PlannedKeyServer {
    port: u16,
    /// The authority, in PEM.
    pub ca_pem: String,
    leaf: Vec<u8>,
    key: Vec<u8>,
}

impl PlannedKeyServer {
    /// Where it will be.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("https://localhost:{}/keys", self.port)
    }

    /// Answers from now on.
    pub async fn start(&self, jwks: String) -> KeyServer {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = PrivateKeyDer::try_from(self.key.clone()).expect("a key");
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.leaf.clone().into()], key)
            .expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await;
        let listener = listener.expect("the port is free");
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                // One small request and one answer for each connection.
                let mut head = vec![0; 4096];
                if stream.read(&mut head).await.is_err() {
                    continue;
                }
                counter.fetch_add(1, Ordering::Relaxed);
                let length = jwks.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{jwks}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        KeyServer {
            asked,
            task: task.abort_handle(),
        }
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
