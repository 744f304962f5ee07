//! Whether a port could take mutual TLS alone: who calls it in plain text, and whether anybody would have said so.

mod watched;

use heddle_model::kind::{Mesh, Service};
use heddle_model::mtls::{self, MtlsMode};
use heddle_model::name::Name;
use heddle_store::observations::{Seen, What};
use serde_json::{Value, json};

use crate::view;

pub(crate) use watched::{Watch, Watched};

/// How many names stand in a sentence.
const NAMED: usize = 5;

/// Whether calls of somebody that was seen would fail if the port took mutual TLS alone. Who is refused as it is loses nothing. Where a
/// port is `off`, callers of the mesh use plain text because they are told to, and stop when they are told otherwise.
pub(crate) fn would_fail(seen: &Seen) -> bool {
    let asked_to = seen.what == What::Off && !seen.probably.is_empty();
    is_plain(seen.what) && seen.gets_in() && !asked_to
}

const fn is_plain(what: What) -> bool {
    matches!(what, What::Permissive | What::Off)
}

/// Callers as a sentence names them; `None`: there are none.
pub(crate) fn named(callers: &[&Seen]) -> Option<String> {
    let name = |one: &&Seen| {
        let who = one.caller.as_deref().unwrap_or("others");
        let probably = match one.probably.is_empty() {
            true => String::new(),
            false => format!("probably {}, ", list(&one.probably)),
        };
        let last = view::time(one.last_seen);
        let times = one.requests.max(1);
        format!("{who} ({probably}at least {times} requests, last at {last})")
    };
    let first: Vec<String> = callers.iter().take(NAMED).map(name).collect();
    let further = match callers.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!first.is_empty()).then(|| format!("{}{further}", first.join(", ")))
}

fn list(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(" or ")
}

/// What is to be said of a port, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// It takes mutual TLS alone.
    Strict,
    /// Nobody would be turned away.
    Ready,
    /// Nobody can tell.
    Unknown,
    /// Somebody would be turned away.
    CallersLeft,
}

impl State {
    pub(crate) const ALL: [Self; 4] = [Self::Strict, Self::Ready, Self::Unknown, Self::CallersLeft];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Ready => "ready",
            Self::Unknown => "unknown",
            Self::CallersLeft => "callers_left",
        }
    }
}

/// What is to be said of a service.
pub(crate) struct Readiness {
    pub(crate) state: State,
    pub(crate) body: Value,
}

/// Judges every port of a service by what was seen of it.
pub(crate) fn of(
    mesh: &Mesh,
    (name, service): (&Name, &Service),
    seen: &[&Seen],
    watched: &Watched<'_>,
) -> Readiness {
    let mut worst = State::Strict;
    let mut ports = Vec::new();
    for port in &service.ports {
        let mode = mtls::in_force(mesh, service, port).mode;
        let of_port = seen.iter().copied();
        let of_port = of_port.filter(|one| one.port == port.name && is_plain(one.what));
        let callers: Vec<&Seen> = of_port.collect();
        let left: Vec<&Seen> = callers
            .iter()
            .copied()
            .filter(|one| would_fail(one))
            .collect();
        let (state, reason) = judge(mode, &left, watched);
        worst = worst.max(state);
        ports.push(json!({
            "port": port.name,
            "mode": mode,
            "state": state.as_str(),
            "reason": reason,
            "callers": callers.iter().map(|one| caller(one, mode)).collect::<Vec<_>>(),
        }));
    }
    let proxies = match worst {
        State::Strict => Vec::new(),
        _ => watched.render(),
    };
    Readiness {
        state: worst,
        body: json!({
            "service": name,
            "state": worst.as_str(),
            "since": view::time(watched.since),
            "ports": ports,
            "proxies": proxies,
        }),
    }
}

fn judge(mode: MtlsMode, left: &[&Seen], watched: &Watched<'_>) -> (State, String) {
    if !mode.takes_plain_text() {
        return (State::Strict, String::from("takes mutual TLS alone"));
    }
    if let Some(callers) = named(left) {
        return (
            State::CallersLeft,
            format!("still called in plain text by {callers}"),
        );
    }
    if let Some(doubt) = watched.doubt() {
        return (State::Unknown, doubt);
    }
    let since = view::time(watched.since);
    let next = match mode {
        MtlsMode::Off => "; make it `permissive` before `strict`",
        _ => "",
    };
    let reason =
        format!("nobody whose calls would fail has called in plain text since {since}{next}");
    (State::Ready, reason)
}

fn caller(seen: &Seen, mode: MtlsMode) -> Value {
    json!({
        "address": seen.caller,
        "probably": seen.probably,
        "requests": seen.requests.max(1),
        "refused": seen.refused,
        "first_seen": view::time(seen.first_seen),
        "last_seen": view::time(seen.last_seen),
        "would_fail": mode.takes_plain_text() && would_fail(seen),
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_900_000_000 + 60 * minutes, 0).unwrap()
    }

    fn seen(what: What, probably: &[&str], requests: u64, refused: u64) -> Seen {
        let name = |text: &&str| text.parse().unwrap();
        Seen {
            service: "payments".parse().unwrap(),
            port: "http".parse().unwrap(),
            what,
            caller: Some(String::from("10.0.0.7")),
            probably: probably.iter().map(name).collect(),
            requests,
            refused,
            first_seen: at(0),
            last_seen: at(1),
        }
    }

    #[test]
    fn who_gets_in_by_plain_text_alone_would_fail() {
        assert!(would_fail(&seen(What::Permissive, &[], 2, 1)));
        assert!(would_fail(&seen(What::Permissive, &["checkout"], 2, 0)));
        assert!(would_fail(&seen(What::Off, &[], 1, 0)));
        // One that has not ended.
        assert!(would_fail(&seen(What::Permissive, &[], 0, 0)));
        assert!(!would_fail(&seen(What::Permissive, &[], 2, 2)));
        assert!(!would_fail(&seen(What::Off, &["checkout"], 1, 0)));
    }
}
