//! Whether a port could take mutual TLS alone: who calls it in plain text, and whether anybody would have said so.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::kind::{Mesh, Service};
use heddle_model::mtls::{self, MtlsMode};
use heddle_model::name::Name;
use heddle_store::observations::{GAP, Gone, Observer, Seen, What};
use serde_json::{Value, json};

use crate::view;

/// Whoever joined so shortly before it was heard first took no calls before that; and nobody takes any while one goes and the next comes.
const JOINING: TimeDelta = TimeDelta::minutes(5);
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

/// Whether a proxy would have told of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// It would, all the time or since then.
    Reporting(DateTime<Utc>),
    /// It has no connection to Heddle, so it tells nothing.
    NotConnected,
    /// It is connected, and has not said lately that it could report.
    Silent,
    /// It refuses a listener, so the one that it still has may be one that tells nothing.
    RejectsListener,
    /// What it listens at is not Heddle's, and no mode is about it.
    OwnListeners,
}

impl Watch {
    pub(crate) const ALL: [&'static str; 5] = [
        "reporting",
        "not_connected",
        "silent",
        "rejects_listener",
        "own_listeners",
    ];

    fn of(proxy: &Observer, now: DateTime<Utc>) -> Self {
        match proxy.heard {
            _ if proxy.apart => Self::OwnListeners,
            _ if !proxy.connected => Self::NotConnected,
            _ if proxy.refuses_listener => Self::RejectsListener,
            Some((since, heard)) if heard > now - GAP => Self::Reporting(since),
            _ => Self::Silent,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Reporting(_) => "reporting",
            Self::NotConnected => "not_connected",
            Self::Silent => "silent",
            Self::RejectsListener => "rejects_listener",
            Self::OwnListeners => "own_listeners",
        }
    }
}

