//! What may be called for customers, who name addresses.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use heddle_egress::{Caller, Guard};
use heddle_model::net::Cidr;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Where calls for customers may go, and whom they trust.
#[derive(Debug, Clone, Default)]
pub(crate) struct Egress {
    allow: Vec<Cidr>,
    deny: Vec<Cidr>,
    ca: Option<PathBuf>,
}

impl Egress {
    /// Understands what was set.
    ///
    /// # Errors
    /// One of the networks is none.
    pub(super) fn settle(
        allow: &[String],
        deny: &[String],
        ca: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            allow: networks("egress_allow", allow)?,
            deny: networks("egress_deny", deny)?,
            ca,
        })
    }

    /// What makes the calls.
    ///
    /// # Errors
    /// The file has no certificates, or the client cannot be made.
    pub(crate) fn caller(&self) -> anyhow::Result<Caller> {
        let mut more = Vec::new();
        if let Some(path) = &self.ca {
            let wrong = || format!("egress_ca: read {}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).with_context(wrong)? {
                more.push(certificate.with_context(wrong)?);
            }
            if more.is_empty() {
                return Err(anyhow!("egress_ca: {} has no certificate", path.display()));
            }
        }
        let guard = Guard::new(self.allow.clone(), self.deny.clone());
        Caller::new(guard, more).context("egress_ca")
    }

    /// The same as environment variables.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        for (name, networks) in [
            ("HEDDLE_EGRESS_ALLOW", &self.allow),
            ("HEDDLE_EGRESS_DENY", &self.deny),
        ] {
            let texts = networks
                .iter()
                .map(|one| format!("{}/{}", one.address(), one.bits()));
            let texts: Vec<String> = texts.collect();
            if !texts.is_empty() {
                all.push((name, texts.join(" ")));
            }
        }
        let ca = self.ca.as_ref();
        all.extend(ca.map(|path| ("HEDDLE_EGRESS_CA", path.to_string_lossy().into_owned())));
        all
    }
}

fn networks(key: &str, texts: &[String]) -> anyhow::Result<Vec<Cidr>> {
    let parse = |text: &String| {
        let parsed: Result<Cidr, _> = text.parse();
        parsed.map_err(|error| anyhow!("{key}: {text:?}: {error}"))
    };
    texts
        .iter()
        .filter(|text| !text.is_empty())
        .map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_understood_and_told_on() {
        let texts = |all: &[&str]| {
            all.iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let egress = Egress::settle(
            &texts(&["10.20.0.0/16", "fd00:20::/32"]),
            &texts(&["203.0.113.0/24"]),
            None,
        );
        let expected = [
            (
                "HEDDLE_EGRESS_ALLOW",
                "10.20.0.0/16 fd00:20::/32".to_owned(),
            ),
            ("HEDDLE_EGRESS_DENY", "203.0.113.0/24".to_owned()),
        ];
        assert_eq!(egress.unwrap().environment(), expected);
        assert!(Egress::default().environment().is_empty());
        let error = Egress::settle(&texts(&["10.0.0.1/8"]), &[], None).unwrap_err();
        assert!(error.to_string().contains("egress_allow"), "{error}");
        let missing = Egress::settle(&[], &[], Some("/nowhere".into())).unwrap();
        assert!(
            missing
                .caller()
                .unwrap_err()
                .to_string()
                .contains("egress_ca")
        );
    }
}
