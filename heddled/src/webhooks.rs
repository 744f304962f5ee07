//! Tells webhooks what happened.

mod in_flight;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use heddle_egress::{Answer, Caller, Failed, Target};
use heddle_model::clock::SharedClock;
use heddle_store::webhooks::{self, Outcome, Parcel, Tried, Turn};
use heddle_store::{KeySealer, Store};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use in_flight::InFlight;

/// How often it is looked whether a webhook is due.
const LOOK: Duration = Duration::from_millis(250);
/// For how long a server sends to one webhook before others have their turn: well below what it has it to itself for.
const AT_ONE: Duration = Duration::from_secs(10);
/// How much of an answer is looked at.
const RESPONSE: usize = 4096;

const TRIES: &str = "heddle_webhook_tries_total";

/// Sends to webhooks, to many at once and to each one after the other. Every server does: of several, one has a webhook to itself. Nothing is
/// kept here, so a server that starts goes on where another one died.
#[derive(Clone)]
pub(crate) struct Sender {
    store: Store,
    sealer: Arc<dyn KeySealer>,
    caller: Caller,
    clock: SharedClock,
}

impl Sender {
    pub(crate) fn new(
        store: Store,
        sealer: Arc<dyn KeySealer>,
        caller: Caller,
        clock: SharedClock,
    ) -> Self {
        metrics::describe_counter!(TRIES, "Tries to send to webhooks by what became of them");
        // From the start, so that an alert sees the first one.
        for outcome in ["taken", "not_taken", "gone"] {
            metrics::counter!(TRIES, "outcome" => outcome).increment(0);
        }
        Self {
            store,
            sealer,
            caller,
            clock,
        }
    }

    /// Sends until the end. Calls that are under way then are waited for, for as long as a call may take, and webhooks are given back.
    pub(crate) async fn follow(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way = JoinSet::new();
        let mut in_flight = InFlight::default();
        let mut failing = false;
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = look.tick() => {
                    let begun = self.begin_due(&mut in_flight, &mut under_way, &shutdown).await;
                    if let Err(error) = &begun && !failing {
                        tracing::warn!(%error, "cannot look after webhooks; trying on");
                    }
                    failing = begun.is_err();
                }
                Some(done) = under_way.join_next_with_id() => settle(done, &mut in_flight),
            }
        }
        while let Some(done) = under_way.join_next_with_id().await {
            settle(done, &mut in_flight);
        }
    }

    /// Begins with every webhook that is due, as far as there is room.
    async fn begin_due(
        &self,
        in_flight: &mut InFlight,
        under_way: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> heddle_store::Result<()> {
        while in_flight.has_room() && !shutdown.is_cancelled() {
            let (orgs, busy) = in_flight.busy();
            let Some(turn) = webhooks::take(&self.store, &orgs, &busy).await? else {
                break;
            };
            let (sender, shutdown) = (self.clone(), shutdown.clone());
            let task = under_way.spawn(async move {
                if let Err(error) = sender.look_after(&turn, &shutdown).await {
                    let (webhook, org) = (turn.webhook(), turn.org());
                    tracing::warn!(webhook.id = %webhook, org.id = %org, %error, "cannot send to a webhook; trying on");
                }
            });
            in_flight.add(task.id(), &turn);
        }
        Ok(())
    }

    /// Sends what is due, until there is nothing more or others have their turn.
    async fn look_after(
        &self,
        turn: &Turn,
        shutdown: &CancellationToken,
    ) -> heddle_store::Result<()> {
        if !webhooks::begin(&self.store, turn).await? {
            return Ok(());
        }
        let until = Instant::now() + AT_ONE;
        while Instant::now() < until && !shutdown.is_cancelled() {
            let next = webhooks::next(&self.store, self.sealer.as_ref(), turn).await?;
            let Some(parcel) = next else {
                break;
            };
            let tried = self.send(&parcel).await;
            let outcome = match tried.outcome {
                Outcome::Taken => "taken",
                Outcome::NotTaken => "not_taken",
                Outcome::Gone => "gone",
            };
            metrics::counter!(TRIES, "outcome" => outcome).increment(1);
            webhooks::tried(&self.store, turn, parcel.message, &tried).await?;
        }
        webhooks::finish(&self.store, turn).await
    }

    async fn send(&self, parcel: &Parcel) -> Tried {
        let begun = Instant::now();
        let answer = self.call(parcel).await;
        let took = begun.elapsed().as_millis();
        let took = u32::try_from(took).unwrap_or(u32::MAX);
        judge(answer, took, self.clock.now())
    }

    async fn call(&self, parcel: &Parcel) -> Result<Answer, String> {
        let target: Target = parcel.url.parse().map_err(|error| format!("{error}"))?;
        let body = heddle_api::webhook_message(parcel);
        let headers = headers(parcel, &body, self.clock.now().timestamp())?;
        let call = self
            .caller
            .call(Method::POST, &target, headers, Bytes::from(body));
        call.await.map_err(|failed: Failed| failed.to_string())
    }
}

