//! What runs beside the task of a mesh: loads, questions about revocations, checkpoints. One of each at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heddle_model::id::ProxyId;
use heddle_model::snapshot::MeshSnapshot;
use tokio::task::JoinHandle;

use super::super::{Ended, Parts};
use super::{IDLE, Mesh, now};
use crate::source::{Kept, MeshKey, Refusal, SourceError, Workloads};
use crate::trust::Trust;

/// How long a load may take.
const LOAD: Duration = Duration::from_secs(10);
/// How often revocations are asked for.
pub(super) const REVOCATIONS: Duration = Duration::from_secs(2);
/// The longest pause between two attempts at something that failed.
const BACK_OFF: Duration = Duration::from_secs(10);

/// What a load brings.
pub(super) struct Loaded {
    pub(super) snapshot: MeshSnapshot,
    pub(super) trust: Trust,
    pub(super) workloads: Option<Workloads>,
}

/// Something that runs beside the task, at most one at a time.
pub(super) type Job<T> = Option<JoinHandle<T>>;

/// The result of a job, when there is one; for ever pending otherwise. A job that panicked gives `None`.
pub(super) async fn done<T>(job: &mut Job<T>) -> Option<T> {
    match job {
        Some(handle) => {
            let outcome = handle.await;
            *job = None;
            outcome.ok()
        }
        None => std::future::pending().await,
    }
}

async fn done_or_none<T>(job: &mut Job<T>) -> Option<T> {
    match job {
        Some(_) => done(job).await,
        None => None,
    }
}

impl Mesh {
    /// Starts what is due, and says when to look again at the latest.
    pub(super) fn start_jobs(&mut self, now: Instant) -> Instant {
        if self.load.is_none() && !self.deleted && self.reload.is_some_and(|at| at <= now) {
            self.reload = None;
            self.load = Some(tokio::spawn(load(
                self.key,
                self.parts.clone(),
                self.loaded.clone(),
                !self.registry_loaded,
            )));
        }
        if self.revocations.is_none() && self.ask_revocations <= now {
            self.ask_revocations = now + REVOCATIONS;
            self.board.renew_leases(self.parts.clock.now());
            self.tell_usage(now);
            let here = self.members.keys().copied();
            let proxies: Vec<_> = here.chain(self.registry.elsewhere()).collect();
            if !proxies.is_empty() {
                let (key, parts) = (self.key, self.parts.clone());
                let ask = async move { parts.source.revoked(key, &proxies).await };
                self.revocations = Some(tokio::spawn(ask));
            }
        }
        if self.may_write() && self.write_at <= now {
            self.write_at = now + self.parts.checkpoint_interval;
            self.start_checkpoint();
        }
        self.look_elsewhere(now);
        let mut wake = self.ask_revocations.max(now + Duration::from_millis(1));
        let load = self.reload.filter(|_| self.load.is_none() && !self.deleted);
        let write = self.may_write().then_some(self.write_at);
        let idle = self.idle_since.map(|since| since + IDLE);
        let due = self.registry.next_deadline(now);
        let elsewhere = self.elsewhere.deadline();
        for at in [load, write, idle, due, self.expiry, elsewhere]
            .into_iter()
            .flatten()
        {
            wake = wake.min(at);
        }
        wake
    }

    /// Not before the registrations of an earlier process are here: a status without one would erase the one that is
    /// about to be read.
    fn may_write(&self) -> bool {
        let ready = self.registry_loaded && !self.deleted;
        ready && self.checkpoint.is_none() && (!self.board.is_settled() || self.has_offer())
    }

    /// Whether proxies are connected here that are further than is written.
    fn has_offer(&self) -> bool {
        self.offered != self.offer_kept && !self.members.is_empty()
    }

    fn start_checkpoint(&mut self) {
        let registry = &self.registry;
        let batch = self
            .board
            .batch(self.parts.clock.now(), |proxy| registry.endpoint(proxy));
        self.keeping.append(&mut self.unkept);
        if batch.is_empty() && !self.has_offer() {
            self.show_kept();
            return;
        }
        let proxies: Vec<_> = batch.iter().map(|status| status.proxy).collect();
        let (key, parts, offered) = (self.key, self.parts.clone(), self.offered);
        self.offering = offered;
        self.checkpoint = Some(tokio::spawn(async move {
            let outcome = parts.source.checkpoint(key, offered, batch).await;
            if let Err(error) = &outcome {
                warn(key, "checkpoint", error);
            }
            (proxies, outcome.ok())
        }));
    }

    pub(super) fn on_written(&mut self, wrote: Option<(Vec<ProxyId>, Option<Option<Kept>>)>) {
        if let Some((proxies, outcome)) = wrote {
            let kept = outcome.is_some();
            self.wrote(&proxies, kept);
            if let Some(counted) = outcome.flatten() {
                self.count(counted);
            }
            self.heard(kept);
            if !kept {
                self.write_at = now() + Duration::from_secs(1);
            }
        }
        // Also when nothing could be kept: a database that is down must not keep a workload from its callers.
        self.show_kept();
    }

