//! Many simulated Envoys on one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::catalogue::Catalogue;
use crate::envoy::Envoy;
use crate::moves::Moves;
use crate::probe::Probe;
use crate::stream::Connection;
use crate::target::Target;
use crate::wire::{Protocol, Response};

/// How long a proxy waits between attempts; an Envoy with our bootstrap waits up to five seconds.
const BACK_OFF: Duration = Duration::from_millis(200);

/// One proxy of a fleet.
#[derive(Debug, Clone)]
pub struct Member {
    /// Encoded `Node`.
    pub node: Bytes,
    pub token: Option<Arc<str>>,
}

/// How its members behave.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    pub protocol: Protocol,
    /// Of 100 responses this many are refused.
    pub nack_percent: u64,
    /// Of 100 proxies this many stop reading between [`Fleet::stop_reading`] and [`Fleet::read_again`], once they are ready.
    pub slow_percent: usize,
    /// Streams that share a connection.
    pub streams_per_connection: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            protocol: Protocol::Delta,
            nack_percent: 0,
            slow_percent: 0,
            streams_per_connection: 1,
        }
    }
}

/// Somebody who looks at all that members of a fleet get.
pub trait Observer: Send + Sync {
    /// The server let a stream of a member in.
    fn opened(&self, member: usize);
    /// A message came.
    fn received(&self, member: usize, news: &News<'_>);
    /// The connection of a member has ended, or there was none.
    fn ended(&self, member: usize);
}

/// A message that a member got, and what it has now.
pub struct News<'a> {
    /// As it came.
    pub message: &'a Bytes,
    /// As it was read.
    pub response: &'a Response,
    /// Services that had endpoints and have none.
    pub emptied: usize,
    /// Of all that it has but secrets, which are its own.
    pub fingerprint: u64,
}

/// What is counted over all members since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub responses: AtomicU64,
    pub resources: AtomicU64,
    pub bytes: AtomicU64,
    pub nacks: AtomicU64,
    pub connects: AtomicU64,
    pub failures: AtomicU64,
}

struct Shared {
    target: Target,
    behaviour: Behaviour,
    catalogue: Catalogue,
    probe: Probe,
    moves: Arc<Moves>,
    observer: Option<Arc<dyn Observer>>,
    counters: Counters,
    ready: AtomicUsize,
    changed: Notify,
    /// Lets so many be on their way to ready at a time.
    admission: Semaphore,
    slow: AtomicBool,
    read_again: Notify,
    hang_up: Notify,
}

/// A running fleet; ends when it is dropped.
pub struct Fleet {
    shared: Arc<Shared>,
    members: usize,
    began: Instant,
    _tasks: JoinSet<()>,
    ready_after: Arc<std::sync::Mutex<Vec<Duration>>>,
}

impl Fleet {
    /// Starts every member; at most `in_flight` of them are on their way to ready at a time.
    pub fn start(
        target: Target,
        members: Vec<Member>,
        in_flight: usize,
        behaviour: Behaviour,
    ) -> Self {
        let moves = Arc::default();
        Self::begin(moves, None, target, members, in_flight, behaviour)
    }

    /// The same, with an eye on the moves of somebody.
    pub(crate) fn watching(
        moves: Arc<Moves>,
        target: Target,
        members: Vec<Member>,
        in_flight: usize,
        behaviour: Behaviour,
    ) -> Self {
        Self::begin(moves, None, target, members, in_flight, behaviour)
    }

    /// The same as [`Fleet::start`], and somebody looks at what its members get.
    pub fn observed(
        observer: Arc<dyn Observer>,
        target: Target,
        members: Vec<Member>,
        in_flight: usize,
        behaviour: Behaviour,
    ) -> Self {
        let moves = Arc::default();
        Self::begin(moves, Some(observer), target, members, in_flight, behaviour)
    }

