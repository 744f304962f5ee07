//! Mail handed to a mail server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Mailer, Message};

/// How long each answer of the mail server may take, and all of it: less than others wait before they try.
const ANSWER: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(60);

/// A mail server.
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// How a mail server is spoken to, and its host.
fn place(url: &str) -> anyhow::Result<(Way, String)> {
    // Nothing of a URL that is none is repeated: it may hold a password.
    let wrong = "smtp_url: it is not like smtps://user:password@mail.example.com";
    let parsed: http::Uri = url.parse().ok().context(wrong)?;
    let host = parsed.host().context(wrong)?.to_owned();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let own = bare == "localhost"
        || bare
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let way = match (parsed.scheme_str(), parsed.query()) {
        (Some("smtps"), None) => Way::Wrapped,
        (Some("smtp"), Some("tls=required")) => Way::Upgraded,
        (Some("smtp"), None) if own => Way::Plain,
        (Some("smtp"), None) => bail!(
            "smtp_url: links in mails let people in, so without TLS mail goes to this machine only; use smtps:// or smtp://...?tls=required"
        ),
        _ => bail!(wrong),
    };
    Ok((way, host))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// TLS from the first byte.
    Wrapped,
    /// STARTTLS, or nothing.
    Upgraded,
    /// No TLS.
    Plain,
}

/// Whether a URL can be used.
pub(crate) fn check(url: &str) -> anyhow::Result<()> {
    place(url).map(|_| ())
}

impl Smtp {
    pub(super) fn new(
        url: &SecretString,
        ca: Option<&Path>,
        from: Mailbox,
    ) -> anyhow::Result<Self> {
        let url = url.expose_secret();
        let (way, host) = place(url)?;
        let mut tls = TlsParameters::builder(host);
        if let Some(ca) = ca {
            let pem = std::fs::read(ca).with_context(|| format!("read {}", ca.display()))?;
            let certificate = Certificate::from_pem(&pem).context("smtp_ca")?;
            tls = tls
                .certificate_store(CertificateStore::None)
                .add_root_certificate(certificate);
        }
        let tls = tls.build_rustls().context("prepare TLS")?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .ok()
            .context("smtp_url: it cannot be used")?
            .tls(match way {
                Way::Wrapped => Tls::Wrapper(tls),
                Way::Upgraded => Tls::Required(tls),
                Way::Plain => Tls::None,
            })
            .timeout(Some(ANSWER))
            .build();
        Ok(Self { transport, from })
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, message: &Message) -> anyhow::Result<()> {
        let formed = message.formed(&self.from)?;
        let sent = tokio::time::timeout(WHOLE, self.transport.send(formed)).await;
        sent.context("the mail server does not answer")?
            .context("hand it to the mail server")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_mail_goes_to_this_machine_only() {
        for (url, way) in [
            ("smtps://ada:secret@mail.example.com", Way::Wrapped),
            ("smtp://mail.example.com:587?tls=required", Way::Upgraded),
            ("smtp://127.0.0.1:2525", Way::Plain),
            ("smtp://[::1]:25", Way::Plain),
            ("smtp://localhost", Way::Plain),
        ] {
            assert_eq!(place(url).unwrap().0, way, "{url}");
        }
        for url in [
            "smtp://ada:hunter2@mail.example.com",
            "smtp://ada:hunter2@mail.example.com?tls=opportunistic",
            "http://ada:hunter2@mail.example.com",
            "mail.example.com hunter2",
            "",
        ] {
            let error = format!("{:#}", place(url).unwrap_err());
            assert!(
                error.contains("smtp_url") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