    fn wrote(&mut self, proxies: &[ProxyId], kept: bool) {
        self.board.wrote(proxies, kept);
        if kept {
            self.offer_kept = self.offering;
        }
    }

    fn show_kept(&mut self) {
        let services = std::mem::take(&mut self.keeping);
        self.publish_endpoints(&services);
    }

    pub(super) fn on_revoked(
        &mut self,
        revoked: Option<Result<Vec<(ProxyId, Refusal)>, SourceError>>,
    ) {
        match revoked {
            Some(Ok(proxies)) => {
                self.heard(true);
                self.detach_lost();
                let mut changed = BTreeSet::new();
                for (proxy, refusal) in proxies {
                    // Also of one that is connected elsewhere: its server may not have asked yet.
                    changed.extend(self.registry.withdraw(proxy, now()));
                    if let Some(member) = self.members.remove(&proxy) {
                        self.leave_group(&member.group, proxy);
                        member.end(Ended::Refused(refusal));
                        self.board.record(proxy).part(self.offered);
                        self.board.touch(proxy);
                    }
                }
                self.publish_endpoints(&changed);
            }
            Some(Err(error)) => {
                self.heard(false);
                warn(self.key, "ask for revocations", &error);
            }
            None => {}
        }
    }

    /// Streams that ended without a word, because their task panicked or was dropped.
    fn detach_lost(&mut self) {
        let mut lost = Vec::new();
        for (proxy, member) in &self.members {
            let closed = member.lines.iter().filter(|(_, line)| line.end.is_closed());
            lost.extend(closed.map(|(generation, _)| (*proxy, *generation)));
        }
        for (proxy, generation) in lost {
            self.detach(proxy, generation, false);
        }
    }

    pub(super) fn on_loaded(&mut self, loaded: Option<Result<Option<Loaded>, SourceError>>) {
        match loaded {
            Some(Ok(Some(loaded))) => {
                self.failures = 0;
                self.take(loaded);
                if self.is_revision_wanted() {
                    // It was begun before that was there.
                    self.reload.get_or_insert(now());
                }
                self.let_in();
            }
            Some(Ok(None)) => {
                tracing::info!(org.id = %self.key.org, mesh.id = %self.key.mesh, "mesh was deleted");
                self.deleted = true;
                self.let_in_all();
                for (proxy, member) in std::mem::take(&mut self.members) {
                    member.end(Ended::MeshDeleted);
                    self.board.record(proxy).part(self.offered);
                    self.board.touch(proxy);
                }
                self.groups.clear();
            }
            outcome => {
                // The last view stays; whatever is wrong with this mesh, others are not concerned (F-34).
                if let Some(Err(error)) = &outcome {
                    warn(self.key, "load", error);
                }
                let pause = Duration::from_millis(250) * 2_u32.pow(self.failures.min(10));
                self.failures += 1;
                self.reload.get_or_insert(now() + pause.min(BACK_OFF));
            }
        }
    }

    /// Writes what is not written yet; gives up after a while, since the process is about to end.
    pub(super) async fn finish(mut self) {
        self.tell_usage(now());
        let write = async {
            loop {
                if let Some((proxies, outcome)) = done_or_none(&mut self.checkpoint).await {
                    self.wrote(&proxies, outcome.is_some());
                    if outcome.is_none() {
                        return;
                    }
                }
                if !self.may_write() {
                    return;
                }
                self.start_checkpoint();
            }
        };
        let _late = tokio::time::timeout(Duration::from_secs(2), write).await;
    }
}

async fn load(
    key: MeshKey,
    parts: Arc<Parts>,
    known: Option<Arc<MeshSnapshot>>,
    with_workloads: bool,
) -> Result<Option<Loaded>, SourceError> {
    let work = async {
        let snapshot = parts.source.snapshot(key, known.as_deref()).await?;
        let Some(snapshot) = snapshot else {
            return Ok(None);
        };
        let trust = parts.identities.trust(key, &snapshot.trust_domain).await?;
        let workloads = match with_workloads {
            true => Some(parts.source.workloads(key, None).await?),
            false => None,
        };
        Ok(Some(Loaded {
            snapshot,
            trust,
            workloads,
        }))
    };
    let outcome = tokio::time::timeout(LOAD, work).await;
    outcome.unwrap_or_else(|late| Err(SourceError::new("load mesh in time", late)))
}

pub(super) fn warn(key: MeshKey, what: &'static str, error: &SourceError) {
    let cause = error.source.to_string();
    tracing::warn!(org.id = %key.org, mesh.id = %key.mesh, what, %error, cause, "source failed");
}