    fn begin(
        moves: Arc<Moves>,
        observer: Option<Arc<dyn Observer>>,
        target: Target,
        members: Vec<Member>,
        in_flight: usize,
        behaviour: Behaviour,
    ) -> Self {
        let shared = Arc::new(Shared {
            target,
            behaviour,
            catalogue: Catalogue::default(),
            probe: Probe::default(),
            moves,
            observer,
            counters: Counters::default(),
            ready: AtomicUsize::new(0),
            changed: Notify::new(),
            admission: Semaphore::new(in_flight),
            slow: AtomicBool::new(false),
            read_again: Notify::new(),
            hang_up: Notify::new(),
        });
        let ready_after: Arc<std::sync::Mutex<Vec<Duration>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let count = members.len();
        let per = behaviour.streams_per_connection.max(1);
        let mut members = members.into_iter().enumerate().peekable();
        while members.peek().is_some() {
            let group: Vec<_> = members.by_ref().take(per).collect();
            tasks.spawn(connection(shared.clone(), group, ready_after.clone()));
        }
        Self {
            shared,
            members: count,
            began: Instant::now(),
            _tasks: tasks,
            ready_after,
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Responses that have come so far.
    pub fn responses(&self) -> u64 {
        self.shared.counters.responses.load(Ordering::Relaxed)
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.shared.probe
    }

    pub fn size(&self) -> usize {
        self.members
    }

    pub fn ready(&self) -> usize {
        self.shared.ready.load(Ordering::SeqCst)
    }

    /// Until every member is ready.
    ///
    /// # Errors
    /// Not all are within the deadline.
    pub async fn all_ready(&self, deadline: Duration) -> anyhow::Result<Duration> {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                if self.ready() >= self.members {
                    return;
                }
                // A missed notification costs a look, not the answer.
                let _ = tokio::time::timeout(Duration::from_millis(50), changed).await;
            }
        };
        tokio::time::timeout(deadline, wait)
            .await
            .with_context(|| {
                format!(
                    "{} of {} proxies are ready after {deadline:?}",
                    self.ready(),
                    self.members
                )
            })?;
        Ok(self.began.elapsed())
    }

    /// How long each connect took until ready; shortest first.
    pub fn times_to_ready(&self) -> Vec<Duration> {
        let mut times = self
            .ready_after
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        times.sort_unstable();
        times
    }

    /// All members lose their connections now, and come back.
    pub fn hang_up(&self) {
        self.shared.hang_up.notify_waiters();
    }

    /// Slow readers read nothing from now on.
    pub fn stop_reading(&self) {
        self.shared.slow.store(true, Ordering::SeqCst);
    }

    /// Slow readers read from now on.
    pub fn read_again(&self) {
        self.shared.slow.store(false, Ordering::SeqCst);
        self.shared.read_again.notify_waiters();
    }
}

type Times = Arc<std::sync::Mutex<Vec<Duration>>>;

/// Keeps one connection with its streams, for ever.
async fn connection(shared: Arc<Shared>, group: Vec<(usize, Member)>, times: Times) {
    let protocol = shared.behaviour.protocol;
    let mut envoys: Vec<_> = group
        .iter()
        .map(|(number, member)| {
            (
                *number,
                member.clone(),
                Envoy::new(protocol, member.node.clone()),
            )
        })
        .collect();
    for number in 0_usize.. {
        let begun = Instant::now();
        let outcome = attempt(&shared, &mut envoys, number, begun, &times).await;
        if outcome.is_err() {
            shared.counters.failures.fetch_add(1, Ordering::Relaxed);
        }
        for (member, ..) in &envoys {
            if let Some(observer) = &shared.observer {
                observer.ended(*member);
            }
        }
        tokio::time::sleep(BACK_OFF).await;
    }
}

