//! Whether somebody would have said so, if anybody had called.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_store::observations::{GAP, Gone, Observer};
use serde_json::{Value, json};

use super::NAMED;
use crate::view;

/// Whoever joined so shortly before it was heard first took no calls before that; and nobody takes any while one goes and the next comes.
const JOINING: TimeDelta = TimeDelta::minutes(5);
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
    pub(super) since: DateTime<Utc>,
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
    fn watched_since(&self) -> Option<DateTime<Utc>> {
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
        let began = self
            .watched_since()
            .filter(|began| *began > self.since + JOINING);
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

#[cfg(test)]
mod tests {
    use heddle_model::id::ProxyId;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_900_000_000 + 60 * minutes, 0).unwrap()
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
