//! Who has acknowledged or refused what: from sessions to the source, only what changed, never too often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::id::ProxyId;
use heddle_model::workload::Endpoint;
use heddle_translate::{Origin, explain_nack, naming};

use crate::engine::kind::{KINDS, Kind};
use crate::engine::session::{Progress, Rejection, Session};
use crate::source::{Nack, NackOrigin, ProxyStatus, Setup};

/// How long a registration holds without news. Long: while no server runs nobody renews it, and a server that
/// starts after hours must find the endpoints that are still there. Who leaves is withdrawn explicitly.
const LEASE: Duration = Duration::from_secs(24 * 60 * 60);
/// What is left of a lease when it is renewed.
const RENEW: Duration = Duration::from_secs(18 * 60 * 60);
/// The most that is kept of a client's words, in bytes.
const MESSAGE: usize = 4 << 10;

/// The most refusals of one proxy that are shown.
const NACKS: usize = 100;

/// Of which types a proxy must have everything before it takes calls. Envoy acknowledges a listener at once, but opens
/// it only when its routes and secrets are there.
const SERVING: [Kind; 3] = [Kind::Listener, Kind::Route, Kind::Secret];

/// What a stream tells of its session.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) progress: [Progress; KINDS],
    pub(crate) pending: Vec<&'static str>,
    pub(crate) nacks: Vec<Nack>,
    /// The serial of the certificate that it has acknowledged.
    pub(crate) leaf: Option<Arc<str>>,
}

impl Report {
    /// Whether only what is under way differs: most of that has arrived a moment later, and was never worth telling.
    pub(crate) fn differs_in_passing(&self, other: &Self) -> bool {
        let news = |report: &Self| (report.serves(), Progress::overall(&report.progress));
        news(self) == news(other) && self.nacks == other.nacks && self.leaf == other.leaf
    }

    /// The proxy has all of its listeners and what they need: it takes calls.
    fn serves(&self) -> bool {
        SERVING.iter().all(|kind| self.progress[kind.index()].holds)
    }
}

/// Where a proxy stands by what all of its streams tell: most have one, but types may have streams of their own.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Standing {
    /// The proxy has all of its listeners and what they need: it takes calls.
    pub(crate) serving: bool,
    /// The newest revision of which it is known to have had everything.
    pub(crate) acked_revision: Option<u64>,
    pub(crate) pending: Vec<&'static str>,
    pub(crate) nacks: Vec<Nack>,
    /// The serial of the certificate that it has acknowledged.
    pub(crate) leaf: Option<Arc<str>>,
}

impl Standing {
    /// What follows from these reports after `before`, of a proxy that gets its listeners or, when it `augments`, has its own.
    pub(crate) fn of<'a>(
        reports: impl Iterator<Item = &'a Report>,
        before: &Self,
        augments: bool,
    ) -> Self {
        let mut all = Report::default();
        for report in reports {
            for (sum, one) in all.progress.iter_mut().zip(report.progress) {
                *sum = sum.and(one);
            }
            all.pending.extend(&report.pending);
            all.nacks.extend(report.nacks.iter().cloned());
            all.leaf = report.leaf.clone().or(all.leaf);
        }
        all.pending.sort_unstable_by_key(|short| {
            Kind::ALL.map(Kind::short).iter().position(|s| s == short)
        });
        all.pending.dedup();
        all.nacks.truncate(NACKS);
        let serving = all.serves();
        Self {
            serving,
            // While it does not serve, Envoy may not have asked for what its newest listeners need: nothing is pending
            // then, and yet not everything is there.
            acked_revision: match serving || augments {
                true => Progress::overall(&all.progress).max(before.acked_revision),
                false => before.acked_revision,
            },
            pending: all.pending,
            nacks: all.nacks,
            leaf: all.leaf.or_else(|| before.leaf.clone()),
        }
    }
}

/// A refused version and when it was refused first.
type First = (Option<Arc<str>>, DateTime<Utc>);

/// Remembers when each refusal was seen first.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    since: BTreeMap<(Kind, Arc<str>), First>,
}

