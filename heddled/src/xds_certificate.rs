//! The certificate of the xDS server: read at the start, and again when its files have changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::digest;
use heddle_model::clock::SharedClock;
use heddle_xds_server::ServerTls;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::ServerFiles;

/// How often the files are looked at. SIGHUP has it done at once.
const LOOK: Duration = Duration::from_secs(10);
const FAILED: &str = "heddle_xds_certificate_reload_failures_total";
const NOT_AFTER: &str = "heddle_xds_certificate_not_after_seconds";

/// What the files held, and what is shown of it.
pub(crate) struct XdsCertificate {
    certificate: PathBuf,
    key: PathBuf,
    seen: Vec<u8>,
    shown: Arc<ServerTls>,
}

/// What the files hold.
struct Read {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Of both files, so that neither has to be kept.
    digest: Vec<u8>,
}

impl XdsCertificate {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together.
    pub(crate) fn read(
        files: &ServerFiles<'_>,
        clock: SharedClock,
    ) -> anyhow::Result<(Self, Arc<ServerTls>)> {
        describe_counter!(
            FAILED,
            "Times that changed files of the xDS server's certificate could not be used"
        );
        counter!(FAILED).increment(0);
        describe_gauge!(
            NOT_AFTER,
            "When the xDS server's certificate ends, in seconds since 1970"
        );
        let (certificate, key) = (files.xds_tls_cert.to_owned(), files.xds_tls_key.to_owned());
        let read = Read::of(&certificate, &key)?;
        publish(read.end());
        let seen = read.digest;
        let shown = ServerTls::new(read.chain, read.key, clock)
            .context("use the xDS server's certificate and key")?;
        let itself = Self {
            certificate,
            key,
            seen,
            shown: Arc::clone(&shown),
        };
        Ok((itself, shown))
    }

    /// Shows what the files hold whenever that has changed. While they make no sense, as between the writing of the one and of the
    /// other, what was shown before is shown.
    ///
    /// # Errors
    /// There is no hearing of SIGHUP.
    pub(crate) async fn follow(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut asked = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
                _ = asked.recv() => {}
            }
            match self.look() {
                Ok(true) => tracing::info!("the xDS server shows another certificate"),
                Ok(false) => {}
                Err(error) => {
                    counter!(FAILED).increment(1);
                    let error = format!("{error:#}");
                    tracing::warn!(
                        error,
                        "the xDS server's certificate cannot be read again; the one before stays"
                    );
                }
            }
        }
    }

    /// Whether there was something new.
    fn look(&mut self) -> anyhow::Result<bool> {
        let read = Read::of(&self.certificate, &self.key)?;
        if read.digest == self.seen {
            return Ok(false);
        }
        let end = read.end();
        self.shown
            .replace(read.chain, read.key)
            .context("use the xDS server's certificate and key")?;
        publish(end);
        self.seen = read.digest;
        Ok(true)
    }
}

impl Read {
    fn of(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let read =
            |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
        let (chain_pem, key_pem) = (read(certificate)?, zeroize::Zeroizing::new(read(key)?));
        let mut digest = digest::Context::new(&digest::SHA256);
        for file in [&chain_pem, &*key_pem] {
            digest.update(&file.len().to_be_bytes());
            digest.update(file);
        }
        Ok(Self {
            chain: CertificateDer::pem_slice_iter(&chain_pem)
                .collect::<Result<_, _>>()
                .with_context(|| format!("read {}", certificate.display()))?,
            key: PrivateKeyDer::from_pem_slice(&key_pem)
                .with_context(|| format!("read {}", key.display()))?,
            digest: digest.finish().as_ref().to_vec(),
        })
    }

    /// When the server's own certificate ends.
    fn end(&self) -> Option<i64> {
        let (_, first) = X509Certificate::from_der(self.chain.first()?).ok()?;
        Some(first.validity().not_after.timestamp())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a number of seconds that a double holds exactly"
)]
fn publish(end: Option<i64>) {
    if let Some(end) = end {
        gauge!(NOT_AFTER).set(end as f64);
    }
}
