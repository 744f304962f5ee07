//! Whether a revision is live: asked once, or waited for with a line that says how far it is.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::client::{Client, Request};
use crate::command::revisions;
use crate::failure::{Exit, Failure};
use crate::output::{cell, plain, say};

/// How long one answer is waited for: a line on the terminal is never older.
const BREATH: Duration = Duration::from_secs(2);
/// How long it takes breath after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// How far a revision is now.
pub(crate) async fn now(client: &Client, mesh: &str, revision: u64) -> Result<Value, Failure> {
    ask(client, mesh, revision, Duration::ZERO).await
}

async fn ask(client: &Client, mesh: &str, revision: u64, wait: Duration) -> Result<Value, Failure> {
    let path = format!("{}/{revision}/rollout", revisions::collection(mesh));
    let request = Request::new(Method::GET, client.org(&path));
    // A part of a second is one: nobody asks over and over.
    let wait = wait.as_millis().div_ceil(1000);
    let request = request.query("wait", format!("{wait}s"));
    client.send(request).await?.json()
}

/// How far it is, in words.
pub(crate) fn sentence(seen: &Value) -> String {
    let count = |field: &str| seen[field].as_u64().unwrap_or(0);
    let mut parts = Vec::new();
    for (field, words) in [
        ("acked", "have it"),
        ("skipped", "need nothing of it"),
        ("pending", "on the way"),
        ("nacked", "refuse it"),
        ("offline", "not connected"),
    ] {
        if count(field) > 0 {
            parts.push(format!("{} {words}", count(field)));
        }
    }
    let state = match seen["state"].as_str() {
        Some("live") => "live",
        Some("refused") => "refused",
        Some("waiting") => "waiting for proxies that are not connected",
        _ => "under way",
    };
    if parts.is_empty() {
        return format!("{state}, and there are no proxies");
    }
    format!(
        "{state}; of {} proxies {}",
        count("target"),
        parts.join(", ")
    )
}

/// Waits until a revision is live.
///
/// # Errors
/// A proxy refuses it, or the time is over.
pub(crate) async fn wait(
    client: &Client,
    mesh: &str,
    revision: u64,
    patience: Duration,
) -> Result<(), Failure> {
    let end = Instant::now() + patience;
    let mut line = Line::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let seen = match ask(client, mesh, revision, left.min(BREATH)).await {
            Ok(seen) => seen,
            // A server that stops is followed by another one.
            Err(failure) if failure.exit() == Exit::Error && left > PAUSE => {
                line.show("The server does not answer; trying again ...");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(failure) => {
                line.end();
                return Err(failure);
            }
        };
        line.show(&format!("Revision {revision}: {}.", sentence(&seen)));
        if seen["done"] == true {
            line.end();
            return Ok(());
        }
        if seen["returned"] == "settled" && seen["state"] == "refused" {
            line.end();
            let what = format!("revision {revision} is refused{}", holders(&seen));
            return Err(Failure::error(what)
                .hint("`heddle revisions revert` takes it back; `heddle get proxies` shows who"));
        }
        if left.is_zero() {
            line.end();
            let what = format!("revision {revision} is not live in time{}", holders(&seen));
            return Err(Failure::new(Exit::Timeout, what)
                .hint("it goes on without you: `heddle revisions show` says how far it is"));
        }
    }
}

/// Who holds it up, and why.
fn holders(seen: &Value) -> String {
    let holders = seen["held_up_by"].as_array().into_iter().flatten();
    let holder = |holder: &Value| {
        let mut text = format!("{} ({})", cell(&holder["name"]), cell(&holder["reason"]));
        for nack in holder["nacks"].as_array().into_iter().flatten().take(1) {
            let cause = &nack["cause"];
            if !cause.is_null() {
                text.push_str(&format!(
                    ": {} {}{}",
                    cell(&cause["kind"]).replace('_', " "),
                    cell(&cause["name"]),
                    cause["pointer"]
                        .as_str()
                        .map_or_else(String::new, |p| format!(" {}", plain(p)))
                ));
            }
            text.push_str(&format!(": {}", cell(&nack["raw"])));
        }
        text
    };
    let mut named: Vec<String> = holders.map(holder).collect();
    let more = named.len().saturating_sub(5);
    named.truncate(5);
    match (named.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", named.join(", ")),
        (false, more) => format!(": {}, and {more} more", named.join(", ")),
    }
}

/// A line on standard error: on a terminal it is written over, elsewhere each is a line of its own.
struct Line {
    terminal: bool,
    last: String,
}

impl Line {
    fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            last: String::new(),
        }
    }

    fn show(&mut self, text: &str) {
        if text == self.last {
            return;
        }
        if self.terminal {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r\u{1b}[K{text}").and_then(|()| err.flush());
        } else {
            say(text);
        }
        text.clone_into(&mut self.last);
    }

    fn end(&mut self) {
        if self.terminal && !self.last.is_empty() {
            say("");
        }
        self.last.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_says_who_holds_it_up() {
        let seen = json!({"state": "under_way", "target": 3, "acked": 1, "pending": 2, "held_up_by": [
            {"name": "a", "reason": "slow", "nacks": []},
            {"name": "b", "reason": "refused", "nacks": [
                {"cause": {"kind": "route", "name": "payments/all", "pointer": "/match"}, "raw": "no\u{1b}"}]},
        ]});
        assert_eq!(
            sentence(&seen),
            "under way; of 3 proxies 1 have it, 2 on the way"
        );
        assert_eq!(
            holders(&seen),
            ": a (slow), b (refused): route payments/all /match: no?"
        );
        assert_eq!(
            sentence(&json!({"state": "live"})),
            "live, and there are no proxies"
        );
    }
}