impl Reporter {
    pub(crate) fn report(&mut self, session: &Session, now: DateTime<Utc>) -> Report {
        let mut since = std::mem::take(&mut self.since);
        let mut nacks = Vec::new();
        for (kind, name, rejection) in session.quarantined().take(NACKS) {
            let key = (kind, name.clone());
            let seen = since
                .remove(&key)
                .filter(|(version, _)| *version == rejection.version);
            let (version, at) = seen.unwrap_or_else(|| (rejection.version.clone(), now));
            nacks.push(nack(kind, name, rejection, at));
            self.since.insert(key, (version, at));
        }
        Report {
            progress: Kind::ALL.map(|kind| session.progress(kind)),
            pending: session.pending_types().map(Kind::short).collect(),
            nacks,
            leaf: session.proven(Kind::Secret, naming::IDENTITY).cloned(),
        }
    }
}

fn nack(kind: Kind, name: &str, rejection: &Rejection, at: DateTime<Utc>) -> Nack {
    let about = rejection.resource.as_ref().and_then(|r| r.about.as_ref());
    let origins = about.and_then(|about| about.downcast_ref::<Vec<Origin>>());
    let origin = origins.and_then(|origins| explain_nack(origins, &rejection.message));
    Nack {
        kind: kind.short(),
        resource: name.to_owned(),
        version: rejection.version.as_deref().unwrap_or_default().to_owned(),
        origin: origin.map(|origin| NackOrigin {
            kind: origin.kind,
            id: origin.id,
            name: origin.name,
            pointer: origin.pointer,
            revision: origin.revision,
        }),
        message: printable(&rejection.message),
        at,
    }
}

/// Text from outside, fit for logs and screens: control and direction characters escaped, cut at 4 KiB.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let before = out.len();
        if c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > MESSAGE {
            out.truncate(before);
            break;
        }
    }
    out
}

/// What is known of one proxy and what of it was written.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) connected: bool,
    pub(crate) augments: bool,
    pub(crate) envoy_version: Option<String>,
    pub(crate) setup: Option<Setup>,
    pub(crate) standing: Standing,
    /// The revision that gave it the configuration that it should have; later ones did not concern it.
    target: Option<u64>,
    lease_until: Option<DateTime<Utc>>,
    written: Option<ProxyStatus>,
    in_writing: Option<ProxyStatus>,
}

impl Record {
    /// It has had all of what it should have: whatever else the mesh is at meant nothing to it.
    fn is_current(&self) -> bool {
        self.standing.acked_revision.is_some() && self.standing.acked_revision >= self.target
    }

    /// What it had so far was everything up to `offered`, if it had everything.
    fn settle(&mut self, offered: Option<u64>) {
        if self.is_current() {
            self.standing.acked_revision = self.standing.acked_revision.max(offered);
        }
    }

    /// It should have the configuration of another revision from now on; before, everything up to `offered` had been shown to it.
    pub(crate) fn aim(&mut self, target: Option<u64>, offered: Option<u64>) {
        self.settle(offered);
        self.target = target;
    }

    /// It has no stream any more: from now on nothing is shown to it.
    pub(crate) fn part(&mut self, offered: Option<u64>) {
        self.settle(offered);
        self.connected = false;
    }

    /// What is written of how far it is. While it is connected, no more than what it should have: a proxy that is current is as far
    /// as the mesh without a row being written whenever that moves on.
    fn acked(&self) -> Option<u64> {
        match (self.connected, self.target) {
            (true, Some(target)) => self.standing.acked_revision.map(|acked| acked.min(target)),
            _ => self.standing.acked_revision,
        }
    }
}

/// The records of one mesh.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) records: BTreeMap<ProxyId, Record>,
    touched: std::collections::BTreeSet<ProxyId>,
}

impl Board {
    /// Something may have changed for this proxy.
    pub(crate) fn touch(&mut self, proxy: ProxyId) {
        self.touched.insert(proxy);
    }

    pub(crate) fn record(&mut self, proxy: ProxyId) -> &mut Record {
        self.records.entry(proxy).or_default()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.touched.is_empty()
    }

    /// Touches every proxy whose lease is to be renewed.
    pub(crate) fn renew_leases(&mut self, now: DateTime<Utc>) {
        let old = now + TimeDelta::from_std(RENEW).unwrap_or_default();
        for (proxy, record) in &self.records {
            if record.lease_until.is_some_and(|until| until <= old) {
                self.touched.insert(*proxy);
            }
        }
    }

