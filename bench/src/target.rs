//! The server under load, and how a connection to it is made.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// How long a connection may take, as our bootstrap has it; handshakes come after that.
const CONNECT: Duration = Duration::from_secs(2);

/// Anything that bytes go through.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An xDS server on this machine, or several that are one.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    /// The others; each attempt to connect goes to another one.
    others: Vec<SocketAddr>,
    asks: bool,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    /// Only loopback: a load goes nowhere else.
    ///
    /// # Errors
    /// The address is not loopback, or the TLS files cannot be used.
    pub fn new(
        address: SocketAddr,
        ca: Option<&Path>,
        client: Option<(&Path, &Path)>,
    ) -> anyhow::Result<Self> {
        if !address.ip().is_loopback() {
            bail!("{address} is not loopback; a load goes nowhere else");
        }
        let Some(ca) = ca else {
            return Ok(Self {
                address,
                others: Vec::new(),
                asks: false,
                tls: None,
            });
        };
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(ca).with_context(|| format!("read {}", ca.display()))?
        {
            roots.add(certificate.context("read a CA certificate")?)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match client {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(chain)?.collect();
                config.with_client_auth_cert(chain?, PrivateKeyDer::from_pem_file(key)?)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::IpAddress(address.ip().into());
        Ok(Self {
            address,
            others: Vec::new(),
            asks: false,
            tls: Some((TlsConnector::from(Arc::new(config)), name)),
        })
    }

    /// The same, with another server beside it that has the same certificate.
    ///
    /// # Errors
    /// The address is not loopback.
    pub fn and(mut self, other: SocketAddr) -> anyhow::Result<Self> {
        if !other.ip().is_loopback() {
            bail!("{other} is not loopback; a load goes nowhere else");
        }
        self.others.push(other);
        Ok(self)
    }

    /// The same, asked now and then whether it is there: who is not heard of is given up. Off unless that is what is looked at, since
    /// every question costs both sides something.
    #[must_use]
    pub fn asking(mut self) -> Self {
        self.asks = true;
        self
    }

    /// Whether connections ask.
    pub(crate) const fn asks(&self) -> bool {
        self.asks
    }

    /// How URLs of it begin.
    pub const fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Where the first of its servers is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects, at each attempt to another server. Spread over source addresses, since one pair of addresses has only 28,000 ports.
    ///
    /// # Errors
    /// Nobody is there.
    pub async fn connect(&self, number: usize, attempt: usize) -> anyhow::Result<Box<dyn Io>> {
        let which = (number + attempt) % (1 + self.others.len());
        let address = match which {
            0 => self.address,
            other => self.others[other - 1],
        };
        let socket = match address {
            SocketAddr::V4(_) => {
                let socket = TcpSocket::new_v4()?;
                let last = u8::try_from(2 + number % 8).unwrap_or(2);
                socket.bind(SocketAddr::new(
                    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)),
                    0,
                ))?;
                socket
            }
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        let connecting = tokio::time::timeout(CONNECT, socket.connect(address));
        let stream: TcpStream = connecting.await.context("nobody answers")??;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
        }
    }
}