/// The proxies of a service as those who would tell.
pub(crate) struct Watched<'a> {
    proxies: Vec<(&'a Observer, Watch)>,
    gone: Vec<&'a Gone>,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(
        proxies: impl Iterator<Item = &'a Observer>,
        gone: impl Iterator<Item = &'a Gone>,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let proxies = proxies.map(|one| (one, Watch::of(one, now)));
        Self {
            proxies: proxies.collect(),
            gone: gone.collect(),
            since,
            now,
        }
    }

    /// Since when there has always been some proxy that would tell; `None`: there is none now.
    fn since(&self) -> Option<DateTime<Utc>> {
        let reporting = self.proxies.iter().filter_map(|(_, watch)| match watch {
            Watch::Reporting(since) => Some((*since, self.now)),
            _ => None,
        });
        let gone = self.gone.iter().map(|one| (one.since, one.heard_at));
        let mut spans: Vec<_> = reporting.chain(gone).collect();
        spans.sort_unstable();
        let mut run: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
        for (from, to) in spans {
            run = match run {
                Some((began, until)) if from <= until + JOINING => Some((began, until.max(to))),
                _ => Some((from, to)),
            };
        }
        run.filter(|(_, until)| *until == self.now)
            .map(|(began, _)| began)
    }

    /// Why it cannot be told from silence that nobody called; `None`: it can.
    pub(crate) fn doubt(&self) -> Option<String> {
        let names = |wanted: Watch| {
            let all = self.proxies.iter().filter(|(_, watch)| *watch == wanted);
            let all: Vec<&str> = all.map(|(proxy, _)| proxy.node_id.as_str()).collect();
            match all.len().saturating_sub(NAMED) {
                0 => all.join(", "),
                more => format!("{} and {more} more", all[..NAMED].join(", ")),
            }
        };
        let mut why = Vec::new();
        let away = names(Watch::NotConnected);
        if !away.is_empty() {
            why.push(format!(
                "not connected, so nobody knows what reaches them: {away} (forget those that are gone for good)"
            ));
        }
        let silent = names(Watch::Silent);
        if !silent.is_empty() {
            why.push(format!(
                "connected, but not heard as reporting yet: {silent}"
            ));
        }
        let rejecting = names(Watch::RejectsListener);
        if !rejecting.is_empty() {
            why.push(format!(
                "they reject a listener, so they may have one that tells nothing: {rejecting}"
            ));
        }
        let heard = self
            .proxies
            .iter()
            .filter_map(|(proxy, watch)| match watch {
                Watch::Reporting(since) => Some((proxy.joined_at, *since)),
                _ => None,
            });
        let reporting = heard.clone().count();
        let late = heard.filter(|(joined, since)| {
            // What came after the beginning of the window was not there to be called before it.
            *since > self.since.max(*joined + JOINING)
        });
        // Nor was anybody, before the first one came.
        let began = self.since().filter(|began| *began > self.since + JOINING);
        match late.map(|(_, since)| since).chain(began).max() {
            _ if reporting == 0 && why.is_empty() => {
                why.push(String::from("no proxy of the service reports"));
            }
            Some(since) => why.push(format!(
                "watched without a gap only since {}: wait, or ask with a later `since`",
                view::time(since)
            )),
            None => {}
        }
        (!why.is_empty()).then(|| why.join("; "))
    }

    pub(crate) fn render(&self) -> Vec<Value> {
        let proxies = self.proxies.iter();
        let render = |(proxy, watch): &(&Observer, Watch)| {
            let heard = proxy.heard;
            json!({
                "name": proxy.node_id,
                "uid": proxy.proxy.to_string(),
                "state": watch.as_str(),
                "since": heard.map(|(since, _)| view::time(since)),
                "heard_at": heard.map(|(_, at)| view::time(at)),
            })
        };
        proxies.map(render).collect()
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
    use heddle_model::id::ProxyId;

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

    fn proxy(name: &str, connected: bool, joined: i64, heard: Option<(i64, i64)>) -> Observer {
        Observer {
            proxy: ProxyId::from_uuid(uuid::Uuid::from_u128(1)),
            node_id: name.to_owned(),
            service: "payments".parse().unwrap(),
            connected,
            apart: false,
            refuses_listener: false,
            joined_at: at(joined),
            heard: heard.map(|(since, last)| (at(since), at(last))),
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

    #[test]
    fn nobody_is_not_nobody_told_us() {
        let since = at(1000);
        let watched = |proxies: &[Observer], gone: &[Gone]| {
            Watched::new(proxies.iter(), gone.iter(), since, at(2000)).doubt()
        };
        let doubt = |proxies: &[Observer]| watched(proxies, &[]);
        let all_along = proxy("p-1", true, 0, Some((10, 1999)));
        assert_eq!(doubt(std::slice::from_ref(&all_along)), None);
        // It joined in between, and has been heard since.
        let newcomer = proxy("p-2", true, 1500, Some((1501, 1998)));
        assert_eq!(doubt(&[all_along.clone(), newcomer]), None);
        let own = Observer {
            apart: true,
            ..proxy("p-3", true, 0, None)
        };
        assert_eq!(doubt(&[all_along.clone(), own.clone()]), None);

        let says = |proxies: &[Observer], part: &str| {
            let doubt = doubt(proxies).expect("a doubt");
            assert!(doubt.contains(part), "{doubt}");
        };
        says(&[], "no proxy of the service reports");
        says(&[own], "no proxy of the service reports");
        says(
            &[all_along.clone(), proxy("p-4", false, 0, Some((10, 1999)))],
            "not connected, so nobody knows what reaches them: p-4",
        );
        says(
            &[all_along.clone(), proxy("p-5", true, 0, None)],
            "not heard as reporting yet: p-5",
        );
        says(
            &[all_along.clone(), proxy("p-6", true, 0, Some((10, 1900)))],
            "not heard as reporting yet: p-6",
        );
        says(
            &[all_along.clone(), proxy("p-7", true, 0, Some((1200, 1999)))],
            "only since",
        );
        let rejecting = Observer {
            refuses_listener: true,
            ..proxy("p-8", true, 0, Some((10, 1999)))
        };
        says(&[all_along, rejecting], "reject a listener");

        // Everybody joined in between: of the time before that nobody tells, unless those do who have gone since.
        let young = [proxy("p-9", true, 1500, Some((1501, 1999)))];
        says(&young, "only since");
        let gone = |from: i64, to: i64| Gone {
            service: "payments".parse().unwrap(),
            since: at(from),
            heard_at: at(to),
        };
        assert_eq!(watched(&young, &[gone(900, 1498)]), None);
        assert_eq!(watched(&young, &[gone(900, 1200), gone(1203, 1498)]), None);
        let hole = watched(&young, &[gone(900, 1200), gone(1300, 1498)]).unwrap();
        assert!(hole.contains(&view::time(at(1300))), "{hole}");
        let early = watched(&young, &[gone(900, 1400)]).unwrap();
        assert!(early.contains(&view::time(at(1501))), "{early}");
    }
}
