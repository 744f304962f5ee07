//! Simulated proxies, and what each of them has been told: by which revision, over how many streams.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use heddle_bench::fleet::{Behaviour, Fleet, Member, News, Observer};
use heddle_bench::report::percentile;
use heddle_bench::target::Target;

use crate::taint::Taint;

/// What is known of one.
#[derive(Debug, Default)]
struct Proxy {
    open: AtomicBool,
    /// Nanoseconds since the beginning.
    opened: AtomicU64,
    opens: AtomicUsize,
    ends: AtomicUsize,
    /// The last of them, like `opened`.
    ended: AtomicU64,
    /// Since its stream was opened.
    bytes: AtomicU64,
    revision: AtomicU64,
    fingerprint: AtomicU64,
}

/// What all of them were told.
pub(crate) struct Seen {
    base: Instant,
    proxies: Vec<Proxy>,
    taint: Arc<Taint>,
    removed: AtomicUsize,
    emptied: AtomicUsize,
    regressions: Mutex<Vec<String>>,
}

impl Observer for Seen {
    fn opened(&self, member: usize) {
        let proxy = &self.proxies[member];
        proxy.bytes.store(0, Ordering::SeqCst);
        proxy.opened.store(self.now(), Ordering::SeqCst);
        proxy.opens.fetch_add(1, Ordering::SeqCst);
        proxy.open.store(true, Ordering::SeqCst);
    }

    fn received(&self, member: usize, news: &News<'_>) {
        let proxy = &self.proxies[member];
        let length = news.message.len() as u64;
        proxy.bytes.fetch_add(length, Ordering::SeqCst);
        self.taint
            .look(news.message, || format!("a message to proxy {member}"));
        self.removed
            .fetch_add(news.response.removed.len(), Ordering::SeqCst);
        self.emptied.fetch_add(news.emptied, Ordering::SeqCst);
        proxy.fingerprint.store(news.fingerprint, Ordering::SeqCst);
        let Ok(revision) = news.response.version.parse::<u64>() else {
            return;
        };
        let before = proxy.revision.swap(revision, Ordering::SeqCst);
        if before > revision {
            let mut all = self
                .regressions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            all.push(format!("proxy {member}: {revision} after {before}"));
        }
    }