async fn attempt(
    shared: &Arc<Shared>,
    envoys: &mut [(usize, Member, Envoy)],
    attempt: usize,
    begun: Instant,
    times: &Times,
) -> anyhow::Result<()> {
    let permit = shared.admission.acquire().await?;
    let number = envoys.first().map_or(0, |e| e.0);
    let connection = Connection::open(&shared.target, number, attempt).await?;
    shared.counters.connects.fetch_add(1, Ordering::Relaxed);
    let mut permit = Some(permit);
    let streams = envoys.iter_mut().map(|(number, member, envoy)| {
        let stream = Stream {
            shared: shared.clone(),
            connection: &connection,
            number: *number,
            member,
            envoy,
            begun,
            times: times.clone(),
            permit: permit.take(),
        };
        Box::pin(stream.run())
    });
    let mut streams: Vec<_> = streams.collect();
    // The first that ends takes the connection with it: as when a server goes away.
    let ended = std::future::poll_fn(|cx| {
        for stream in &mut streams {
            if let std::task::Poll::Ready(outcome) = stream.as_mut().poll(cx) {
                return std::task::Poll::Ready(outcome);
            }
        }
        std::task::Poll::Pending
    });
    let outcome = tokio::select! {
        outcome = ended => outcome,
        () = shared.hang_up.notified() => Ok(()),
    };
    drop(streams);
    outcome
}

/// One stream for as long as it lasts.
struct Stream<'a> {
    shared: Arc<Shared>,
    connection: &'a Connection,
    number: usize,
    member: &'a Member,
    envoy: &'a mut Envoy,
    begun: Instant,
    times: Times,
    permit: Option<tokio::sync::SemaphorePermit<'a>>,
}

/// Counts a proxy as ready while it lives.
struct Ready<'a>(&'a Shared);

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.0.ready.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Stream<'_> {
    async fn run(mut self) -> anyhow::Result<()> {
        let shared = self.shared.clone();
        let protocol = shared.behaviour.protocol;
        let first = self.envoy.start();
        let mut stream = self
            .connection
            .stream(protocol, self.member.token.as_deref(), first)
            .await?;
        if let Some(observer) = &shared.observer {
            observer.opened(self.number);
        }
        let mut ready = None;
        let mut answered = 0_u64;
        let mut seen = 0_u64;
        let slow = self.number % 100 < shared.behaviour.slow_percent;
        loop {
            if ready.is_none() && self.envoy.is_ready() {
                self.permit = None;
                shared.ready.fetch_add(1, Ordering::SeqCst);
                ready = Some(Ready(&shared));
                self.times
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push(self.begun.elapsed());
                shared.changed.notify_one();
            }
            // Asked for before the flag is read, or else the word may come in between.
            let again = shared.read_again.notified();
            if slow && ready.is_some() && shared.slow.load(Ordering::SeqCst) {
                again.await;
            }
            let Some(message) = stream.next().await? else {
                anyhow::bail!("the stream ended");
            };
            let counters = &shared.counters;
            counters.responses.fetch_add(1, Ordering::Relaxed);
            counters
                .bytes
                .fetch_add(message.len() as u64, Ordering::Relaxed);
            seen += 1;
            let refuse = ready.is_some()
                && (self.number as u64 + seen * 7) % 100 < shared.behaviour.nack_percent;
            let response = Response::parse(protocol, message.clone())?;
            let kind = response.kind;
            let received = self.envoy.receive(&shared.catalogue, &response, refuse)?;
            if let Some(observer) = &shared.observer {
                let news = News {
                    message: &message,
                    response: &response,
                    emptied: received.emptied,
                    fingerprint: self.envoy.fingerprint(),
                };
                observer.received(self.number, &news);
            }
            counters
                .resources
                .fetch_add(received.resources as u64, Ordering::Relaxed);
            if refuse {
                counters.nacks.fetch_add(1, Ordering::Relaxed);
            }
            for entry in received.moved {
                // Who does not read is not asked when it heard.
                let counts = ready.is_some() && !slow;
                shared.moves.heard(&mut self.envoy.seen, &entry, counts);
            }
            if let Some(kind) = kind
                && ready.is_some()
                && received.resources > 0
            {
                shared.probe.heard(kind, &mut answered);
            }
            for frame in received.requests {
                stream.send(frame).await?;
            }
        }
    }
}
