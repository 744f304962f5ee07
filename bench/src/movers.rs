//! Workloads that move again and again. Each is a proxy of its own that comes back from another address with all that it has, so
//! that a move costs the server an endpoint that changes and little else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::catalogue::Catalogue;
use crate::envoy::Envoy;
use crate::fleet::Member;
use crate::moves::{Move, Moves};
use crate::stream::{Connection, Stream};
use crate::target::Target;
use crate::wire::{Protocol, Response};

/// How long one may take to get its configuration.
const JOIN: Duration = Duration::from_secs(60);

/// What a mover is where: its node changes with its address.
pub(crate) type Describe = Box<dyn Fn(&str) -> Member + Send>;

/// Some workloads that are where they first were.
pub(crate) struct Movers {
    moves: Arc<Moves>,
    commands: Vec<mpsc::Sender<()>>,
    tasks: JoinSet<anyhow::Result<()>>,
    sent: usize,
    reconnects: Arc<AtomicUsize>,
}

impl Movers {
    /// Connects one for each description, and waits until all have their configuration.
    ///
    /// # Errors
    /// One has it not within a minute.
    pub(crate) async fn join(
        target: &Target,
        moves: &Arc<Moves>,
        descriptions: impl IntoIterator<Item = Describe>,
    ) -> anyhow::Result<Self> {
        let reconnects = Arc::<AtomicUsize>::default();
        let catalogue = Arc::new(Catalogue::default());
        let (ready, mut readies) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        let mut commands = Vec::new();
        for (mover, describe) in (0_u8..).zip(descriptions) {
            let (sender, receiver) = mpsc::channel(1);
            commands.push(sender);
            let member = describe(&Move { mover, turn: 0 }.address());
            let mover = Mover {
                mover,
                envoy: Envoy::new(Protocol::Delta, member.node.clone()),
                token: member.token,
                describe,
                moves: moves.clone(),
                catalogue: catalogue.clone(),
                target: target.clone(),
                reconnects: reconnects.clone(),
                connection: Connection::open(target, usize::from(mover), 0).await?,
            };
            tasks.spawn(mover.run(receiver, ready.clone()));
        }
        drop(ready);
        let all = async {
            for _ in 0..commands.len() {
                if readies.recv().await.is_none() {
                    return false;
                }
            }
            true
        };
        let joined = tokio::time::timeout(JOIN, all).await;
        let mut movers = Self {
            moves: moves.clone(),
            commands,
            tasks,
            sent: 0,
            reconnects,
        };
        if !joined.context("not all movers join within a minute")? {
            movers.failed().await?;
        }
        Ok(movers)
    }

    /// How often one had to connect anew.
    pub(crate) fn reconnects(&self) -> usize {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Where they are.
    pub(crate) fn whereabouts(&self) -> Vec<String> {
        let count = self.commands.len();
        let turn = |mover: usize| self.sent.saturating_sub(mover).div_ceil(count);
        let moves = (0_u8..).zip((0..count).map(turn));
        moves
            .map(|(mover, turn)| {
                let turn = u16::try_from(turn).unwrap_or_default();
                Move { mover, turn }.address()
            })
            .collect()
    }

    /// One of them moves, in turn.
    ///
    /// # Errors
    /// One of them has lost its stream.
    pub(crate) async fn one(&mut self) -> anyhow::Result<()> {
        let before = self.moves.count();
        self.command().await?;
        self.made(before + 1).await
    }

    async fn command(&mut self) -> anyhow::Result<()> {
        let mover = &self.commands[self.sent % self.commands.len()];
        self.sent += 1;
        if mover.send(()).await.is_err() {
            self.failed().await?;
        }
        Ok(())
    }

    /// Until so many moves are on their way to the server.
    async fn made(&mut self, count: usize) -> anyhow::Result<()> {
        while self.moves.count() < count {
            if let Some(ended) = self.tasks.try_join_next() {
                ended?.context("a mover lost its stream")?;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// They move in turn, so often a second for so long; as fast as the server lets them when that is slower. All moves
    /// have been made when it returns. The time that it took.
    ///
    /// # Errors
    /// One of them has lost its stream.
    pub(crate) async fn churn(
        &mut self,
        per_second: u32,
        length: Duration,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let before = self.moves.count();
        let mut moved = 0;
        let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
        // One that came late is made up for.
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while began.elapsed() < length {
            tick.tick().await;
            self.command().await?;
            moved += 1;
        }
        self.made(before + moved).await?;
        Ok(began.elapsed())
    }

    /// Why one of them has ended.
    async fn failed(&mut self) -> anyhow::Result<()> {
        match self.tasks.join_next().await {
            Some(ended) => ended?.context("a mover lost its stream"),
            None => anyhow::bail!("a mover lost its stream"),
        }
    }
}

struct Mover {
    mover: u8,
    envoy: Envoy,
    token: Option<Arc<str>>,
    describe: Describe,
    moves: Arc<Moves>,
    catalogue: Arc<Catalogue>,
    target: Target,
    connection: Connection,
    reconnects: Arc<AtomicUsize>,
}

impl Mover {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<()>,
        ready: mpsc::Sender<()>,
    ) -> anyhow::Result<()> {
        let mut stream = self.stream().await?;
        while !self.envoy.is_ready() {
            self.read(&mut stream).await?;
        }
        ready.send(()).await?;
        drop(ready);
        let mut turn = 0;
        loop {
            tokio::select! {
                command = commands.recv() => {
                    if command.is_none() {
                        return Ok(());
                    }
                    turn += 1;
                    let one = Move { mover: self.mover, turn };
                    self.envoy.describe((self.describe)(&one.address()).node);
                    self.moves.make(one);
                    // The one before ends first; for what is away so shortly nothing changes.
                    drop(stream);
                    stream = self.back().await?;
                }
                message = stream.next() => {
                    let received = match message {
                        Ok(Some(message)) => self.receive(&mut stream, message).await,
                        Ok(None) => Err(anyhow::anyhow!("the server ended the stream")),
                        Err(error) => Err(error),
                    };
                    if received.is_err() {
                        drop(stream);
                        stream = self.back().await?;
                    }
                }
            }
        }
    }

    /// Its next stream; over a new connection if the one that there is has broken.
    async fn back(&mut self) -> anyhow::Result<Stream> {
        if let Ok(stream) = self.stream().await {
            return Ok(stream);
        }
        self.reconnects.fetch_add(1, Ordering::Relaxed);
        self.connection = Connection::open(&self.target, self.mover.into(), 0).await?;
        self.stream().await
    }

    async fn stream(&mut self) -> anyhow::Result<Stream> {
        let first = self.envoy.start();
        let token = self.token.as_deref();
        self.connection.stream(Protocol::Delta, token, first).await
    }

    async fn read(&mut self, stream: &mut Stream) -> anyhow::Result<()> {
        let message = stream
            .next()
            .await?
            .context("the server ended the stream")?;
        self.receive(stream, message).await
    }

    async fn receive(&mut self, stream: &mut Stream, message: bytes::Bytes) -> anyhow::Result<()> {
        let response = Response::parse(Protocol::Delta, message)?;
        let received = self.envoy.receive(&self.catalogue, &response, false)?;
        for frame in received.requests {
            stream.send(frame).await?;
        }
        Ok(())
    }
}
