//! What happens, as lines: followed over lost connections, with nothing left out and nothing twice.

use std::io::Write as _;
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use crate::args::look::Events;
use crate::changes;
use crate::client::Request;
use crate::command::rollout;
use crate::failure::{Exit, Failure};
use crate::kinds::segment;
use crate::output::{self, Format, cell, say};
use crate::place::Here;

/// How long a stream stays open; the next one goes on where it ended.
const WHOLE: Duration = Duration::from_secs(3600);
/// How long nothing may come: the server says something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
/// How long it takes breath between two attempts, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How a stream ended, when that is no failure.
enum End {
    /// Everything that was asked for is told, or nobody reads any more.
    Told,
    /// The time of this stream is over.
    Time,
    /// The connection broke, or the server stopped.
    Lost(String),
    /// The credential is not what it was; a session may have another one.
    Credential,
}

pub(crate) async fn events(here: &Here, args: &Events) -> Result<(), Failure> {
    let mut telling = Telling::new(args);
    tokio::select! {
        told = telling.follow(here) => told,
        // Whatever was told is told whole.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

struct Telling<'a> {
    args: &'a Events,
    /// After which event to go on.
    after: Option<String>,
    /// How many may still be told.
    left: Option<u64>,
    /// Those that share the identifier of one that has not come yet: told with it, or told again.
    waiting: Vec<Value>,
}

impl<'a> Telling<'a> {
    fn new(args: &'a Events) -> Self {
        let beginning = (!args.follow).then(|| String::from("0-0-0"));
        Self {
            args,
            after: args.after.clone().or(beginning),
            left: args.limit,
            waiting: Vec::new(),
        }
    }

    async fn follow(&mut self, here: &Here) -> Result<(), Failure> {
        let mut pause = Duration::ZERO;
        let mut first = true;
        loop {
            let end = match self.open(here).await {
                Ok(response) => {
                    first = false;
                    let known = self.after.clone();
                    let end = self.read(response).await?;
                    if known != self.after {
                        pause = Duration::ZERO;
                    }
                    end
                }
                // Whoever may not read, or asks for what is not there, learns it by asking again.
                Err(failure) if first => return Err(failure),
                Err(failure) if !passing(&failure) => return Err(failure),
                Err(failure) => End::Lost(failure.render()),
            };
            self.waiting.clear();
            match end {
                End::Told => return Ok(()),
                End::Time if !self.args.follow => return Ok(()),
                End::Time | End::Credential => {}
                End::Lost(why) => {
                    let why = why.lines().next().unwrap_or_default();
                    say(&format!(
                        "The connection is lost ({}); trying again ...",
                        output::plain(why)
                    ));
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).clamp(Duration::from_millis(200), LONGEST_PAUSE);
        }
    }

    async fn open(&self, here: &Here) -> Result<Response, Failure> {
        let path = format!("/meshes/{}/events", segment(here.mesh()?));
        // Anew each time: a session may have got another token.
        let client = here.client().await?;
        let topics: Vec<&str> = self.args.topic.iter().map(|topic| topic.word()).collect();
        let topics = topics.join(",");
        let limit = self.left.map(|left| left.to_string());
        let mut request = Request::new(Method::GET, client.org(&path))
            .header("accept", "application/x-ndjson")
            .query_if(
                "topic",
                Some(topics.as_str()).filter(|topics| !topics.is_empty()),
            )
            .query_if("after", self.after.as_deref())
            .query_if("limit", limit.as_deref());
        if self.args.follow {
            request = request.query("wait", format!("{}s", WHOLE.as_secs()));
        }
        client.open(request, WHOLE + SILENCE).await
    }

    async fn read(&mut self, mut response: Response) -> Result<End, Failure> {
        let mut rest = Vec::new();
        loop {
            let more = match tokio::time::timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(more))) => more,
                Ok(Ok(None)) => return Ok(End::Lost(String::from("it ended"))),
                Ok(Err(error)) => return Ok(End::Lost(error.to_string())),
                Err(_) => return Ok(End::Lost(String::from("nothing came"))),
            };
            rest.extend_from_slice(&more);
            while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=length).collect();
                let Ok(event) = serde_json::from_slice::<Value>(&line) else {
                    continue;
                };
                if let Some(end) = self.take(event)? {
                    return Ok(end);
                }
            }
        }
    }

    /// Takes an event; how the stream ends when it is the last one.
    fn take(&mut self, event: Value) -> Result<Option<End>, Failure> {
        let topic = event["topic"].as_str().unwrap_or_default();
        let id = event["id"].as_str().map(ToOwned::to_owned);
        let reason = event["reason"].as_str().map(ToOwned::to_owned);
        let end = topic == "end";
        match topic {
            "reset" => say(
                "The server does not know that place: it goes on from here, and something may be missing.",
            ),
            "revision" | "proxy" | "rollout" | "audit" => self.waiting.push(event),
            _ => {}
        }
        if let Some(id) = id {
            self.after = Some(id);
            for event in std::mem::take(&mut self.waiting) {
                if !self.tell(&event)? {
                    return Ok(Some(End::Told));
                }
                self.left = self.left.map(|left| left.saturating_sub(1));
            }
            if self.left == Some(0) {
                return Ok(Some(End::Told));
            }
        }
        if !end {
            return Ok(None);
        }
        match reason.as_deref() {
            Some("time") => Ok(Some(End::Time)),
            Some("limit") => Ok(Some(End::Told)),
            Some("credential") => Ok(Some(End::Credential)),
            Some("gone") => Err(Failure::new(Exit::NotFound, "the mesh is gone")),
            _ => Ok(Some(End::Lost(String::from("the server stops")))),
        }
    }

    /// Prints one; whether somebody still reads.
    fn tell(&self, event: &Value) -> Result<bool, Failure> {
        let text = match self.args.shown.output {
            Format::Json => format!("{event}\n"),
            Format::Yaml => format!("---\n{}", output::yaml(event)?),
            Format::Name => format!("{}\n", name(event)),
            Format::Table | Format::Wide => format!("{}\n", sentence(event)),
        };
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::io("write to standard output", &error)),
        }
    }
}

