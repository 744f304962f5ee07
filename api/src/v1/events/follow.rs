//! One stream: a task that reads when there is something to read, and writes as fast as its client takes it.

use std::time::Duration;

use bytes::Bytes;
use heddle_store::live::Heads;
use heddle_store::{Error, MeshRef};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, interval, sleep, sleep_until, timeout};

use super::read::{Batch, read};
use super::write::{Event, Format};
use super::{Grants, Topics};
use crate::live::{self, Now, Recheck, Slot};
use crate::state::App;

/// How long a client hears nothing at the most.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// However much happens, it is read again after this time at the earliest.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take to read what waits for it.
const UNREAD: Duration = Duration::from_secs(60);
/// Later than any stream is open.
const NEVER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Why a stream ends; `None`: nobody is there to be told.
type End = Option<&'static str>;

/// Where it is written to.
struct Out {
    send: mpsc::Sender<Bytes>,
    format: Format,
    /// How many events more.
    left: Option<u32>,
}

/// One stream.
pub(super) struct Follower {
    app: App,
    org: String,
    mesh: MeshRef,
    topics: Topics,
    grants: Grants,
    recheck: Recheck,
    timer: Interval,
    /// Up to where the client was told.
    at: Heads,
    /// What was said of the newest revision last.
    rollout: Option<Value>,
}

impl Follower {
    pub(super) fn new(
        app: App,
        org: String,
        mesh: MeshRef,
        topics: Topics,
        grants: Grants,
        recheck: Recheck,
        at: Heads,
    ) -> Self {
        let mut timer = interval(live::EVERY);
        timer.reset();
        Self {
            app,
            org,
            mesh,
            topics,
            grants,
            recheck,
            timer,
            at,
            rollout: None,
        }
    }

    pub(super) async fn run(
        mut self,
        first: Option<Event>,
        send: mpsc::Sender<Bytes>,
        format: Format,
        until: Option<Instant>,
        limit: Option<u32>,
        slot: Slot,
    ) {
        let mut out = Out {
            send,
            format,
            left: limit,
        };
        let told = match first {
            Some(first) => self.emit(&mut out, &[first]).await,
            None => Ok(()),
        };
        let end = match told {
            Ok(()) => self.follow(&mut out, until).await,
            Err(end) => end,
        };
        if let Some(why) = end {
            let last = Event::end(self.at, why).write(format);
            // Whoever does not read does not read this either.
            let _unread = timeout(Duration::from_secs(1), out.send.send(last)).await;
        }
        drop(slot);
    }

    /// Only waiting is ever broken off, never a look at the database.
    async fn follow(&mut self, out: &mut Out, until: Option<Instant>) -> End {
        let live = self.app.live.clone();
        let mut news = live.watch(self.mesh, self.at);
        news.mark_changed();
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.reset();
        let until = until.unwrap_or_else(|| Instant::now() + NEVER);
        loop {
            tokio::select! {
                biased;
                () = out.send.closed() => return None,
                () = live.stopping() => return Some("stopping"),
                _ = self.timer.tick() => if let Err(end) = self.check().await {
                    return end;
                },
                changed = news.changed() => {
                    if changed.is_err() {
                        return Some("stopping");
                    }
                    match self.catch_up(out, &mut news).await {
                        Err(end) => return end,
                        Ok(()) if Instant::now() >= until => return Some("time"),
                        Ok(()) => sleep(PAUSE).await,
                    }
                    heartbeat.reset();
                }
                () = sleep_until(until) => return Some("time"),
                _ = heartbeat.tick() => {
                    let beat = Event::heartbeat(self.at).write(out.format);
                    // A client that has something to read knows that the stream lives.
                    let _full = out.send.try_send(beat);
                }
            }
        }
    }

    /// Whether the holder may still have it (Z10).
    async fn check(&mut self) -> Result<(), End> {
        let ended = Err(Some("credential"));
        let caller = match self.recheck.ask(&self.app).await {
            Now::Unknown => return Ok(()),
            Now::Ended => return ended,
            Now::Valid(caller) => caller,
        };
        let mesh = self.mesh.mesh();
        let Some(config) = live::reaching(&caller, &self.org, mesh) else {
            return ended;
        };
        self.grants = Grants {
            config,
            proxy: live::reaching(&caller, &self.org, mesh),
            audit: live::reaching(&caller, &self.org, mesh),
        };
        let proxies = self.topics.proxy || self.topics.rollout;
        let lost = (proxies && self.grants.proxy.is_none())
            || (self.topics.audit && self.grants.audit.is_none());
        if lost { ended } else { Ok(()) }
    }

    /// Tells everything that there is to tell.
    async fn catch_up(
        &mut self,
        out: &mut Out,
        news: &mut watch::Receiver<Option<Heads>>,
    ) -> Result<(), End> {
        loop {
            if news.borrow_and_update().is_none() {
                return Err(Some("gone"));
            }
            let store = self.app.store.clone();
            let batch = match read(&store, self.mesh, self.topics, &self.grants, self.at).await {
                Ok(batch) => batch,
                Err(Error::NotFound | Error::Forbidden { .. }) => return Err(Some("gone")),
                Err(error) => {
                    tracing::debug!(%error, mesh.id = %self.mesh.mesh(), "cannot read events");
                    news.mark_changed();
                    return Ok(());
                }
            };
            let Batch {
                events,
                at,
                more,
                rollout,
            } = batch;
            for piece in &events {
                self.emit(out, piece).await?;
            }
            self.at = at;
            if rollout.is_some() && rollout != self.rollout {
                let said = rollout.clone().unwrap_or_default();
                self.emit(out, &[Event::new("rollout", Some(at), said)])
                    .await?;
                self.rollout = rollout;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Writes events in one piece, once the client has room for them. Meanwhile its credential may end.
    async fn emit(&mut self, out: &mut Out, piece: &[Event]) -> Result<(), End> {
        let bytes: Vec<Bytes> = piece.iter().map(|event| event.write(out.format)).collect();
        let bytes = Bytes::from(bytes.concat());
        let stopping = self.app.live.clone();
        let late = Instant::now() + UNREAD;
        loop {
            tokio::select! {
                biased;
                _ = self.timer.tick() => self.check().await?,
                room = out.send.reserve() => {
                    room.map_err(|_| None)?.send(bytes);
                    break;
                }
                () = stopping.stopping() => return Err(Some("stopping")),
                () = sleep_until(late) => return Err(None),
            }
        }
        if let Some(at) = piece.last().and_then(|event| event.at) {
            self.at = at;
        }
        if let Some(left) = &mut out.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(Some("limit"));
            }
        }
        Ok(())
    }
}
