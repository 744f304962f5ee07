//! The connection to Redis: made, watched and made again, by one task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, SendError};
use ::redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisError, Value};
use rand::RngExt as _;
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::buckets::Shared;
use super::telemetry;
use crate::hint::Hint;

/// How long making a connection may take, with everything that belongs to it.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);
/// How often Redis is asked whether it lives.
const BEAT: Duration = Duration::from_secs(1);
/// Before the first try to connect again; each further one waits twice as long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A connection that lived this long was a good one: the pauses begin anew.
const LASTED: Duration = Duration::from_secs(10);
/// How many hints are sent at a time.
const AT_ONCE: usize = 64;

/// The task behind a [`super::Redis`].
#[derive(Debug)]
pub struct Link {
    client: Client,
    channel: String,
    own: u64,
    ends: Ends,
    /// `None`: nobody was told yet.
    up: Option<bool>,
}

/// What the link has in common with whoever uses it.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) queue: mpsc::Receiver<Hint>,
    pub(super) heard: Arc<broadcast::Sender<(u64, Hint)>>,
    /// The connection while there is one.
    pub(super) connection: watch::Sender<Option<MultiplexedConnection>>,
    pub(super) buckets: Arc<Shared>,
}

/// What a connection shows of itself beside its answers.
#[derive(Debug, Default)]
struct Signs {
    closed: Notify,
    /// A message came since this was last asked: an answer may be waiting behind many of them.
    life: AtomicBool,
}

/// Why a connection is of no use any more.
enum Lost {
    Failed(RedisError),
    Closed,
    Silent,
    /// The server stops.
    Stopped,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // A text from outside, on one line.
            Self::Failed(error) => write!(f, "{:?}", error.to_string()),
            Self::Closed => f.write_str("the connection was closed"),
            Self::Silent => f.write_str("no answer in time"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl Link {
    pub(super) fn new(client: Client, channel: String, own: u64, ends: Ends) -> Self {
        Self {
            client,
            channel,
            own,
            ends,
            up: None,
        }
    }

    /// Runs until the end of the server. Redis may be there or not, now or later.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let connected = tokio::select! {
                () = shutdown.cancelled() => return,
                connected = tokio::time::timeout(CONNECT, self.connect()) => connected,
            };
            let lost = match connected {
                Ok(Ok((connection, signs))) => {
                    self.turn(true, None);
                    let since = Instant::now();
                    self.ends.connection.send_replace(Some(connection.clone()));
                    let lost = self.live(connection, &signs, &shutdown).await;
                    self.ends.connection.send_replace(None);
                    if since.elapsed() >= LASTED {
                        pause = SHORTEST_PAUSE;
                    }
                    lost
                }
                Ok(Err(error)) => Lost::Failed(error),
                Err(_) => Lost::Silent,
            };
            if matches!(lost, Lost::Stopped) {
                return;
            }
            self.turn(false, Some(&lost));
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.idle(rand::rng().random_range(pause / 2..=pause)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says so when it changes.
    fn turn(&mut self, up: bool, lost: Option<&Lost>) {
        telemetry::connected(up);
        if self.up.replace(up) == Some(up) {
            return;
        }
        match lost {
            Some(why) => tracing::warn!(
                %why,
                "no Redis: changes reach the other servers a little later, and each server limits its share; trying on"
            ),
            None => tracing::info!(
                "Redis answers: changes reach the other servers at once, and limits are counted together"
            ),
        }
    }

    /// Connects and listens.
    async fn connect(&self) -> Result<(MultiplexedConnection, Arc<Signs>), RedisError> {
        let signs = Arc::new(Signs::default());
        let (heard, channel, own) = (Arc::clone(&self.ends.heard), self.channel.clone(), self.own);
        let shown = Arc::clone(&signs);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER))
            .set_push_sender(move |push: PushInfo| {
                match push.kind {
                    PushKind::Disconnection => shown.closed.notify_one(),
                    PushKind::Message => {
                        shown.life.store(true, Ordering::Relaxed);
                        hear(&push.data, &channel, own, &heard);
                    }
                    _ => {}
                }
                Ok::<(), SendError>(())
            });
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        connection.subscribe(&self.channel).await?;
        Ok((connection, signs))
    }

    /// Sends what is to be sent until the connection is of no use any more.
    async fn live(
        &mut self,
        mut connection: MultiplexedConnection,
        signs: &Signs,
        shutdown: &CancellationToken,
    ) -> Lost {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hints = Vec::with_capacity(AT_ONCE);
        loop {
            let answer = tokio::select! {
                () = shutdown.cancelled() => return Lost::Stopped,
                () = signs.closed.notified() => return Lost::Closed,
                number = self.ends.queue.recv_many(&mut hints, AT_ONCE) => {
                    if number == 0 {
                        return Lost::Stopped;
                    }
                    let messages = self.messages(&hints);
                    let sent = messages.query_async::<()>(&mut connection).await;
                    match sent {
                        Ok(()) => telemetry::sent(hints.len()),
                        Err(_) => telemetry::dropped(hints.len()),
                    }
                    hints.clear();
                    sent
                }
                // One that hangs keeps its connections open.
                _ = beat.tick() => ::redis::cmd("PING").exec_async(&mut connection).await,
            };
            match answer {
                Ok(()) => self.ends.buckets.heard(),
                Err(error) if error.is_timeout() => {
                    if !signs.life.swap(false, Ordering::Relaxed) {
                        return Lost::Silent;
                    }
                }
                Err(error) => return Lost::Failed(error),
            }
        }
    }

    /// Of each mesh the newest: who looks because of it finds the others, too.
    fn messages(&self, hints: &[Hint]) -> ::redis::Pipeline {
        let newest: BTreeMap<_, _> = hints.iter().map(|hint| (hint.mesh, hint)).collect();
        let mut pipeline = ::redis::pipe();
        for hint in newest.into_values() {
            pipeline
                .cmd("PUBLISH")
                .arg(&self.channel)
                .arg(hint.encode(self.own))
                .ignore();
        }
        pipeline
    }

    /// Waits, and drops what comes meanwhile: others have long found it by themselves.
    async fn idle(&mut self, pause: Duration) {
        let end = Instant::now() + pause;
        while let Ok(Some(_)) = tokio::time::timeout_at(end, self.ends.queue.recv()).await {
            telemetry::dropped(1);
        }
    }
}

/// Takes a message, whoever sent it.
pub(super) fn hear(
    data: &[Value],
    channel: &str,
    own: u64,
    heard: &broadcast::Sender<(u64, Hint)>,
) {
    let hint = match data {
        [Value::BulkString(to), Value::BulkString(text)] if to == channel.as_bytes() => {
            Hint::decode(text)
        }
        _ => None,
    };
    match hint {
        Some((from, _)) if from == own => {}
        Some(told) => {
            telemetry::heard();
            // Nobody listening is not an error.
            let _ = heard.send(told);
        }
        None => telemetry::ignored(),
    }
}
