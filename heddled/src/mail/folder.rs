//! Mail as files of a folder: for an installation without a mail server, and for tests.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use async_trait::async_trait;
use lettre::message::Mailbox;

use super::{Failure, Mailer, Message};
use crate::up::files::{private_dir, write_private};

/// A folder. Each mail is a file of it, named by the mail, as any mail program opens it.
pub(crate) struct Folder {
    path: PathBuf,
    from: Mailbox,
}

impl Folder {
    /// Makes the folder if need be, for nobody else to read: links in mails let people in.
    pub(super) fn new(path: &Path, from: Mailbox) -> anyhow::Result<Self> {
        private_dir(path)?;
        let path = path.to_owned();
        Ok(Self { path, from })
    }
}

#[async_trait]
impl Mailer for Folder {
    async fn send(&self, message: &Message) -> Result<(), Failure> {
        let file = self.path.join(format!("{}.eml", message.id));
        let formed = message.formed(&self.from)?.formatted();
        let written = tokio::task::spawn_blocking(move || write_private(&file, formed));
        written.await.context("write the mail")??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_mail_is_a_file_that_others_do_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mail");
        let from: Mailbox = "Heddle <heddle@example.com>".parse().unwrap();
        let folder = Folder::new(&path, from).unwrap();
        let link = format!(
            "https://heddle.example.com/console/x?org=acme#{}",
            "a".repeat(60)
        );
        let message = Message {
            id: "mail_1".to_owned(),
            to: "ada@example.com".to_owned(),
            subject: "Hello".to_owned(),
            text: format!("Open this:\n\n{link}\n"),
        };
        for _ in 0..2 {
            folder.send(&message).await.unwrap();
        }
        let files: Vec<_> = std::fs::read_dir(&path).unwrap().collect();
        assert_eq!(files.len(), 1, "twice the same is one");
        let file = path.join("mail_1.eml");
        let text = std::fs::read_to_string(&file).unwrap();
        for line in [
            "To: ada@example.com",
            "From: Heddle <heddle@example.com>",
            "Subject: Hello",
            "Message-ID: <mail_1@example.com>",
            &link,
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        for (path, mode) in [(&file, 0o600), (&path, 0o700)] {
            let found = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{}", path.display());
        }
        let nobody = Message {
            to: "a@b c".to_owned(),
            ..message
        };
        assert!(folder.send(&nobody).await.is_err());
    }
}
