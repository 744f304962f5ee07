//! Mail to people: what it says, what hands it on, and who sees to it that it is.

mod folder;
mod forget;
mod letter;
mod postman;
mod smtp;

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};

pub(crate) use forget::forget;
pub(crate) use letter::Links;
pub(crate) use postman::Postman;
pub(crate) use smtp::is_here;

use self::folder::Folder;
use self::smtp::Smtp;
use crate::config::Mail;

/// Lines that are longer than 998 characters are no mail.
const LONGEST_LINE: usize = 900;

/// One mail: plain text, in ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Which one: the same when it is sent once more.
    pub(crate) id: String,
    /// Whom it is for.
    pub(crate) to: String,
    /// What it is about.
    pub(crate) subject: String,
    /// What it says.
    pub(crate) text: String,
}

impl Message {
    /// The mail as it travels (RFC 5322).
    fn formed(&self, from: &Mailbox) -> anyhow::Result<lettre::Message> {
        let to = self.to.parse().context("understand the address")?;
        let short = |line: &str| line.is_ascii() && line.len() < LONGEST_LINE;
        anyhow::ensure!(self.text.lines().all(short), "mail is short lines of ASCII");
        // As it stands: links stay whole for whoever looks at the source.
        let text = self.text.replace('\n', "\r\n").into_bytes();
        let text = Body::dangerous_pre_encoded(text, ContentTransferEncoding::SevenBit);
        lettre::Message::builder()
            .message_id(Some(format!("<{}@{}>", self.id, from.email.domain())))
            .from(from.clone())
            .to(Mailbox::new(None, to))
            .subject(self.subject.clone())
            .date_now()
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .context("form the mail")
    }
}

/// Why a mail was not taken.
#[derive(Debug)]
pub(crate) struct Failure {
    /// In words of ours, for the organisation whose mail it is.
    pub(crate) why: String,
    /// As it is, for whoever runs the server: what mail servers answer may name machines and people of theirs.
    pub(crate) error: anyhow::Error,
}

impl Failure {
    fn new(why: &str, error: impl Into<anyhow::Error>) -> Self {
        let (why, error) = (why.to_owned(), error.into());
        Self { why, error }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new("the mail cannot be handed on", error)
    }
}

/// What hands mail on. Whoever implements it returns once somebody else answers for the mail.
#[async_trait]
pub(crate) trait Mailer: Send + Sync {
    /// Hands a mail on. The same one may come twice.
    ///
    /// # Errors
    /// It was not taken, or nobody knows.
    async fn send(&self, message: &Message) -> Result<(), Failure>;
}

/// What the configuration wants; `None`: mail waits for a server that can send it.
///
/// # Errors
/// What it names cannot be used.
pub(crate) fn mailer(mail: &Mail) -> anyhow::Result<Option<Arc<dyn Mailer>>> {
    Ok(match mail {
        Mail::Smtp { url, ca, from } => {
            Some(Arc::new(Smtp::new(url, ca.as_deref(), from.clone())?))
        }
        Mail::Folder { path, from } => Some(Arc::new(Folder::new(path, from.clone())?)),
        Mail::Nowhere => None,
    })
}
