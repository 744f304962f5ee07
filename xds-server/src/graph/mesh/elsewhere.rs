//! What other servers do with the same mesh: their workloads, and proxies that come from them.
//!
//! A proxy that comes may have been shown by another server what is not known here yet. It waits until it is, so that what a proxy
//! sees never goes back (X27). How far that is the source said when the proxy joined.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::{Hints, Newcomer};
use super::jobs::{Job, warn};
use super::{Mesh, now};
use crate::source::{Heads, Kept, SourceError, Workloads};

/// How long a proxy waits at most: longer means that the mesh cannot be loaded, and then it is better to have what there is.
const WAIT: Duration = Duration::from_secs(5);
/// The pause between two attempts at something that failed.
const PAUSE: Duration = Duration::from_millis(250);

/// What is known of other servers, and who waits for more.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// All news about proxies up to this number are known.
    status: u64,
    /// There are news up to this number.
    wanted: u64,
    not_before: Option<Instant>,
    pub(super) look: Job<Result<Workloads, SourceError>>,
    waiting: Vec<(Instant, Newcomer)>,
}

impl Elsewhere {
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether somebody has waited for long enough.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.waiting.first().is_some_and(|(until, _)| *until <= now)
    }

    /// When to look again at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = self.waiting.first().map(|(until, _)| *until);
        let look = self.not_before.filter(|_| self.look.is_none());
        first.into_iter().chain(look).min()
    }
}

impl Mesh {
    pub(super) fn on_hint(&mut self, hints: &Hints) {
        if hints.configuration.swap(false, Ordering::AcqRel) {
            self.reload = Some(now());
        }
        let status = hints.status.swap(0, Ordering::AcqRel);
        self.elsewhere.wanted = self.elsewhere.wanted.max(status);
        if hints.lapsed.swap(false, Ordering::AcqRel) {
            self.offer_kept = None;
            for proxy in self.members.keys() {
                self.board.rewrite(*proxy);
            }
        }
    }

    fn is_behind(&self, heads: Heads) -> bool {
        let revision = self.graph.snapshot().map(|snapshot| snapshot.revision);
        let known = revision >= Some(heads.revision) && self.elsewhere.status >= heads.status;
        !self.deleted && !known
    }

    /// Joins a stream at once, or when this mesh is as far as it has to be.
    pub(super) fn receive(&mut self, newcomer: Newcomer) {
        let heads = newcomer.joined.heads;
        if !self.is_behind(heads) {
            self.attach(newcomer);
            return;
        }
        if self.graph.snapshot().map(|s| s.revision) < Some(heads.revision) && self.failures == 0 {
            self.reload = Some(now());
        }
        self.elsewhere.wanted = self.elsewhere.wanted.max(heads.status);
        self.elsewhere.waiting.push((now() + WAIT, newcomer));
    }

    /// Joins those who waited for what is here now, or for long enough.
    pub(super) fn let_in(&mut self) {
        let now = now();
        let waiting = std::mem::take(&mut self.elsewhere.waiting);
        for (until, newcomer) in waiting {
            if newcomer.reply.is_closed() {
                continue;
            }
            if until > now && self.is_behind(newcomer.joined.heads) {
                self.elsewhere.waiting.push((until, newcomer));
            } else {
                self.attach(newcomer);
            }
        }
    }

    pub(super) fn let_in_all(&mut self) {
        for (_, newcomer) in std::mem::take(&mut self.elsewhere.waiting) {
            self.attach(newcomer);
        }
    }

    /// Whether somebody waits for a revision that is not here.
    pub(super) fn is_revision_wanted(&self) -> bool {
        let here = self.graph.snapshot().map(|snapshot| snapshot.revision);
        let mut waiting = self.elsewhere.waiting.iter();
        waiting.any(|(_, newcomer)| here < Some(newcomer.joined.heads.revision))
    }

    /// Asks what other servers say, when there is something that was not heard.
    pub(super) fn look_elsewhere(&mut self, now: Instant) {
        let due = self.elsewhere.not_before.is_none_or(|at| at <= now);
        if due {
            self.elsewhere.not_before = None;
        }
        // What this server is just writing is counted, too: first see how.
        let idle = self.elsewhere.look.is_none() && self.checkpoint.is_none();
        let wanted = self.elsewhere.wanted > self.elsewhere.status;
        if self.registry_loaded && !self.deleted && wanted && due && idle {
            let (key, parts, after) = (self.key, self.parts.clone(), self.elsewhere.status);
            let ask = async move { parts.source.workloads(key, Some(after)).await };
            self.elsewhere.look = Some(tokio::spawn(ask));
        }
    }

    pub(super) fn on_heard(&mut self, heard: Option<Result<Workloads, SourceError>>) {
        match heard {
            Some(Ok(workloads)) => {
                self.heard(true);
                self.elsewhere.wanted = self.elsewhere.wanted.min(workloads.status);
                self.follow(workloads);
            }
            outcome => {
                if let Some(Err(error)) = outcome {
                    self.heard(false);
                    warn(self.key, "look for workloads of other servers", &error);
                }
                self.elsewhere.not_before = Some(now() + PAUSE);
            }
        }
    }

    fn follow(&mut self, news: Workloads) {
        let mut changed = BTreeSet::new();
        for workload in news.workloads {
            let proxy = workload.proxy;
            if self.members.contains_key(&proxy) {
                if !workload.connected {
                    // Whoever wrote that did not know that it is here.
                    self.board.rewrite(proxy);
                }
                continue;
            }
            if workload.here {
                continue;
            }
            if workload.endpoint.is_none() {
                self.refused.remove(&proxy);
            }
            self.board.leave_to_others(proxy);
            changed.extend(self.registry.hear(workload, now()));
        }
        self.elsewhere.status = self.elsewhere.status.max(news.status);
        self.publish_endpoints(&changed);
        self.let_in();
    }

    /// The workloads were loaded, up to this number of the news.
    pub(super) fn begin_elsewhere(&mut self, status: u64) {
        self.elsewhere.status = self.elsewhere.status.max(status);
    }

    /// What was written here was counted. When nobody else wrote in between there is nothing to be heard.
    pub(super) fn count(&mut self, kept: Kept) {
        if kept.before <= self.elsewhere.status {
            self.elsewhere.status = self.elsewhere.status.max(kept.status);
        } else {
            self.elsewhere.wanted = self.elsewhere.wanted.max(kept.status);
        }
        self.let_in();
    }
}
