//! What the server shows of itself in a handshake, and by what a client that was here before goes on.
//!
//! The certificate can be replaced while the server runs: connections that come later see the new one, and those that are there
//! keep what they have agreed on. Servers that show the same certificate take each other's session tickets.

mod shown;
mod socket;
mod tickets;

use std::sync::{Arc, PoisonError, RwLock};

use heddle_model::clock::SharedClock;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use shown::ShownByClients;
pub(crate) use socket::TlsSocket;
use tickets::Tickets;

/// The server's certificate with its key, and how handshakes go.
#[derive(Debug)]
pub struct ServerTls {
    shown: Arc<Shown>,
    tickets: Arc<Tickets>,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Shows this chain, the server's own certificate first.
    ///
    /// # Errors
    /// The key is of no kind that is known, or not the certificate's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        clock: SharedClock,
    ) -> Result<Arc<Self>, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tickets = Arc::new(Tickets::new(key.secret_der(), clock));
        let shown = Arc::new(Shown(RwLock::new(certified(chain, key, &provider)?)));
        let algorithms = provider.signature_verification_algorithms;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(ShownByClients::new(algorithms)))
            .with_cert_resolver(Arc::clone(&shown) as _);
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Nothing is kept of a client that is gone; it comes back with its ticket, once at a time.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&tickets) as _;
        config.send_tls13_tickets = 1;
        Ok(Arc::new(Self {
            shown,
            tickets,
            config: Arc::new(config),
        }))
    }

    /// Shows another chain from now on. Tickets that were given out with another key are good for nothing any more.
    ///
    /// # Errors
    /// As [`ServerTls::new`]; then nothing changes.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), rustls::Error> {
        let secret = key.clone_key();
        let certified = certified(chain, key, self.config.crypto_provider())?;
        self.tickets.replace(secret.secret_der());
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    CertifiedKey::from_der(chain, key, provider).map(Arc::new)
}

/// What is shown now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&now))
    }
}
