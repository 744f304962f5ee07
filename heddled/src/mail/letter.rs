//! What mails say. Short, in plain text, and with one link.

use chrono::{DateTime, Utc};
use heddle_store::mails::{About, Letter};
use secrecy::ExposeSecret as _;

use super::Message;
use crate::console;

/// Where links lead: this installation, as it is configured. No request has a say in it.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    base: String,
}

impl Links {
    /// `public_url` without a slash at the end.
    pub(crate) fn new(public_url: String) -> Self {
        Self { base: public_url }
    }

    /// The secret stands behind a `#`: it is in no request, no log and no `Referer`.
    fn to(&self, page: &str, letter: &Letter) -> String {
        let (base, org) = (&self.base, &letter.org);
        let console = console::PATH;
        format!(
            "{base}{console}{page}?org={org}#{}",
            letter.secret.expose_secret()
        )
    }
}

fn until(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// The mail of a letter.
pub(super) fn message(id: String, letter: &Letter, links: &Links) -> Message {
    let (org, until) = (&letter.org, until(letter.expires_at));
    let (subject, text) = match letter.about {
        About::PasswordReset => (
            format!("Set another password for {org}"),
            format!(
                "Hello,\n\n\
                 somebody asked for another password for {} in the organisation {org} of Heddle.\n\
                 If that was you, set one here until {until}:\n\n{}\n\n\
                 The link works once. If that was not you, do nothing: your password stays as it is.\n",
                letter.to,
                links.to("reset-password", letter)
            ),
        ),
        About::Invitation { role } => (
            format!("Join {org} on Heddle"),
            format!(
                "Hello,\n\n\
                 you are invited to the organisation {org} of Heddle, with the role {}.\n\
                 Accept here until {until}:\n\n{}\n\n\
                 The link works once, and for {} only. If you do not expect it, do nothing.\n",
                role.as_str(),
                links.to("invitation", letter),
                letter.to
            ),
        ),
    };
    Message {
        id,
        to: letter.to.as_str().to_owned(),
        subject,
        text,
    }
}

#[cfg(test)]
mod tests {
    use heddle_model::authz::Role;

    use super::*;

    fn letter(about: About) -> Letter {
        Letter {
            to: "ada@example.com".parse().unwrap(),
            org: "acme".parse().unwrap(),
            secret: "heddle_rst_x".to_owned().into(),
            expires_at: "2026-05-01T12:00:00Z".parse().unwrap(),
            about,
        }
    }

    #[test]
    fn sec_w10_a_mail_is_ascii_and_holds_one_link_to_the_configured_place() {
        let links = Links::new("https://heddle.example.com".to_owned());
        let role = Role::Developer;
        for (about, page) in [
            (About::PasswordReset, "reset-password"),
            (About::Invitation { role }, "invitation"),
        ] {
            let message = message("mail_1".to_owned(), &letter(about), &links);
            let link = format!("https://heddle.example.com/console/{page}?org=acme#heddle_rst_x");
            assert!(
                message.text.lines().any(|line| line == link),
                "{}",
                message.text
            );
            assert_eq!(message.text.matches("://").count(), 1);
            assert!(message.text.is_ascii() && message.subject.is_ascii());
            assert!(message.text.contains("2026-05-01 12:00 UTC"));
            assert!(!message.subject.contains("heddle_rst_x"));
        }
    }
}