    /// What differs from what was written last. `endpoint` says where a proxy takes calls.
    pub(crate) fn batch<'a>(
        &mut self,
        now: DateTime<Utc>,
        endpoint: impl Fn(ProxyId) -> Option<&'a Endpoint>,
    ) -> Vec<ProxyStatus> {
        let mut batch = Vec::new();
        for proxy in std::mem::take(&mut self.touched) {
            let registration = endpoint(proxy).cloned();
            let record = self.records.entry(proxy).or_default();
            let renew = now + TimeDelta::from_std(RENEW).unwrap_or_default();
            record.lease_until = match (&registration, record.lease_until) {
                (None, _) => None,
                (Some(_), Some(until)) if until > renew => Some(until),
                (Some(_), _) => Some(now + TimeDelta::from_std(LEASE).unwrap_or_default()),
            };
            let mut status = ProxyStatus {
                proxy,
                connected: record.connected,
                augments: record.augments,
                registration,
                lease_until: record.lease_until,
                envoy_version: record.envoy_version.clone(),
                setup: record.setup.clone(),
                leaf_serial: record.standing.leaf.as_deref().map(str::to_owned),
                acked_revision: record.acked(),
                target_revision: record.target,
                pending_types: record.standing.pending.clone(),
                nacks: record.standing.nacks.clone(),
                seen_at: now,
            };
            if let Some(written) = &record.written {
                status.seen_at = written.seen_at;
            }
            if record.written.as_ref() != Some(&status) {
                status.seen_at = now;
                record.in_writing = Some(status.clone());
                batch.push(status);
            }
            self.drop_if_gone(proxy);
        }
        batch
    }

    /// The batch was kept or not.
    pub(crate) fn wrote(&mut self, batch: &[ProxyId], kept: bool) {
        for proxy in batch {
            if let Some(record) = self.records.get_mut(proxy) {
                let status = record.in_writing.take();
                if kept {
                    record.written = status;
                }
            }
            if !kept {
                self.touched.insert(*proxy);
            }
            self.drop_if_gone(*proxy);
        }
    }

    /// What was written of this proxy does not stand any more.
    pub(crate) fn rewrite(&mut self, proxy: ProxyId) {
        if let Some(record) = self.records.get_mut(&proxy) {
            record.written = None;
            self.touched.insert(proxy);
        }
    }

    /// A proxy that is connected elsewhere is none of ours.
    pub(crate) fn leave_to_others(&mut self, proxy: ProxyId) {
        self.records.remove(&proxy);
        self.touched.remove(&proxy);
    }

    /// A proxy that has left for good needs no record once that was written.
    fn drop_if_gone(&mut self, proxy: ProxyId) {
        let gone = self.records.get(&proxy).is_some_and(|record| {
            let written = record.written.as_ref();
            !record.connected
                && record.in_writing.is_none()
                && written.is_some_and(|w| !w.connected && w.registration.is_none())
        });
        if gone && !self.touched.contains(&proxy) {
            self.records.remove(&proxy);
        }
    }
}

#[cfg(test)]
mod tests {
    use heddle_model::clock::{Clock, SystemClock};
    use uuid::Uuid;

    use super::*;

    fn proxy() -> ProxyId {
        ProxyId::from_uuid(Uuid::from_u128(1))
    }

    #[test]
    fn words_from_outside_are_escaped_and_cut() {
        assert_eq!(
            printable("a\nb\u{1b}[31m\u{202e}"),
            "a\\nb\\u{1b}[31m\\u{202e}"
        );
        assert_eq!(printable("M\u{fc}ller"), "M\u{fc}ller");
        let long = printable(&"\u{e9}\n".repeat(5_000));
        assert!(long.len() <= MESSAGE && long.len() > MESSAGE - 4);
    }

    #[test]
    fn what_is_under_way_is_no_news_and_the_rest_is() {
        let of = |holds: bool, synced: Option<u64>| Progress {
            asked: true,
            needed: true,
            holds,
            synced,
        };
        let all = |progress: Progress| Report {
            progress: [progress; KINDS],
            ..Report::default()
        };
        let report = all(of(false, None));
        let passing = Report {
            pending: vec!["eds"],
            ..report.clone()
        };
        assert!(report.differs_in_passing(&passing));
        assert!(!report.differs_in_passing(&all(of(false, Some(2)))));
        assert!(!report.differs_in_passing(&all(of(true, None))));
    }

