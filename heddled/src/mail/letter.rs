//! What mails say. Short, in plain text, and with one link.

use chrono::{DateTime, Utc};
use heddle_store::mails::{About, Letter, Link, Notice};
use heddle_store::webhooks::Disabled;
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
    fn to(&self, page: &str, letter: &Letter, link: &Link) -> String {
        let org = &letter.org;
        let secret = link.secret.expose_secret();
        format!("{}?org={org}#{secret}", self.page(page))
    }

    fn page(&self, page: &str) -> String {
        let (base, console) = (&self.base, console::PATH);
        format!("{base}{console}{page}")
    }
}

fn until(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// The mail of a letter.
pub(super) fn message(id: String, letter: &Letter, links: &Links) -> Message {
    let org = &letter.org;
    let (subject, text) = match &letter.about {
        About::PasswordReset(link) => (
            format!("Set another password for {org}"),
            format!(
                "Hello,\n\n\
                 somebody asked for another password for {} in the organisation {org} of Heddle.\n\
                 If that was you, set one here until {}:\n\n{}\n\n\
                 The link works once. If that was not you, do nothing: your password stays as it is.\n",
                letter.to,
                until(link.expires_at),
                links.to("reset-password", letter, link)
            ),
        ),
        About::Invitation { role, link } => (
            format!("Join {org} on Heddle"),
            format!(
                "Hello,\n\n\
                 you are invited to the organisation {org} of Heddle, with the role {}.\n\
                 Accept here until {}:\n\n{}\n\n\
                 The link works once, and for {} only. If you do not expect it, do nothing.\n",
                role.as_str(),
                until(link.expires_at),
                links.to("invitation", letter, link),
                letter.to
            ),
        ),
        About::WebhookDisabled { webhook, why, at } => (
            format!("The webhook {webhook} was switched off: {org}"),
            format!(
                "Hello,\n\n\
                 the webhook {webhook} of the organisation {org} of Heddle was switched off at {}:\n\
                 {}.\n\n\
                 What happens from now on is not sent to it. Mend it, and switch it on here:\n\n{}\n",
                until(*at),
                switched_off(*why),
                links.page("webhooks")
            ),
        ),
        About::Notice { what, at } => notice(*what, *at, letter, links),
    };
    Message {
        id,
        to: letter.to.as_str().to_owned(),
        subject,
        text,
    }
}

/// Why a webhook was.
fn switched_off(why: Disabled) -> &'static str {
    match why {
        Disabled::Failing => "it took nothing for five days",
        Disabled::Backlog => "it took nothing, and 10000 messages waited",
        Disabled::Gone => "it answered that it is gone (410)",
        Disabled::ByHand => "somebody wanted it so",
    }
}

/// What tells a member of something that was done, most often by the member.
fn notice(what: Notice, at: DateTime<Utc>, letter: &Letter, links: &Links) -> (String, String) {
    let org = &letter.org;
    let (subject, done) = match what {
        Notice::PasswordChanged => ("Your password was changed", "the password was changed"),
        Notice::SecondFactorAdded => (
            "A second factor was added",
            "a second factor was added, which is asked for at every sign-in from now on,",
        ),
        Notice::SecondFactorRemoved => (
            "Your second factor was removed",
            "the second factor was removed, and with it the recovery codes,",
        ),
    };
    let text = format!(
        "Hello,\n\n\
         {done} for {} in the organisation {org} of Heddle, at {}.\n\n\
         If that was you, there is nothing to do. If it was not, set another password here and tell\n\
         an administrator of {org}:\n\n{}\n",
        letter.to,
        until(at),
        links.page("forgot-password")
    );
    (format!("{subject}: {org}"), text)
}

#[cfg(test)]
mod tests {
    use heddle_model::authz::Role;

    use super::*;

    fn at() -> DateTime<Utc> {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    fn letter(about: About) -> Letter {
        Letter {
            to: "ada@example.com".parse().unwrap(),
            org: "acme".parse().unwrap(),
            about,
        }
    }

    fn link() -> Link {
        Link {
            secret: "heddle_rst_x".to_owned().into(),
            expires_at: at(),
        }
    }

    #[test]
    fn sec_w10_a_mail_is_ascii_and_holds_one_link_to_the_configured_place() {
        let links = Links::new("https://heddle.example.com".to_owned());
        let role = Role::Developer;
        let notice = |what| About::Notice { what, at: at() };
        let secret = "?org=acme#heddle_rst_x";
        for (about, page, rest) in [
            (About::PasswordReset(link()), "reset-password", secret),
            (
                About::Invitation { role, link: link() },
                "invitation",
                secret,
            ),
            (
                About::WebhookDisabled {
                    webhook: "releases".parse().unwrap(),
                    why: Disabled::Failing,
                    at: at(),
                },
                "webhooks",
                "",
            ),
            (notice(Notice::PasswordChanged), "forgot-password", ""),
            (notice(Notice::SecondFactorAdded), "forgot-password", ""),
            (notice(Notice::SecondFactorRemoved), "forgot-password", ""),
        ] {
            let message = message("mail_1".to_owned(), &letter(about), &links);
            let link = format!("https://heddle.example.com/console/{page}{rest}");
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