/// A task that ended, in whatever way, is in flight no more.
fn settle(done: Result<(tokio::task::Id, ()), tokio::task::JoinError>, in_flight: &mut InFlight) {
    match done {
        Ok((id, ())) => in_flight.remove(id),
        Err(error) => {
            tracing::error!(%error, "sending to a webhook panicked");
            in_flight.remove(error.id());
        }
    }
}

/// The headers of a try: its time and signatures are its own, the identifier is that of the message.
fn headers(parcel: &Parcel, body: &str, now: i64) -> Result<HeaderMap, String> {
    let id = parcel.message.to_string();
    let signatures = signature::sign(&parcel.secrets, &id, now, body);
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    for (name, value) in [
        ("webhook-id", id),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", signatures),
    ] {
        let value = value.parse().map_err(|_| "no header".to_owned())?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

/// What an answer, or none, means: 2xx is taken, 410 says that the webhook is gone, and redirects lead nowhere.
fn judge(answer: Result<Answer, String>, duration_ms: u32, now: DateTime<Utc>) -> Tried {
    let mut tried = Tried {
        outcome: Outcome::NotTaken,
        status: None,
        duration_ms,
        error: None,
        response: None,
        not_before: None,
    };
    match answer {
        Err(why) => tried.error = Some(why),
        Ok(answer) => {
            let status = answer.status;
            tried.status = Some(status.as_u16());
            let begins = &answer.body[..answer.body.len().min(RESPONSE)];
            tried.response = Some(String::from_utf8_lossy(begins).into_owned());
            if status.is_success() {
                tried.outcome = Outcome::Taken;
            } else if status == StatusCode::GONE {
                tried.outcome = Outcome::Gone;
                tried.error = Some("it says that it is gone".to_owned());
            } else if status.is_redirection() {
                tried.error = Some("redirects are not followed".to_owned());
            } else {
                tried.error = Some("not a status of success (2xx)".to_owned());
                tried.not_before = retry_after(&answer.headers, now);
            }
        }
    }
    tried
}

/// When somebody wants to be asked again, in seconds or as a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    match text.parse::<u32>() {
        Ok(seconds) => Some(now + TimeDelta::seconds(seconds.into())),
        Err(_) => Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_busy_says_until_when() {
        let now = DateTime::from_timestamp(784_111_700, 0).unwrap();
        let judged = |status, after: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, after.parse().unwrap());
            let answer = Answer {
                status,
                headers,
                body: Bytes::new(),
            };
            judge(Ok(answer), 1, now).not_before
        };
        let seconds = |n| Some(now + TimeDelta::seconds(n));
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(judged(busy, "120"), seconds(120));
        assert_eq!(judged(busy, "Sun, 06 Nov 1994 08:49:37 GMT"), seconds(77));
        assert_eq!(
            judged(StatusCode::TOO_MANY_REQUESTS, "4294967295"),
            seconds(4_294_967_295)
        );
        for odd in ["", "soon", "-1", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(judged(busy, odd), None, "{odd}");
        }
        assert_eq!(judged(StatusCode::OK, "120"), None);
    }
}