    #[test]
    fn a_proxy_stands_where_its_streams_are_together() {
        let mut one = Report::default();
        let mut two = Report::default();
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            let progress = Progress {
                asked: true,
                needed: true,
                holds: true,
                synced: Some(7 + n as u64 % 2),
            };
            let report = if kind == Kind::Listener {
                &mut two
            } else {
                &mut one
            };
            report.progress[kind.index()] = progress;
        }
        // Neither of them alone has everything.
        let before = Standing::default();
        for part in [&one, &two] {
            let alone = Standing::of(std::iter::once(part), &before, false);
            assert_eq!((alone.serving, alone.acked_revision), (false, None));
        }
        let standing = Standing::of([&one, &two].into_iter(), &before, false);
        assert_eq!((standing.serving, standing.acked_revision), (true, Some(7)));
    }

    #[test]
    fn only_what_changed_is_written() {
        let now = SystemClock.now();
        let mut board = Board::default();
        board.record(proxy()).connected = true;
        board.touch(proxy());
        assert_eq!(board.batch(now, |_| None).len(), 1);
        board.wrote(&[proxy()], true);
        board.touch(proxy());
        assert!(
            board
                .batch(now + TimeDelta::seconds(1), |_| None)
                .is_empty()
        );
        board.record(proxy()).standing.acked_revision = Some(3);
        board.touch(proxy());
        let batch = board.batch(now + TimeDelta::seconds(2), |_| None);
        assert_eq!(batch[0].acked_revision, Some(3));
        assert_eq!(batch[0].seen_at, now + TimeDelta::seconds(2));
    }

    #[test]
    fn a_revision_that_does_not_concern_a_proxy_is_not_written() {
        let now = SystemClock.now();
        let mut board = Board::default();
        let held = |status: &ProxyStatus| (status.acked_revision, status.target_revision);
        let record = board.record(proxy());
        record.connected = true;
        record.aim(Some(5), None);
        record.standing.acked_revision = Some(5);
        board.touch(proxy());
        let batch = board.batch(now, |_| None);
        assert_eq!(held(&batch[0]), (Some(5), Some(5)));
        board.wrote(&[proxy()], true);
        // Its workloads' views were made at later revisions: it is told to have those, and that is no news.
        board.record(proxy()).standing.acked_revision = Some(8);
        board.touch(proxy());
        assert!(board.batch(now, |_| None).is_empty());
        // Revision 12 concerns it. Up to 11, which was offered, it has everything.
        board.record(proxy()).aim(Some(12), Some(11));
        board.touch(proxy());
        let batch = board.batch(now, |_| None);
        assert_eq!(held(&batch[0]), (Some(11), Some(12)));
        board.wrote(&[proxy()], true);
        // It is not current when revision 14 comes, which says nothing of 13.
        board.record(proxy()).aim(Some(14), Some(13));
        board.touch(proxy());
        let batch = board.batch(now, |_| None);
        assert_eq!(held(&batch[0]), (Some(11), Some(14)));
        board.wrote(&[proxy()], true);
        board.record(proxy()).standing.acked_revision = Some(14);
        board.record(proxy()).part(Some(20));
        board.touch(proxy());
        let batch = board.batch(now, |_| None);
        assert_eq!(held(&batch[0]), (Some(20), Some(14)));
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let now = SystemClock.now();
        let mut board = Board::default();
        board.record(proxy()).connected = true;
        board.touch(proxy());
        assert_eq!(board.batch(now, |_| None).len(), 1);
        board.wrote(&[proxy()], false);
        assert!(!board.is_settled());
        assert_eq!(board.batch(now, |_| None).len(), 1);
    }

    #[test]
    fn who_left_for_good_is_forgotten_once_that_is_written() {
        let now = SystemClock.now();
        let mut board = Board::default();
        board.record(proxy()).connected = true;
        board.touch(proxy());
        board.batch(now, |_| None);
        board.wrote(&[proxy()], true);
        board.record(proxy()).connected = false;
        board.touch(proxy());
        let batch = board.batch(now, |_| None);
        assert!(!batch[0].connected && batch[0].registration.is_none());
        assert_eq!(board.records.len(), 1);
        board.wrote(&[proxy()], true);
        assert!(board.records.is_empty());
    }
}
