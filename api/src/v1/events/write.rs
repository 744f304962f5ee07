//! Events on the wire.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use heddle_store::live::Heads;
use serde_json::{Map, Value, json};

use super::cursor;
use crate::v1::audit_log::NDJSON;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Server-Sent Events.
    Sse,
    /// JSON, one text a line.
    Lines,
}

/// The media type of Server-Sent Events.
pub(crate) const SSE: &str = "text/event-stream";

impl Format {
    /// What the client asks for; lines when it does not ask for Server-Sent Events.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepts = headers.get_all(header::ACCEPT).iter();
        let sse = accepts
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|one| one.split(';').next().unwrap_or_default().trim() == SSE);
        if sse { Self::Sse } else { Self::Lines }
    }

    pub(super) const fn media(self) -> &'static str {
        match self {
            Self::Sse => SSE,
            Self::Lines => NDJSON,
        }
    }
}

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    topic: &'static str,
    /// How far a client has read that has read this one; `None` where nobody can go on from.
    pub(super) at: Option<Heads>,
    member: Option<(&'static str, Value)>,
}

impl Event {
    pub(super) fn new(topic: &'static str, at: Option<Heads>, what: Value) -> Self {
        Self {
            topic,
            at,
            member: Some((topic, what)),
        }
    }

    /// Where the stream begins.
    pub(super) fn position(at: Heads) -> Self {
        Self::bare("position", Some(at))
    }

    /// The id that the client had is none of this mesh: it goes on from here, and what it knows may be anything.
    pub(super) fn reset(at: Heads) -> Self {
        Self::bare("reset", Some(at))
    }

    pub(super) fn heartbeat(at: Heads) -> Self {
        Self::bare("heartbeat", Some(at))
    }

    /// The stream ends.
    pub(super) fn end(at: Heads, why: &'static str) -> Self {
        Self {
            member: Some(("reason", json!(why))),
            ..Self::bare("end", Some(at))
        }
    }

    const fn bare(topic: &'static str, at: Option<Heads>) -> Self {
        Self {
            topic,
            at,
            member: None,
        }
    }

    pub(super) fn write(&self, format: Format) -> Bytes {
        let id = self.at.map(cursor::format);
        let mut body = Map::new();
        body.insert(String::from("topic"), json!(self.topic));
        if let Some(id) = &id {
            body.insert(String::from("id"), json!(id));
        }
        if let Some((name, value)) = &self.member {
            body.insert((*name).to_owned(), value.clone());
        }
        // JSON as it is written here has no line breaks.
        let body = Value::Object(body);
        let text = match (format, id) {
            (Format::Lines, _) => format!("{body}\n"),
            (Format::Sse, Some(id)) => {
                format!("id: {id}\nevent: {}\ndata: {body}\n\n", self.topic)
            }
            (Format::Sse, None) => format!("event: {}\ndata: {body}\n\n", self.topic),
        };
        Bytes::from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_wire() {
        let at = Heads {
            revision: 1,
            audit: 2,
            status: 3,
        };
        let event = Event::new("proxy", Some(at), json!({"name": "a\nb"}));
        assert_eq!(
            event.write(Format::Sse),
            "id: 1-2-3\nevent: proxy\ndata: {\"topic\":\"proxy\",\"id\":\"1-2-3\",\"proxy\":{\"name\":\"a\\nb\"}}\n\n"
        );
        assert_eq!(
            Event::end(at, "time").write(Format::Lines),
            "{\"topic\":\"end\",\"id\":\"1-2-3\",\"reason\":\"time\"}\n"
        );
        let mut headers = HeaderMap::new();
        assert_eq!(Format::of(&headers), Format::Lines);
        let accept = "application/json, text/event-stream;q=0.9";
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        assert_eq!(Format::of(&headers), Format::Sse);
    }
}