/// Whether it may be otherwise in a moment.
fn passing(failure: &Failure) -> bool {
    matches!(failure.exit(), Exit::Error | Exit::Timeout)
}

/// What it is about.
fn name(event: &Value) -> String {
    let topic = cell(&event["topic"]);
    let what = &event[topic.as_str()];
    let which = [&what["name"], &what["revision"]]
        .into_iter()
        .find(|value| !value.is_null())
        .unwrap_or(&what["id"]);
    format!("{topic}/{}", cell(which))
}

/// What happened, on one line.
fn sentence(event: &Value) -> String {
    let topic = cell(&event["topic"]);
    let what = &event[topic.as_str()];
    let at = [&what["at"], &what["created_at"]]
        .into_iter()
        .find(|value| !value.is_null());
    let told = match topic.as_str() {
        "revision" => format!(
            "{} by {}: {}{}",
            cell(&what["revision"]),
            cell(&what["author"]["actor"]),
            changes::summary(&what["summary"]),
            what["message"]
                .as_str()
                .map_or_else(String::new, |why| format!(" \"{}\"", output::plain(why)))
        ),
        "proxy" => format!(
            "{} of {} is {}{}",
            cell(&what["name"]),
            cell(&what["service"]),
            cell(&what["state"]),
            what["acked"]
                .as_u64()
                .map_or_else(String::new, |acked| format!(", has revision {acked}"))
        ),
        "rollout" => format!("{} is {}", cell(&what["revision"]), rollout::sentence(what)),
        _ => format!(
            "{} by {}: {} {} {}",
            cell(&what["outcome"]),
            cell(&what["actor"]),
            cell(&what["action"]),
            cell(&what["kind"]),
            cell(&what["name"])
        ),
    };
    let at = at.map_or_else(|| String::from("-"), cell);
    format!("{at:<24}  {topic:<8}  {told}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = json!({"topic": "revision", "id": "3-0-0", "revision": {"revision": 3, "author": {"actor": "ada"},
            "summary": {"changed": 1}, "message": "why\nnot", "created_at": "2026-11-25T14:00:00.000Z"}});
        assert_eq!(
            sentence(&event),
            "2026-11-25T14:00:00.000Z  revision  3 by ada: 1 changed \"why?not\""
        );
        assert_eq!(name(&event), "revision/3");
    }
}
