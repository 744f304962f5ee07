//! The client: one for the whole server, cheap to clone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

use crate::failed::{Failed, Unresolved};
use crate::guard::Guard;
use crate::target::Target;

/// How long a call may take, from the name to the last byte.
pub const LONGEST: Duration = Duration::from_secs(5);
/// How much of an answer is read.
pub const MOST_BYTES: usize = 1 << 20;
/// How long a connection is kept for the next call to the same host.
const IDLE: Duration = Duration::from_secs(10);

/// Makes calls.
#[derive(Debug, Clone)]
pub struct Caller {
    client: reqwest::Client,
    guard: Arc<Guard>,
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status. Redirects are not followed: 3xx is an answer like any other.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it was sent: nothing is decompressed.
    pub body: Bytes,
}

impl Caller {
    /// A client that calls where the guard lets it, and trusts the authorities of this machine and `more`.
    ///
    /// # Errors
    /// One of `more` is no certificate, or the client cannot be made.
    pub fn new(guard: Guard, more: Vec<CertificateDer<'static>>) -> Result<Self, Unusable> {
        let guard = Arc::new(guard);
        let mut roots = RootCertStore::empty();
        // A machine without any is one that calls nobody: each call then says whose certificate it does not trust.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in more {
            roots
                .add(certificate)
                .map_err(|e| Unusable(e.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Unusable(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .http1_only()
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Guarded(Arc::clone(&guard)))
            .timeout(LONGEST)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("heddle/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Unusable(e.to_string()))?;
        Ok(Self { client, guard })
    }

    /// Whether an address could be called, as far as it says so itself: an IP address is judged, a name only when it is called.
    ///
    /// # Errors
    /// [`Failed::Kept`].
    pub fn check(&self, target: &Target) -> Result<(), Failed> {
        // The client asks its resolver about names alone.
        if let Some(address) = target.address() {
            self.guard.check(address)?;
        }
        Ok(())
    }

    /// Calls.
    ///
    /// # Errors
    /// [`Failed`]: whatever the answer says is no error here.
    pub async fn call(
        &self,
        method: Method,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failed> {
        self.check(target)?;
        let request = self.client.request(method, target.url());
        let mut response = request.headers(headers).body(body).send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(Failed::Long);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.into(),
        })
    }
}

/// No client can be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// Resolves names by way of the operating system, and lets only those addresses through that may be called.
struct Guarded(Arc<Guard>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|_| Unresolved::Nothing)?;
            let mut kept = None;
            let mut good: Vec<SocketAddr> = Vec::new();
            for address in found {
                match guard.check(address.ip()) {
                    Ok(()) => good.push(address),
                    Err(why) => kept = Some(why),
                }
            }
            match (good.is_empty(), kept) {
                (false, _) => Ok(Box::new(good.into_iter()) as Addrs),
                (true, Some(why)) => Err(Unresolved::Kept(why).into()),
                (true, None) => Err(Unresolved::Nothing.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