    fn ended(&self, member: usize) {
        let proxy = &self.proxies[member];
        if proxy.open.swap(false, Ordering::SeqCst) {
            proxy.ended.store(self.now(), Ordering::SeqCst);
            proxy.ends.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Seen {
    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn sum(&self, of: impl Fn(&Proxy) -> &AtomicUsize) -> usize {
        let all = self.proxies.iter().map(|p| of(p).load(Ordering::SeqCst));
        all.sum()
    }
}

/// A point in the life of a crowd, to measure from.
pub(crate) struct Mark {
    at: Instant,
    opens: Vec<usize>,
    ends: usize,
    removed: usize,
    emptied: usize,
}

/// The proxies of one organisation. They end when it is dropped.
pub(crate) struct Crowd {
    seen: Arc<Seen>,
    fleet: Fleet,
}

impl Crowd {
    /// Lets them loose; at most so many are on their way to ready at a time.
    pub(crate) fn start(
        target: Target,
        members: Vec<Member>,
        in_flight: usize,
        taint: Arc<Taint>,
    ) -> Self {
        let seen = Arc::new(Seen {
            base: Instant::now(),
            proxies: members.iter().map(|_| Proxy::default()).collect(),
            taint,
            removed: AtomicUsize::new(0),
            emptied: AtomicUsize::new(0),
            regressions: Mutex::default(),
        });
        let observer = Arc::clone(&seen) as Arc<dyn Observer>;
        let behaviour = Behaviour::default();
        let fleet = Fleet::observed(observer, target, members, in_flight, behaviour);
        Self { seen, fleet }
    }

    pub(crate) fn size(&self) -> usize {
        self.seen.proxies.len()
    }

    /// Those with an open stream.
    pub(crate) fn open(&self) -> usize {
        let proxies = self.seen.proxies.iter();
        proxies.filter(|p| p.open.load(Ordering::SeqCst)).count()
    }

    /// Those that were told of a revision or a later one.
    pub(crate) fn told(&self, revision: u64) -> usize {
        let proxies = self.seen.proxies.iter();
        proxies
            .filter(|p| p.revision.load(Ordering::SeqCst) >= revision)
            .count()
    }

    /// What each of them has.
    pub(crate) fn fingerprints(&self) -> Vec<u64> {
        let proxies = self.seen.proxies.iter();
        proxies
            .map(|p| p.fingerprint.load(Ordering::SeqCst))
            .collect()
    }

    /// Where a proxy was told an older revision than before.
    pub(crate) fn regressions(&self) -> Vec<String> {
        let all = self
            .seen
            .regressions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    pub(crate) fn mark(&self) -> Mark {
        let seen = &self.seen;
        let opens = seen.proxies.iter().map(|p| p.opens.load(Ordering::SeqCst));
        Mark {
            at: Instant::now(),
            opens: opens.collect(),
            ends: seen.sum(|p| &p.ends),
            removed: seen.removed.load(Ordering::SeqCst),
            emptied: seen.emptied.load(Ordering::SeqCst),
        }
    }

    /// How many streams have ended since.
    pub(crate) fn ended(&self, since: &Mark) -> usize {
        self.seen.sum(|p| &p.ends) - since.ends
    }

    /// How many resources were taken away since, and how many services lost their last endpoint.
    pub(crate) fn taken_away(&self, since: &Mark) -> usize {
        self.seen.removed.load(Ordering::SeqCst) - since.removed
            + self.seen.emptied.load(Ordering::SeqCst)
            - since.emptied
    }

    /// How often the one that came back most often has come back since.
    pub(crate) fn most_returns(&self, since: &Mark) -> usize {
        let now = self.seen.proxies.iter().zip(&since.opens);
        now.map(|(p, before)| p.opens.load(Ordering::SeqCst) - before)
            .max()
            .unwrap_or_default()
    }

    fn returned<'a>(&'a self, since: &'a Mark) -> impl Iterator<Item = &'a Proxy> {
        let all = self.seen.proxies.iter().zip(&since.opens);
        all.filter(|(p, before)| p.opens.load(Ordering::SeqCst) > **before)
            .map(|(p, _)| p)
    }

    /// After how long those that came back since did so, shortest first.
    pub(crate) fn returns(&self, since: &Mark) -> Vec<Duration> {
        let from = since.at.saturating_duration_since(self.seen.base);
        let times = self
            .returned(since)
            .map(|p| Duration::from_nanos(p.opened.load(Ordering::SeqCst)).saturating_sub(from));
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        times
    }

    /// After how long the last stream ended of those that came back since.
    pub(crate) fn ends_after(&self, since: &Mark) -> Duration {
        let from = since.at.saturating_duration_since(self.seen.base);
        let ended = self.returned(since).map(|p| p.ended.load(Ordering::SeqCst));
        let last = ended.max().map(Duration::from_nanos).unwrap_or_default();
        last.saturating_sub(from)
    }

    /// All of them lose their connections now.
    pub(crate) fn hang_up(&self) {
        self.fleet.hang_up();
    }

    /// Bytes that came over the streams of those that came back since: below which 99 of a hundred lie.
    pub(crate) fn bytes_of_returned(&self, since: &Mark) -> u64 {
        let bytes = self.returned(since).map(|p| p.bytes.load(Ordering::SeqCst));
        let mut bytes: Vec<Duration> = bytes.map(Duration::from_nanos).collect();
        bytes.sort_unstable();
        u64::try_from(percentile(&bytes, 99).as_nanos()).unwrap_or(u64::MAX)
    }
}
