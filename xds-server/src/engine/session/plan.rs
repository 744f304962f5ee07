//! What to send next, and when to look again.
//!
//! Types are looked at in the order of [`Kind::ALL`]; removals of clusters and endpoints come last. Endpoints never
//! wait for anything: Envoy acknowledges clusters only once they are warm, and they warm by their endpoints.

use std::sync::Arc;
use std::time::Instant;

use super::super::kind::Kind;
use super::super::resource::Resource;
use super::known::Known;
use super::sotw::Composed;
use super::subscriber::{Desired, Session};
use super::track::{HeldRemoval, InFlight};
use super::{CloseReason, Progress, Response};

/// What a response of one type will hold.
#[derive(Default)]
struct Batch {
    resources: Vec<Arc<Resource>>,
    /// The subscriber's own: after the shared ones, so that trust is there before an identity (X38).
    own: Vec<Arc<Resource>>,
    removed: Vec<Arc<str>>,
    bytes: usize,
}

impl Session {
    /// The next message to send, if any. Call again until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Response> {
        self.view.as_ref()?;
        for kind in Kind::ALL {
            if let Some(response) = self.plan(kind, now) {
                return Some(response);
            }
        }
        for kind in Kind::ALL {
            if kind.removed_last()
                && let Some(response) = self.release(kind, now)
            {
                return Some(response);
            }
        }
        self.note_synced();
        None
    }

    fn plan(&mut self, kind: Kind, now: Instant) -> Option<Response> {
        let track = self.track(kind);
        if !track.requested || track.in_flight.is_some() {
            return None;
        }
        self.recognise(kind);
        if let Some(part) = self.next_part(kind) {
            return Some(self.send(kind, part, Vec::new(), now, false));
        }
        let batch = self.batch(kind, now);
        let epoch = self.epoch;
        let track = self.track_mut(kind);
        let idle = track.dirty.is_empty() && track.owed.is_empty();
        let mut resources = batch.resources;
        resources.extend(batch.own);
        if track.is_foreign() && !track.blocked.is_empty() {
            // All or nothing.
            track.answer |= !resources.is_empty() || !batch.removed.is_empty();
            return None;
        }
        if resources.is_empty() && batch.removed.is_empty() {
            if idle {
                track.clean_epoch = epoch;
                if std::mem::take(&mut track.answer) {
                    return Some(self.send(kind, Vec::new(), Vec::new(), now, false));
                }
            }
            return None;
        }
        track.answer = false;
        Some(self.send(kind, resources, batch.removed, now, false))
    }

    /// The next part of a refused response that is still what the client should have.
    fn next_part(&mut self, kind: Kind) -> Option<Vec<Arc<Resource>>> {
        while let Some(part) = self.track_mut(kind).probation.pop_front() {
            let mut current = Vec::new();
            for resource in part {
                let wanted = matches!(
                    self.desired(kind, &resource.name),
                    Desired::This(r) if r.version == resource.version
                );
                let track = self.track_mut(kind);
                if !track.covers(&resource.name) {
                    continue;
                }
                track.dirty.remove(&resource.name);
                if wanted {
                    track.owed.remove(&resource.name);
                    current.push(resource);
                } else {
                    track.dirty.insert(resource.name.clone());
                }
            }
            if !current.is_empty() {
                return Some(current);
            }
        }
        None
    }

    /// Goes through everything that may be owed or changed, and takes out what can be sent or needs nothing.
    fn batch(&mut self, kind: Kind, now: Instant) -> Batch {
        let mut batch = Batch::default();
        let track = self.track(kind);
        let names: Vec<_> = track.owed.union(&track.dirty).cloned().collect();
        for name in names {
            if batch.bytes >= self.limits.response_bytes && !self.track(kind).is_full() {
                break;
            }
            if !self.track(kind).covers(&name) {
                self.track_mut(kind).forget(&name);
                continue;
            }
            let done = match self.desired(kind, &name) {
                Desired::Later => false,
                Desired::Held => true,
                Desired::Absent => self.take_removal(kind, &name, &mut batch),
                Desired::This(resource) => self.take_resource(kind, &resource, now, &mut batch),
            };
            if done {
                let track = self.track_mut(kind);
                track.owed.remove(&name);
                track.dirty.remove(&name);
                track.blocked.remove(&name);
            }
        }
        self.track_mut(kind).give_back_room();
        batch
    }

    /// Whether the name is dealt with; not so when it has to wait for a cluster.
    fn take_resource(
        &mut self,
        kind: Kind,
        resource: &Arc<Resource>,
        now: Instant,
        batch: &mut Batch,
    ) -> bool {
        let lacks_clusters = kind.waits_for_clusters() && !self.has_clusters(resource);
        let patience = self.limits.cluster_wait;
        let is_own = self.own_state(kind, &resource.name).is_some();
        let track = self.track_mut(kind);
        track.held.remove(&resource.name);
        if track.is_quarantined(&resource.name, Some(&resource.version)) {
            return true;
        }
        track.quarantine.remove(&resource.name);
        if track.on_probation(resource) {
            return true;
        }
        let owed = track.owed.contains(&resource.name);
        let has = track.known.get(&resource.name);
        if !owed && has == Some(&Known::Proven(resource.version.clone())) {
            return true;
        }
        if lacks_clusters {
            let since = track.blocked.entry(resource.name.clone()).or_insert(now);
            if now.duration_since(*since) < patience {
                return false;
            }
        }
        batch.bytes += resource.wire.len();
        let part = if is_own {
            &mut batch.own
        } else {
            &mut batch.resources
        };
        part.push(resource.clone());
        true
    }

    fn take_removal(&mut self, kind: Kind, name: &Arc<str>, batch: &mut Batch) -> bool {
        let epoch = self.epoch;
        let track = self.track_mut(kind);
        if track.is_quarantined(name, None) {
            return true;
        }
        track.quarantine.remove(name);
        if track.leaves_out_silently() {
            track.forget_content(name);
            return true;
        }
        let has = track.known.contains(name);
        if track.is_foreign() {
            // Nothing that is gone can be kept in a set that is not known; without it, it is another set.
            track.forget_content(name);
            track.answer |= has;
            return true;
        }
        let denies = track.whole.is_none() && track.owed.contains(name);
        if has && kind.removed_last() {
            let held = HeldRemoval { epoch, due: None };
            track.held.entry(name.clone()).or_insert(held);
        } else if has || denies {
            batch.bytes += name.len() + 4;
            batch.removed.push(name.clone());
        }
        true
    }

    /// Whether the client has every cluster that the resource needs. A cluster that does not exist, and a client
    /// that does not ask for clusters, hold nothing up.
    fn has_clusters(&self, resource: &Resource) -> bool {
        let clusters = self.track(Kind::Cluster);
        if !clusters.requested {
            return true;
        }
        let has = |name: &Arc<str>| {
            clusters.known.holds(name)
                || !clusters.covers(name)
                || matches!(self.desired(Kind::Cluster, name), Desired::Absent)
        };
        // The routes of a large mesh need thousands. Who was sent all that there is and owes no answer has every one.
        if clusters.wildcard && !clusters.is_pending() {
            debug_assert!(resource.needs.iter().all(has), "a cluster was passed over");
            return true;
        }
        resource.needs.iter().all(has)
    }

    /// Removals of clusters and endpoints that nothing routes to any more.
    fn release(&mut self, kind: Kind, now: Instant) -> Option<Response> {
        if self.track(kind).held.is_empty() || self.track(kind).in_flight.is_some() {
            return None;
        }
        let clusters = self.track(Kind::Cluster);
        let clusters_gone = clusters.held.is_empty() && clusters.in_flight.is_none();
        let passed = [Kind::Listener, Kind::Route].map(|k| self.passed(k, now));
        let passed = passed[0].min(passed[1]);
        let due = now + self.limits.removal_delay;
        let track = self.track_mut(kind);
        for held in track.held.values_mut() {
            if held.due.is_none() && held.epoch <= passed {
                held.due = Some(due);
            }
        }
        if kind == Kind::Endpoints && !clusters_gone {
            return None;
        }
        let ready = |held: &HeldRemoval| held.due.is_some_and(|due| due <= now);
        let names: Vec<_> = track.held.iter().filter(|(_, held)| ready(held)).collect();
        let names: Vec<_> = names.into_iter().map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return None;
        }
        track.held.retain(|_, held| !ready(held));
        Some(self.send(kind, Vec::new(), names, now, true))
    }

    /// The newest epoch of which the client has every listener or route; nothing counts as passed while it refuses
    /// one, because it then goes on with an old one that may use anything.
    fn passed(&self, kind: Kind, now: Instant) -> u64 {
        let track = self.track(kind);
        if !track.requested {
            let alone = now.duration_since(self.started) >= self.limits.removal_delay;
            return if alone { self.epoch } else { 0 };
        }
        if track.quarantine.is_empty() && track.probation.is_empty() {
            track.clean_epoch
        } else {
            0
        }
    }

    fn send(
        &mut self,
        kind: Kind,
        resources: Vec<Arc<Resource>>,
        removed: Vec<Arc<str>>,
        now: Instant,
        cleanup: bool,
    ) -> Response {
        let Composed {
            resources,
            changed,
            version,
        } = self.compose(kind, resources, &removed);
        for (child, name) in changed.iter().filter_map(|r| r.child.as_ref()) {
            let track = self.track_mut(*child);
            if !track.requested {
                // A client that resumes asks for clusters first, and would then find its endpoints current although the
                // cluster that waits for them is new.
                track.awaited.insert(name.clone());
            } else if track.covers(name) {
                track.owed.insert(name.clone());
            }
        }
        self.responses += 1;
        let nonce = format!("{:x}", self.responses);
        let epoch = self.epoch;
        let revision = self.view.as_ref().map_or(0, |view| view.revision);
        let track = self.track_mut(kind);
        for name in &removed {
            track.known.remove(name);
        }
        let clean = track.dirty.is_empty() && track.owed.is_empty() && track.probation.is_empty();
        if let Some(whole) = &mut track.whole {
            whole.nonce.clone_from(&nonce);
        }
        track.in_flight = Some(InFlight {
            nonce: nonce.clone(),
            resources: changed,
            removed: removed.clone(),
            sent: now,
            covers: clean.then_some(epoch),
            cleanup,
        });
        Response {
            kind,
            nonce,
            revision,
            resources,
            removed,
            version,
            published: if cleanup {
                None
            } else {
                track.changed_at.take()
            },
        }
    }

    fn note_synced(&mut self) {
        let Some(revision) = self.view.as_ref().map(|view| view.revision) else {
            return;
        };
        for track in &mut self.tracks {
            if track.requested && !track.is_pending() {
                track.synced = track.synced.max(Some(revision));
            }
        }
        for kind in Kind::ALL {
            self.note_complete(kind);
        }
        let progress = Kind::ALL.map(|kind| self.stage(kind));
        self.synced = self.synced.max(Progress::overall(&progress));
    }

    /// When to call [`Session::poll`] and [`Session::expired`] again without any other cause. Only what lies after
    /// `now`: the rest was looked at by then and waits for the client.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let deadlines = self.tracks.iter().flat_map(|track| {
            let sent = track.in_flight.as_ref();
            let sent = sent.map(|f| f.sent + self.limits.answer_timeout);
            let waited = track.blocked.values();
            let waited = waited.map(|since| *since + self.limits.cluster_wait);
            let due = track.held.values().filter_map(|held| held.due);
            let alone = track.held.values().any(|held| held.due.is_none()) && self.is_lonely();
            let alone = alone.then(|| self.started + self.limits.removal_delay);
            sent.into_iter().chain(waited).chain(due).chain(alone)
        });
        deadlines.filter(|at| *at > now).min()
    }

    fn is_lonely(&self) -> bool {
        [Kind::Listener, Kind::Route]
            .iter()
            .any(|kind| !self.track(*kind).requested)
    }

    /// Whether the client has left something unanswered for too long.
    #[must_use]
    pub fn expired(&self, now: Instant) -> Option<CloseReason> {
        let late = |f: &InFlight| now.duration_since(f.sent) >= self.limits.answer_timeout;
        let mut flights = self
            .tracks
            .iter()
            .filter_map(|track| track.in_flight.as_ref());
        flights.any(late).then_some(CloseReason::AnswerTimeout)
    }
}
