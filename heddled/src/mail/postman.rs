//! Sends what is to be sent.

use std::sync::Arc;
use std::time::Duration;

use heddle_store::Store;
use heddle_store::mails::{self, Turn, Unsent};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::letter::message;
use super::{Failure, Links, Mailer, Message};

/// How often it is looked whether a mail is due.
const LOOK: Duration = Duration::from_millis(500);

/// How long handing one on may take: less than others wait before they try.
const HANDING_ON: Duration = Duration::from_secs(20);
/// How much of what a mail server says is logged, in characters.
const SAID: usize = 300;

const MAILS: &str = "heddle_mails_total";

/// Sends mail, one after the other. Every server does: of several, one has the turn of a mail. Nothing is kept here, so a server
/// that starts goes on where another one died.
pub(crate) struct Postman {
    store: Store,
    mailer: Arc<dyn Mailer>,
    links: Links,
}

impl Postman {
    pub(crate) fn new(store: Store, mailer: Arc<dyn Mailer>, links: Links) -> Self {
        metrics::describe_counter!(MAILS, "Mails by what became of them");
        // From the start, so that an alert sees the first one.
        for outcome in ["sent", "delayed", "failed"] {
            metrics::counter!(MAILS, "outcome" => outcome).increment(0);
        }
        Self {
            store,
            mailer,
            links,
        }
    }

    /// Sends until the end. What is being handed on then is not waited for: a mail server that hangs would hold everything up. Its turn
    /// comes again, as that of a server that died.
    pub(crate) async fn follow(&self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            let result = self.send_due(&shutdown).await;
            if let Err(error) = &result
                && !failing
            {
                tracing::warn!(%error, "cannot look after mail; trying on");
            }
            failing = result.is_err();
        }
    }

    async fn send_due(&self, shutdown: &CancellationToken) -> heddle_store::Result<()> {
        while !shutdown.is_cancelled() {
            let Some(turn) = mails::take(&self.store).await? else {
                break;
            };
            self.send(&turn, shutdown).await?;
        }
        Ok(())
    }

    async fn hand_on(&self, message: &Message) -> Result<(), Failure> {
        let sent = tokio::time::timeout(HANDING_ON, self.mailer.send(message)).await;
        sent.unwrap_or_else(|late| Err(Failure::new("the mail server does not answer", late)))
    }

    async fn send(&self, turn: &Turn, shutdown: &CancellationToken) -> heddle_store::Result<()> {
        let Some(letter) = mails::open(&self.store, turn).await? else {
            return Ok(());
        };
        let message = message(turn.mail().to_string(), &letter, &self.links);
        let handed = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            handed = self.hand_on(&message) => handed,
        };
        let outcome = match handed {
            Ok(()) => {
                mails::sent(&self.store, turn).await?;
                "sent"
            }
            Err(failure) => {
                let error: String = format!("{:#}", failure.error).chars().take(SAID).collect();
                let (mail, org) = (turn.mail(), turn.org());
                match mails::failed(&self.store, turn, &failure.why).await? {
                    Unsent::Until(at) => {
                        // Once for each mail, and not for each try.
                        if turn.tries() == 0 {
                            tracing::warn!(mail.id = %mail, org.id = %org, error, "a mail cannot be sent; trying on for a day");
                        } else {
                            tracing::info!(mail.id = %mail, org.id = %org, error, %at, "a mail cannot be sent yet");
                        }
                        "delayed"
                    }
                    Unsent::GivenUp => {
                        tracing::warn!(mail.id = %mail, org.id = %org, error, "a mail was not sent within a day; given up");
                        "failed"
                    }
                }
            }
        };
        metrics::counter!(MAILS, "outcome" => outcome).increment(1);
        Ok(())
    }
}
