//! Somebody whom a server calls, and who says whatever a test wants: a provider that lies, a webhook that does not answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::tls::write_tls;

/// What it says at each path, and what it was asked.
#[derive(Default)]
struct Said {
    answers: BTreeMap<String, Vec<u8>>,
    asked: BTreeMap<String, Vec<String>>,
}

/// Somebody hostile, over TLS. Dropping it stops it.
pub struct Hostile {
    directory: TempDir,
    port: u16,
    said: Arc<Mutex<Said>>,
    task: AbortHandle,
}

impl Hostile {
    /// One that describes itself as a provider should.
    ///
    /// # Panics
    /// There is no port, or no room for its certificate.
    pub async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::Builder::new()
            .prefix("heddle-hostile-")
            .tempdir()
            .expect("a directory");
        write_tls(directory.path(), "hostile", 1);
        let read = |name: &str| std::fs::read(directory.path().join(name)).expect("it was written");
        let certificate = rustls_pki_types::CertificateDer::from_pem_slice(&read("hostile.pem"));
        let key = PrivateKeyDer::from_pem_slice(&read("hostile.key")).expect("a key");
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.expect("a certificate")], key)
            .expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let said = Arc::new(Mutex::new(Said::default()));
        let shared = Arc::clone(&said);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (acceptor, said) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, &said).await;
                    }
                });
            }
        });
        let hostile = Self {
            directory,
            port,
            said,
            task: task.abort_handle(),
        };
        hostile.describe(&json!({}));
        hostile
    }

    /// What a server is told, to call it.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let ca = self.directory.path().join("hostile-ca.pem");
        [
            ("HEDDLE_EGRESS_ALLOW", "127.0.0.1/32".to_owned()),
            ("HEDDLE_EGRESS_CA", ca.to_string_lossy().into_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Where it is; as a provider, what it calls itself.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Describes itself with these fields in place of those that a provider has.
    pub fn describe(&self, more: &Value) {
        let issuer = self.url();
        let mut all = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "code_challenge_methods_supported": ["S256"],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        self.say("/.well-known/openid-configuration", 200, &all.to_string());
    }

    /// Says this at a path from now on.
    pub fn say(&self, path: &str, status: u16, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        self.say_bytes(path, answer.into_bytes());
    }

    /// The same, down to the last byte.
    pub fn say_bytes(&self, path: &str, answer: Vec<u8>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.answers.insert(path.to_owned(), answer);
    }

    /// Takes what comes at a path from now on, and never answers.
    pub fn hang(&self, path: &str) {
        self.say_bytes(path, Vec::new());
    }

    /// What it was asked at a path so far: whole requests.
    #[must_use]
    pub fn asked(&self, path: &str) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.asked.get(path).cloned().unwrap_or_default()
    }
}

/// Reads one request and answers it.
async fn answer(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    said: &Mutex<Said>,
) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !is_whole(&request) {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&chunk[..n]),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = said.answers.get(&path).cloned();
        said.asked.entry(path).or_default().push(request);
        answer.unwrap_or_else(|| {
            b"HTTP/1.1 404 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
        })
    };
    if answer.is_empty() {
        // Until the other side has enough of it.
        let _ = stream.read(&mut chunk).await;
        return;
    }
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or_default()
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}
