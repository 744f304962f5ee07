//! A private mail server, run by the test itself so that it can be away and come back.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::mail::Mail;
use crate::ports::free_port;
use crate::process::{Child, repository};
use crate::tls::write_tls;
use crate::until::until;

/// Who may hand it mail.
const USER: &str = "heddle";
const PASSWORD: &str = "not-for-logs";

/// A mail server in a directory of its own, which takes mail over STARTTLS and from whoever knows its password.
pub struct Smtp {
    directory: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Smtp {
    /// One that is not there yet.
    ///
    /// # Panics
    /// What it needs is not installed.
    #[must_use]
    pub fn planned() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("heddle-smtp-")
            .tempdir()
            .expect("a directory");
        write_tls(directory.path(), "smtp", 1);
        std::fs::create_dir(directory.path().join("taken")).expect("a directory");
        Self {
            directory,
            port: free_port(),
            child: None,
        }
    }

    /// What a server is told, to hand it mail.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let url = format!(
            "smtp://{USER}:{PASSWORD}@127.0.0.1:{}?tls=required",
            self.port
        );
        let ca = self.directory.path().join("smtp-ca.pem");
        [
            ("HEDDLE_SMTP_URL", url),
            ("HEDDLE_SMTP_CA", ca.to_string_lossy().into_owned()),
            ("HEDDLE_MAIL_FROM", "Heddle <heddle@example.com>".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What must not be seen anywhere.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Where it keeps what it took.
    fn taken(&self) -> PathBuf {
        self.directory.path().join("taken")
    }

    /// What it took, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        Mail::in_folder(&self.taken())
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// What it needs is not installed, or it ends.
    pub async fn start(&mut self) {
        let python = repository().join(".tools/smtp/bin/python");
        assert!(
            python.exists(),
            "no {}: run `scripts/setup --test` first",
            python.display()
        );
        let file = |name: &str| self.directory.path().join(name);
        let mut command = Command::new(python);
        command
            .arg(repository().join("tests/smtp/server.py"))
            .arg(self.port.to_string())
            .arg(self.taken())
            .args([file("smtp.pem"), file("smtp.key")])
            .args([USER, PASSWORD])
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let log = file("smtp.log");
        let mut child = Child::start(&mut command, &log);
        until(
            "the mail server listens",
            Duration::from_secs(20),
            async || {
                assert!(!child.has_ended(), "it ended:\n{}", child.output());
                child.output().contains("listening")
            },
        )
        .await;
        self.child = Some(child);
    }
}
