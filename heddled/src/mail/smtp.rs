//! Mail handed to a mail server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Failure, Mailer, Message};

/// How long each answer of the mail server may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A mail server.
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// A mail server that a URL names.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    way: Way,
    host: String,
    /// Whether it is on this machine.
    own: bool,
}

/// How a mail server is spoken to, and where it is.
fn place(url: &str) -> anyhow::Result<Place> {
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
    Ok(Place { way, host, own })
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

/// Whether the mail server of a URL is on this machine.
///
/// # Errors
/// The URL cannot be used.
pub(crate) fn is_here(url: &str) -> anyhow::Result<bool> {
    Ok(place(url)?.own)
}

/// What the organisation learns whose mail was not taken: never what the mail server said.
fn words(error: &Error) -> String {
    let what = if error.is_permanent() {
        "the mail server refuses it"
    } else if error.is_transient() {
        "the mail server does not take it yet"
    } else if error.is_timeout() {
        "the mail server does not answer"
    } else {
        "the mail server cannot be reached"
    };
    let code = error.status().map(|code| format!(" ({code})"));
    format!("{what}{}", code.unwrap_or_default())
}

impl Smtp {
    pub(super) fn new(
        url: &SecretString,
        ca: Option<&Path>,
        from: Mailbox,
    ) -> anyhow::Result<Self> {
        let url = url.expose_secret();
        let Place { way, host, .. } = place(url)?;
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
    async fn send(&self, message: &Message) -> Result<(), Failure> {
        let formed = message.formed(&self.from)?;
        let sent = self.transport.send(formed).await;
        sent.map_err(|error| Failure::new(&words(&error), error))?;
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
            let place = place(url).unwrap();
            assert_eq!(place.way, way, "{url}");
            assert_eq!(place.own, way == Way::Plain, "{url}");
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

    #[tokio::test]
    async fn what_a_mail_server_says_is_for_whoever_runs_heddle() {
        use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let refusing = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 relay7.internal\r\n").await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                let answer = if line.starts_with("MAIL") {
                    "550 5.7.1 relay7.internal: ask eve@internal\r\n"
                } else {
                    "250 relay7.internal\r\n"
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                line.clear();
            }
        });
        let from: Mailbox = "Heddle <heddle@example.com>".parse().unwrap();
        let smtp = Smtp::new(&url.into(), None, from).unwrap();
        let message = Message {
            id: "mail_1".to_owned(),
            to: "ada@example.com".to_owned(),
            subject: "Hello".to_owned(),
            text: "Hello.\n".to_owned(),
        };
        let failure = smtp.send(&message).await.unwrap_err();
        assert_eq!(failure.why, "the mail server refuses it (550)");
        assert!(format!("{:#}", failure.error).contains("relay7.internal"));
        drop(smtp);
        refusing.await.unwrap();
    }
}
