//! The task of one mesh: commands, hints and time come in, views go out.

mod jobs;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use heddle_model::id::ProxyId;
use heddle_model::name::Name;
use heddle_model::workload::{Endpoint, Health};
use heddle_translate::ProxyView;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Attachment, Command, Ended, Parts, Refused};
use crate::registry::Registry;
use crate::source::{MeshKey, NodeClaims, Proxy, SourceError};
use crate::status::Board;
use jobs::{Job, Loaded, REVOCATIONS, done};
use views::{Group, State, view_of};

/// How long a mesh stays in memory after its last proxy and endpoint.
const IDLE: Duration = Duration::from_secs(60);
/// The stream that speaks for a proxy.
struct Member {
    generation: u64,
    group: ProxyView,
    service: Name,
    endpoint: Endpoint,
    end: oneshot::Sender<Ended>,
}

pub(super) struct Mesh {
    key: MeshKey,
    parts: Arc<Parts>,
    commands: mpsc::WeakSender<Command>,
    state: Option<State>,
    registry: Registry,
    registry_loaded: bool,
    board: Board,
    members: BTreeMap<ProxyId, Member>,
    groups: BTreeMap<ProxyView, Group>,
    refused: BTreeMap<ProxyId, Vec<Refused>>,
    generations: u64,
    load: Job<Result<Option<Loaded>, SourceError>>,
    reload: Option<Instant>,
    failures: u32,
    revocations: Job<Result<Vec<ProxyId>, SourceError>>,
    ask_revocations: Instant,
    checkpoint: Job<(Vec<ProxyId>, bool)>,
    write_at: Instant,
    /// Services with a workload that is registered here but not yet kept: shown once it is, so that a process that
    /// takes over never knows less than the proxies do.
    unkept: BTreeSet<Name>,
    /// Those of them that the checkpoint under way keeps.
    keeping: BTreeSet<Name>,
    idle_since: Option<Instant>,
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
        Self {
            key,
            registry: Registry::new(parts.endpoint_grace, parts.endpoint_drain),
            parts,
            commands,
            state: None,
            registry_loaded: false,
            board: Board::default(),
            members: BTreeMap::new(),
            groups: BTreeMap::new(),
            refused: BTreeMap::new(),
            generations: 0,
            load: None,
            reload: Some(now),
            failures: 0,
            revocations: None,
            ask_revocations: now + REVOCATIONS,
            checkpoint: None,
            write_at: now,
            unkept: BTreeSet::new(),
            keeping: BTreeSet::new(),
            idle_since: Some(now),
            deleted: false,
            source_down: false,
        }
    }

    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        hints: Arc<Notify>,
        stop: CancellationToken,
    ) {
        loop {
            let wake = self.start_jobs(now());
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                () = hints.notified() => self.reload = Some(now()),
                loaded = done(&mut self.load) => self.on_loaded(loaded),
                revoked = done(&mut self.revocations) => self.on_revoked(revoked),
                wrote = done(&mut self.checkpoint) => self.on_written(wrote),
                () = tokio::time::sleep_until(wake.into()) => {}
                () = stop.cancelled() => break,
            }
            self.tick(now());
            if self.is_idle(now()) {
                break;
            }
        }
        // What is still in the inbox gets no answer: its sender starts the mesh again.
        inbox.close();
        while let Ok(command) = inbox.try_recv() {
            if !matches!(command, Command::Attach { .. }) {
                self.on_command(command);
            }
        }
        self.finish().await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Attach {
                proxy,
                claims,
                reply,
            } => self.attach(&proxy, &claims, reply),
            Command::Report {
                proxy,
                generation,
                report,
                refused,
            } => {
                let Some(member) = self
                    .members
                    .get(&proxy)
                    .filter(|m| m.generation == generation)
                else {
                    return;
                };
                let serving = report.serving;
                self.board.record(proxy).report = *report;
                self.board.touch(proxy);
                self.refused.insert(proxy, refused);
                // Until the endpoints of an earlier process are here, nothing is published anyway.
                if serving && self.registry_loaded {
                    let (service, endpoint) = (member.service.clone(), member.endpoint.clone());
                    let changed = self.registry.serve(&service, endpoint);
                    if !changed.is_empty() {
                        self.unkept.extend(changed);
                        self.write_at = now();
                    }
                }
            }
            Command::Detach {
                proxy,
                generation,
                stopping,
            } => self.detach(proxy, generation, stopping),
        }
    }

    fn attach(&mut self, proxy: &Proxy, claims: &NodeClaims, reply: oneshot::Sender<Attachment>) {
        let Some(mesh) = self.commands.upgrade() else {
            return;
        };
        let id = proxy.proxy;
        if let Some(old) = self.members.remove(&id) {
            self.leave_group(&old.group);
            // The old stream's end will name an old generation and change nothing (X45).
            let _gone = old.end.send(Ended::Replaced);
        }
        let group = view_of(proxy, claims, self.parts.leaf_lifetime);
        let views = self.join_group(&group);
        let (end, ended) = oneshot::channel();
        self.generations += 1;
        let member = Member {
            generation: self.generations,
            group,
            service: proxy.service.clone(),
            endpoint: Endpoint {
                proxy: id,
                version: claims.version.clone(),
                address: claims.advertise_address,
                ports: claims.inbound_ports.clone(),
                health: Health::Healthy,
            },
            end,
        };
        let moved = self.registry.endpoint(id).is_some_and(|old| {
            old.address != member.endpoint.address || old.ports != member.endpoint.ports
        });
        self.members.insert(id, member);
        if moved {
            // It was started anew somewhere else: nobody is where it was.
            let changed = self.registry.withdraw(id, now());
            self.publish_endpoints(&changed);
        } else {
            self.registry.arrive(id);
        }
        let record = self.board.record(id);
        record.connected = true;
        record.envoy_version.clone_from(&claims.envoy_version);
        self.board.touch(id);
        let attachment = Attachment {
            generation: self.generations,
            views,
            end: ended,
            refused: self.refused.get(&id).cloned().unwrap_or_default(),
            mesh,
        };
        if reply.send(attachment).is_err() {
            self.detach(id, self.generations, false);
        }
    }

    fn detach(&mut self, proxy: ProxyId, generation: u64, stopping: bool) {
        if self
            .members
            .get(&proxy)
            .is_none_or(|m| m.generation != generation)
        {
            return;
        }
        if let Some(member) = self.members.remove(&proxy) {
            self.leave_group(&member.group);
        }
        if self.registry.endpoint(proxy).is_none() {
            self.refused.remove(&proxy);
        }
        if !stopping {
            self.registry.leave(proxy, now());
        }
        self.board.record(proxy).connected = false;
        self.board.touch(proxy);
    }

    fn tick(&mut self, now: Instant) {
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
        let busy = !self.members.is_empty() || !(self.registry.is_empty() || self.deleted);
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
