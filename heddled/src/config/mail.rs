//! Where mail goes.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use lettre::message::Mailbox;
use secrecy::SecretString;

/// Who mail is from where nobody said it, and no mail server is to take it.
const LOCAL: &str = "Heddle <heddle@localhost>";

/// What hands mail on. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub(crate) enum Mail {
    /// A mail server.
    Smtp {
        /// Where it is, and who hands it mail.
        url: SecretString,
        /// PEM file: what it is verified with.
        ca: Option<PathBuf>,
        /// Who mail is from.
        from: Mailbox,
    },
    /// A folder, in which mails are files.
    Folder {
        /// Which one.
        path: PathBuf,
        /// Who mail is from.
        from: Mailbox,
    },
    /// Nothing: mail waits for a server that has something.
    Nowhere,
}

impl Mail {
    /// Understands what was set.
    ///
    /// # Errors
    /// A value is not what it should be, or two of them contradict each other.
    pub(super) fn settle(
        url: Option<String>,
        ca: Option<PathBuf>,
        from: Option<&str>,
        folder: Option<PathBuf>,
        public_url: Option<&str>,
    ) -> anyhow::Result<Self> {
        let parsed = from.map(|from| {
            let wrong = || format!("mail_from: {from:?} is not like Heddle <heddle@example.com>");
            from.parse::<Mailbox>().ok().with_context(wrong)
        });
        let from = parsed.transpose()?;
        match (url, folder) {
            (Some(_), Some(_)) => bail!("of smtp_url and mail_dir, set one"),
            (Some(url), None) => {
                // The address that the API listens on is nobody else's: a link to it leads whoever gets the mail to their own machine.
                if !crate::mail::is_here(&url)? && public_url.is_none() {
                    bail!(
                        "smtp_url is set, but public_url is not: where do the links in mails lead?"
                    );
                }
                let from =
                    from.context("smtp_url is set, but mail_from is not: who is mail from?")?;
                let url = url.into();
                Ok(Self::Smtp { url, ca, from })
            }
            (None, _) if ca.is_some() => bail!("smtp_ca is set, but smtp_url is not"),
            (None, Some(path)) => {
                let local = || LOCAL.parse().expect("an address");
                let from = from.unwrap_or_else(local);
                Ok(Self::Folder { path, from })
            }
            (None, None) => Ok(Self::Nowhere),
        }
    }

    /// The same as environment variables.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        use secrecy::ExposeSecret as _;
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        match self {
            Self::Smtp { url, ca, from } => {
                let mut all = vec![
                    ("HEDDLE_SMTP_URL", url.expose_secret().to_owned()),
                    ("HEDDLE_MAIL_FROM", from.to_string()),
                ];
                all.extend(ca.iter().map(|ca| ("HEDDLE_SMTP_CA", path(ca))));
                all
            }
            Self::Folder { path: folder, from } => vec![
                ("HEDDLE_MAIL_DIR", path(folder)),
                ("HEDDLE_MAIL_FROM", from.to_string()),
            ],
            Self::Nowhere => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Option<&str> = Some("https://heddle.example.com");

    fn settle(url: Option<&str>, from: Option<&str>, folder: Option<&str>) -> anyhow::Result<Mail> {
        let url = url.map(ToOwned::to_owned);
        Mail::settle(url, None, from, folder.map(PathBuf::from), PUBLIC)
    }

    #[test]
    fn sec_w10_links_in_mails_that_leave_this_machine_lead_to_a_place_that_was_named() {
        let settle = |url: &str, public| {
            let from = Some("Heddle <heddle@example.com>");
            Mail::settle(Some(url.to_owned()), None, from, None, public)
        };
        let elsewhere = "smtps://ada:hunter2@mail.example.com";
        let error = settle(elsewhere, None).unwrap_err().to_string();
        assert!(
            error.contains("public_url") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(settle(elsewhere, PUBLIC).is_ok());
        for here in [
            "smtp://127.0.0.1:25",
            "smtp://[::1]:25",
            "smtps://localhost",
        ] {
            assert!(settle(here, None).is_ok(), "{here}");
        }
    }

    #[test]
    fn mail_goes_to_one_place_and_is_from_somebody() {
        let (place, sender) = (
            "smtps://ada:hunter2@mail.example.com",
            "Heddle <heddle@example.com>",
        );
        let (url, from) = (Some(place), Some(sender));
        let smtp = settle(url, from, None).unwrap();
        assert!(!format!("{smtp:?}").contains("hunter2"));
        let expected = [
            ("HEDDLE_SMTP_URL", place.to_owned()),
            ("HEDDLE_MAIL_FROM", sender.to_owned()),
        ];
        assert_eq!(smtp.environment(), expected);
        assert!(matches!(
            settle(None, None, Some("/mail")),
            Ok(Mail::Folder { .. })
        ));
        assert!(matches!(settle(None, None, None), Ok(Mail::Nowhere)));
        for (url, from, folder, word) in [
            (url, from, Some("/mail"), "mail_dir"),
            (url, None, None, "mail_from"),
            (url, Some("nobody"), None, "mail_from"),
            (Some("smtp://mail.example.com"), from, None, "smtp_url"),
        ] {
            let error = format!("{:#}", settle(url, from, folder).unwrap_err());
            assert!(
                error.contains(word) && !error.contains("hunter2"),
                "{error}"
            );
        }
        let ca = Mail::settle(None, Some("/ca".into()), None, None, None);
        assert!(ca.unwrap_err().to_string().contains("smtp_ca"));
    }
}
