//! The task of one mesh: commands, hints and time come in, views go out.

mod elsewhere;
mod jobs;
mod usage;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use heddle_model::id::ProxyId;
use heddle_model::name::Name;
use heddle_model::snapshot::MeshSnapshot;
use heddle_model::workload::{Endpoint, Health};
use heddle_translate::{Options, ProxyView};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::derive::Graph;
use super::{Attachment, Command, Ended, Hints, Lane, Newcomer, Parts, Refused};
use crate::registry::Registry;
use crate::source::{Kept, ListenerClaims, MeshKey, Refusal, SourceError};
use crate::status::{Board, Report, Standing};
use crate::trust::Replacing;
use elsewhere::Elsewhere;
use jobs::{Job, Loaded, REVOCATIONS, done};
use usage::Usage;
use views::{Group, view_of};

/// How long a mesh stays in memory after its last proxy and endpoint.
const IDLE: Duration = Duration::from_secs(60);
/// How many streams of one type a proxy may have beside its aggregated one; the newest stay.
const STREAMS_PER_TYPE: usize = 8;

/// A proxy that is connected.
struct Member {
    group: ProxyView,
    service: Name,
    /// Where it takes calls, once it has its listeners; `None` when it keeps its own.
    endpoint: Option<Endpoint>,
    /// Its streams by generation.
    lines: BTreeMap<u64, Line>,
}

/// One of its streams.
struct Line {
    lane: Lane,
    report: Report,
    end: oneshot::Sender<Ended>,
}

impl Member {
    /// Ends all of its streams.
    fn end(self, why: Ended) {
        for line in self.lines.into_values() {
            let _gone = line.end.send(why);
        }
    }

    /// Makes room for a stream of this lane. The ends of those that go name old generations and change nothing (X45).
    fn make_room(&mut self, lane: Lane) {
        let most = match lane {
            Lane::Aggregated => 1,
            Lane::Single(_) => STREAMS_PER_TYPE,
        };
        let same = self.lines.iter().filter(|(_, line)| line.lane == lane);
        let same: Vec<u64> = same.map(|(generation, _)| *generation).collect();
        for generation in same.iter().take((same.len() + 1).saturating_sub(most)) {
            if let Some(line) = self.lines.remove(generation) {
                let _gone = line.end.send(Ended::Replaced);
            }
        }
    }
}

pub(super) struct Mesh {
    key: MeshKey,
    parts: Arc<Parts>,
    commands: mpsc::WeakSender<Command>,
    graph: Graph,
    trust_domain: Arc<str>,
    replacing: Arc<Replacing>,
    registry: Registry,
    registry_loaded: bool,
    board: Board,
    members: BTreeMap<ProxyId, Member>,
    groups: BTreeMap<ProxyView, Group>,
    refused: BTreeMap<ProxyId, Vec<Refused>>,
    generations: u64,
    load: Job<Result<Option<Loaded>, SourceError>>,
    /// The mesh as it was loaded last, with the access rules whose time is over.
    loaded: Option<Arc<MeshSnapshot>>,
    reload: Option<Instant>,
    /// When to look which access rules have expired.
    expiry: Option<Instant>,
    failures: u32,
    revocations: Job<Result<Vec<(ProxyId, Refusal)>, SourceError>>,
    ask_revocations: Instant,
    checkpoint: Job<(Vec<ProxyId>, Option<Option<Kept>>)>,
    write_at: Instant,
    /// Everything up to this revision was shown to those whom it concerns.
    offered: Option<u64>,
    /// What of that is being written, and what was.
    offering: Option<u64>,
    offer_kept: Option<u64>,
    /// Services with a workload that is registered here but not yet kept: shown once it is, so that a process that
    /// takes over never knows less than the proxies do.
    unkept: BTreeSet<Name>,
    /// Those of them that the checkpoint under way keeps.
    keeping: BTreeSet<Name>,
    /// What other servers say.
    elsewhere: Elsewhere,
    idle_since: Option<Instant>,
    usage: Usage,
    deleted: bool,
    source_down: bool,
}

