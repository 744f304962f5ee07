//! Writes of every way to write, so many a second: one that is not answered is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use heddle_tests::{Api, Ledger, Random, Reply, Write, Writer};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::calls::Calls;
use crate::taint::Taint;

/// At once.
const WRITERS: usize = 8;
/// How long an attempt may take, and all attempts together.
const ATTEMPT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(150);
/// The first pause between two attempts, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The key belongs to an attempt that is still under way.
const UNDER_WAY: &str = "HED-2017";

/// What all writers share.
pub(crate) struct Shared {
    api: Api,
    taint: Arc<Taint>,
    /// What was acknowledged.
    pub(crate) ledger: Ledger,
    /// Every attempt.
    pub(crate) attempts: Calls,
    /// Every write, with all its attempts; one that took more than two did not go well.
    pub(crate) writes: Calls,
    /// What no attempt may be answered with.
    surprises: Mutex<Vec<String>>,
    paused: watch::Sender<bool>,
    busy: AtomicUsize,
    given_up: AtomicBool,
}

/// They go on until this is dropped.
pub(crate) struct Writers {
    pub(crate) shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Writers {
    /// Begins, in meshes of which each belongs to some of the writers.
    pub(crate) fn start(
        api: Api,
        meshes: &[String],
        a_second: u32,
        taint: Arc<Taint>,
        random: &mut Random,
    ) -> Self {
        let shared = Arc::new(Shared {
            api,
            taint,
            ledger: Ledger::default(),
            attempts: Calls::default(),
            writes: Calls::default(),
            surprises: Mutex::default(),
            paused: watch::Sender::new(false),
            busy: AtomicUsize::new(0),
            given_up: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            let mesh = &meshes[number % meshes.len()];
            let writer = Writer::new(mesh, &format!("w{number}"), random.fork());
            let every = Duration::from_secs(WRITERS as u64) / a_second;
            tasks.spawn(write(Arc::clone(&shared), writer, every));
        }
        Self {
            shared,
            _tasks: tasks,
        }
    }

    /// Lets the writes that are under way end, and no others begin.
    ///
    /// # Errors
    /// One is not answered for too long.
    pub(crate) async fn pause(&self) -> anyhow::Result<()> {
        self.shared.paused.send_replace(true);
        let began = Instant::now();
        while self.shared.busy.load(Ordering::SeqCst) > 0 {
            anyhow::ensure!(began.elapsed() < PATIENCE, "a write is not answered");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Goes on.
    pub(crate) fn resume(&self) {
        self.shared.paused.send_replace(false);
    }

    /// Answers that no write may get, since this was last asked.
    pub(crate) fn surprises(&self) -> Vec<String> {
        let mut all = self
            .shared
            .surprises
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *all)
    }

    /// Whether one was given up.
    pub(crate) fn gave_up(&self) -> bool {
        self.shared.given_up.load(Ordering::SeqCst)
    }
}

/// Says that a writer is at it, while it lives.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn write(shared: Arc<Shared>, mut writer: Writer, every: Duration) {
    let mut paused = shared.paused.subscribe();
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // The sender lives as long as this does.
        drop(paused.wait_for(|paused| !paused).await);
        tick.tick().await;
        let busy = Busy::new(&shared.busy);
        if *paused.borrow() {
            drop(busy);
            continue;
        }
        let write = writer.next_write();
        match shared.send(&write).await {
            Some(reply) if write.expected.contains(&reply.status) => {
                shared.ledger.answered(&write, &reply);
            }
            Some(reply) => {
                shared.ledger.abandoned(&write);
                shared.surprise(format!(
                    "{} {}: {} {}",
                    write.method, write.path, reply.status, reply.text
                ));
            }
            None => {
                shared.ledger.abandoned(&write);
                shared.given_up.store(true, Ordering::SeqCst);
            }
        }
    }
}

impl Shared {
    fn surprise(&self, what: String) {
        let mut all = self
            .surprises
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(what);
    }

    /// Sends a write and does not wait for its answer for longer than this; whether it came. What nobody waited for may or may not be done.
    pub(crate) async fn impatient(&self, write: &Write, patience: Duration) -> bool {
        let answer = tokio::time::timeout(patience, write.send(&self.api)).await;
        match answer {
            Ok(Ok(reply)) if write.expected.contains(&reply.status) => {
                self.ledger.answered(write, &reply);
                true
            }
            _ => {
                self.ledger.abandoned(write);
                false
            }
        }
    }

    /// Sends a write until it is answered.
    async fn send(&self, write: &Write) -> Option<Reply> {
        let began = Instant::now();
        let mut pause = PAUSE;
        let mut attempts = 0;
        while began.elapsed() < PATIENCE {
            let sent = Instant::now();
            attempts += 1;
            let reply = match tokio::time::timeout(ATTEMPT, write.send(&self.api)).await {
                Ok(Ok(reply)) => Some(reply),
                Ok(Err(_)) | Err(_) => None,
            };
            let status = reply.as_ref().map_or(0, |reply| reply.status);
            if let Some(reply) = &reply
                && status == 503
                && reply.retry_after.is_none()
            {
                self.surprise(format!("503 without Retry-After: {}", reply.text));
            }
            let waits = |reply: &Reply| reply.json["code"] == UNDER_WAY;
            let done =
                reply.filter(|reply| reply.status < 500 && reply.status != 429 && !waits(reply));
            self.attempts.note(sent, status, done.is_some());
            if let Some(reply) = done {
                self.taint.look(reply.text.as_bytes(), || {
                    format!("{} {}", write.method, write.path)
                });
                self.writes.note(began, reply.status, attempts <= 2);
                return Some(reply);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.writes.note(began, 0, false);
        None
    }
}