impl Mesh {
    pub(super) fn new(
        key: MeshKey,
        parts: Arc<Parts>,
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        let now = now();
        let options = Options {
            leaf_lifetime: parts.leaf_lifetime,
        };
        Self {
            key,
            registry: Registry::new(parts.endpoint_grace, parts.endpoint_drain),
            parts,
            commands,
            graph: Graph::new(options),
            trust_domain: Arc::default(),
            replacing: Arc::default(),
            registry_loaded: false,
            board: Board::default(),
            members: BTreeMap::new(),
            groups: BTreeMap::new(),
            refused: BTreeMap::new(),
            generations: 0,
            load: None,
            loaded: None,
            reload: Some(now),
            expiry: None,
            failures: 0,
            revocations: None,
            ask_revocations: now + REVOCATIONS,
            checkpoint: None,
            write_at: now,
            offered: None,
            offering: None,
            offer_kept: None,
            unkept: BTreeSet::new(),
            keeping: BTreeSet::new(),
            elsewhere: Elsewhere::default(),
            idle_since: Some(now),
            usage: Usage::since(now),
            deleted: false,
            source_down: false,
        }
    }

    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        hints: Arc<Hints>,
        stop: CancellationToken,
    ) {
        loop {
            let wake = self.start_jobs(now());
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                () = hints.any.notified() => self.on_hint(&hints),
                loaded = done(&mut self.load) => self.on_loaded(loaded),
                revoked = done(&mut self.revocations) => self.on_revoked(revoked),
                heard = done(&mut self.elsewhere.look) => self.on_heard(heard),
                wrote = done(&mut self.checkpoint) => self.on_written(wrote),
                () = tokio::time::sleep_until(wake.into()) => {}
                () = stop.cancelled() => break,
            }
            self.tick(now());
            if self.is_idle(now()) {
                break;
            }
        }
        self.let_in_all();
        // What is still in the inbox gets no answer: its sender starts the mesh again.
        inbox.close();
        while let Ok(command) = inbox.try_recv() {
            if !matches!(command, Command::Attach(_)) {
                self.on_command(command);
            }
        }
        self.finish().await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Attach(newcomer) => self.receive(*newcomer),
            Command::Report {
                proxy,
                generation,
                report,
                refused,
            } => self.on_report(proxy, generation, *report, refused),
            Command::Detach {
                proxy,
                generation,
                stopping,
            } => self.detach(proxy, generation, stopping),
        }
    }

    fn on_report(
        &mut self,
        proxy: ProxyId,
        generation: u64,
        report: Report,
        refused: Vec<Refused>,
    ) {
        let Some(member) = self.members.get_mut(&proxy) else {
            return;
        };
        let Some(line) = member.lines.get_mut(&generation) else {
            return;
        };
        line.report = report;
        let lane = line.lane;
        // What a stream of one type says about that type is not forgotten because another has nothing to say about it.
        let alone = |kind| {
            member
                .lines
                .values()
                .all(|l| l.lane == lane || !l.lane.is_about(kind))
        };
        // Most refuse nothing.
        if !refused.is_empty() || self.refused.contains_key(&proxy) {
            let remembered = self.refused.entry(proxy).or_default();
            remembered.retain(|(kind, ..)| !lane.is_about(*kind) || !alone(*kind));
            for one in refused {
                let same = |old: &Refused| (old.0, &old.1) == (one.0, &one.1);
                remembered.retain(|old| !same(old));
                remembered.push(one);
            }
        }
        let serving = self.appraise(proxy);
        let Some(member) = self.members.get(&proxy) else {
            return;
        };
        // Until the endpoints of an earlier process are here, nothing is published anyway.
        if let (true, Some(endpoint)) = (serving && self.registry_loaded, &member.endpoint)
            && !self.registry.serves(&member.service, endpoint)
        {
            let changed = self.registry.serve(&member.service, endpoint.clone());
            if !changed.is_empty() {
                self.unkept.extend(changed);
                self.write_at = now();
            }
        }
    }

    /// Sums up what the streams of a proxy say. Returns whether it takes calls.
    fn appraise(&mut self, proxy: ProxyId) -> bool {
        let member = self.members.get(&proxy);
        let augments = member.is_some_and(|member| member.endpoint.is_none());
        let lines = member.map(|member| &member.lines);
        let reports = lines.into_iter().flatten().map(|(_, line)| &line.report);
        let record = self.board.record(proxy);
        record.standing = Standing::of(reports, &record.standing, augments);
        let serving = record.standing.serving;
        self.board.touch(proxy);
        serving
    }

    fn attach(&mut self, newcomer: Newcomer) {
        let Newcomer {
            joined,
            claims,
            lane,
            reply,
        } = newcomer;
        let (proxy, claims) = (&joined.proxy, &claims);
        let Some(mesh) = self.commands.upgrade() else {
            return;
        };
        let id = proxy.proxy;
        let group = view_of(proxy, claims, &self.parts);
        let endpoint = claims.listeners.as_ref().map(|at| Endpoint {
            proxy: id,
            version: at.version.clone(),
            address: at.advertise_address,
            ports: at.inbound_ports.clone(),
            health: Health::Healthy,
        });
        let known = self.members.remove(&id);
        let same = |m: &Member| m.group == group && m.endpoint == endpoint;
        let (mut member, views) = match known {
            Some(member) if same(&member) => {
                let views = self.watch_group(&group);
                (member, views)
            }
            other => {
                if let Some(old) = other {
                    // It was started anew as something else: none of its streams is this one's.
                    self.leave_group(&old.group, id);
                    old.end(Ended::Replaced);
                }
                let views = Some(self.join_group(&group, id));
                let member = Member {
                    group,
                    service: proxy.service.clone(),
                    endpoint,
                    lines: BTreeMap::new(),
                };
                (member, views)
            }
        };
        let Some(views) = views else {
            return;
        };
        member.make_room(lane);
        if member.lines.is_empty() {
            self.board.record(id).standing = Standing::default();
        }
        let (end, ended) = oneshot::channel();
        self.generations += 1;
        let line = Line {
            lane,
            report: Report::default(),
            end,
        };
        member.lines.insert(self.generations, line);
        let augments = member.endpoint.is_none();
        let moved = self.registry.endpoint(id).is_some_and(|old| {
            let new = member.endpoint.as_ref();
            new.is_none_or(|new| old.address != new.address || old.ports != new.ports)
        });
        self.members.insert(id, member);
        if moved {
            // It was started anew somewhere else: nobody is where it was.
            let changed = self.registry.withdraw(id, now());
            self.publish_endpoints(&changed);
        } else {
            self.registry.arrive(id);
        }
        let target = self.groups.get(&self.members[&id].group);
        let target = target.and_then(|group| group.target);
        let record = self.board.record(id);
        record.aim(target, self.offered);
        record.connected = true;
        record.augments = augments;
        record.envoy_version.clone_from(&claims.envoy_version);
        record.setup = claims.listeners.as_ref().map(ListenerClaims::setup);
        self.board.touch(id);
        let refused = self.refused.get(&id).into_iter().flatten();
        let attachment = Attachment {
            proxy: id,
            generation: self.generations,
            views,
            end: ended,
            refused: refused.filter(|r| lane.is_about(r.0)).cloned().collect(),
            mesh,
            left: false,
            sent: self.usage.sent(),
        };
        // Whoever has gone meanwhile leaves by dropping it.
        let _gone = reply.send(attachment);
    }

    fn detach(&mut self, proxy: ProxyId, generation: u64, stopping: bool) {
        let Some(member) = self.members.get_mut(&proxy) else {
            return;
        };
        if member.lines.remove(&generation).is_none() {
            return;
        }
        if !member.lines.is_empty() {
            self.appraise(proxy);
            return;
        }
        if let Some(member) = self.members.remove(&proxy) {
            self.leave_group(&member.group, proxy);
        }
        if self.registry.endpoint(proxy).is_none() {
            self.refused.remove(&proxy);
        }
        if !stopping {
            self.registry.leave(proxy, now());
        }
        self.board.record(proxy).part(self.offered);
        self.board.touch(proxy);
    }

    fn tick(&mut self, now: Instant) {
        if self.elsewhere.is_due(now) {
            self.let_in();
        }
        // Also without a database: who may call until noon may not call after noon.
        if self.expiry.is_some_and(|at| at <= now) {
            self.expire(now);
        }
        // While nobody can join, a proxy that lost its stream cannot come back: it has not left.
        if self.source_down {
            return;
        }
        let (proxies, services) = self.registry.tick(now);
        for proxy in proxies {
            self.board.touch(proxy);
            if self.registry.endpoint(proxy).is_none() && !self.members.contains_key(&proxy) {
                self.refused.remove(&proxy);
            }
        }
        self.publish_endpoints(&services);
    }

    /// Notes whether the source answered.
    fn heard(&mut self, answered: bool) {
        if answered && self.source_down {
            self.registry.wait_anew(now());
        }
        self.source_down = !answered;
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        let busy = !self.members.is_empty()
            || self.elsewhere.is_waited_for()
            || !(self.registry.is_empty() || self.deleted);
        let unwritten = self.registry_loaded && !self.deleted && !self.board.is_settled();
        let writing = self.checkpoint.is_some() || unwritten;
        if busy || writing {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert(now);
        self.deleted || now >= since + IDLE
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
