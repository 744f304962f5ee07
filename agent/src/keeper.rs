//! Keeps an identity: gets it, replaces it in time, follows whom to trust, and does not give up.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use heddle_identity::{IssueResponse, WatchResponse};
use heddle_model::clock::SharedClock;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::backoff::Backoff;
use crate::control::Control;
use crate::error::Error;
use crate::files::Files;
use crate::given::{Bundle, Given, Identity};
use crate::key::Key;

/// The longest sleep: clocks are set, and machines sleep.
const NAP: Duration = Duration::from_secs(60);
/// How far two certificates are apart at most, however much the second is said to be due.
const APART: Duration = Duration::from_secs(10);
/// How far attempts to write the files are apart at most.
const WRITE_APART: Duration = Duration::from_secs(5);
/// How long a certificate is taken to live before there is one.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// It.
pub(crate) struct Keeper {
    control: Control,
    files: Option<Files>,
    clock: SharedClock,
    given: watch::Sender<Option<Arc<Identity>>>,
    /// When to replace what there is, in seconds since 1970.
    renew_at: i64,
    /// Not before this.
    issue_after: Instant,
    watch_after: Instant,
    issuing: Backoff,
    watching: Backoff,
    stream: Option<Streaming<WatchResponse>>,
    /// What the server calls the bundle that there is.
    version: String,
    /// What the server is told: what there is, once the files have it as well.
    said: Said,
    /// Whether files and certificate are of one piece.
    unwritten: bool,
}

/// What is said to be held.
#[derive(Default, PartialEq, Eq)]
struct Said {
    serial: String,
    version: String,
}

/// What comes next.
enum Next {
    Issue,
    Watch,
    Told(Result<WatchResponse, tonic::Status>),
    Ended,
    /// Nothing, yet: what is due is looked at again.
    Nap,
    Stop,
}

impl Keeper {
    pub(crate) fn new(control: Control, files: Option<Files>, clock: SharedClock) -> Self {
        Self {
            control,
            files,
            clock,
            given: watch::channel(None).0,
            renew_at: 0,
            issue_after: Instant::now(),
            watch_after: Instant::now(),
            issuing: Backoff::default(),
            watching: Backoff::default(),
            stream: None,
            version: String::new(),
            said: Said::default(),
            unwritten: false,
        }
    }

    /// What there is, as it changes.
    pub(crate) fn given(&self) -> Given {
        self.given.subscribe()
    }

    /// One certificate, into the files.
    pub(crate) async fn once(&mut self) -> Result<(), Error> {
        let key = Key::generate()?;
        let issued = self.control.issue(key.request()?, false).await?;
        self.take(&key, issued)?;
        self.write()
    }

    /// Until it is told to end.
    pub(crate) async fn run(&mut self, shutdown: CancellationToken) -> Result<(), Error> {
        self.take_up();
        loop {
            match self.next(&shutdown).await {
                Next::Stop => return Ok(()),
                Next::Nap => {}
                Next::Ended => self.end(),
                Next::Issue => self.replace(&shutdown).await?,
                Next::Watch => self.watch(&shutdown).await,
                Next::Told(told) => self.told(told),
            }
            self.settle();
        }
    }

    /// Goes on with what an earlier agent has written, if it is still good: a host that starts while the server is away works.
    fn take_up(&mut self) {
        let found = self.files.as_ref().and_then(Files::read);
        let now = self.now();
        if let Some(found) = found.filter(|found| found.not_before <= now && now < found.not_after)
        {
            tracing::info!(
                id = found.spiffe_id,
                serial = found.serial,
                "going on with the certificate of before"
            );
            self.renew_at = half(&found);
            self.said.serial.clone_from(&found.serial);
            self.given.send_replace(Some(Arc::new(found)));
        }
    }

    async fn next(&mut self, shutdown: &CancellationToken) -> Next {
        let now = self.now();
        let held = self.held();
        if held.as_ref().is_some_and(|held| held.not_after <= now) {
            return Next::Ended;
        }
        let due = match &held {
            Some(_) => self.after(self.renew_at),
            None => Instant::now(),
        };
        let due = due.max(self.issue_after);
        let end = held.map_or(Instant::now() + NAP, |held| self.after(held.not_after));
        let has = self.given.borrow().is_some();
        let unwritten = self.unwritten && has;
        tokio::select! {
            () = shutdown.cancelled() => Next::Stop,
            () = tokio::time::sleep_until(due) => match self.is_due() {
                true => Next::Issue,
                false => Next::Nap,
            },
            () = tokio::time::sleep_until(end) => Next::Nap,
            () = tokio::time::sleep(WRITE_APART), if unwritten => Next::Nap,
            () = tokio::time::sleep_until(self.watch_after), if has && self.stream.is_none() => Next::Watch,
            told = told(&mut self.stream), if self.stream.is_some() => match told {
                // The server ends streams with a status; this one came to nothing.
                Ok(None) => Next::Told(Err(tonic::Status::unavailable("the stream ended"))),
                Ok(Some(told)) => Next::Told(Ok(told)),
                Err(status) => Next::Told(Err(status)),
            },
        }
    }

    fn is_due(&self) -> bool {
        self.held().is_none() || self.renew_at <= self.now()
    }

    /// The moment of a time; no later than a nap from now.
    fn after(&self, at: i64) -> Instant {
        let left = u64::try_from(at - self.now()).unwrap_or_default();
        Instant::now() + Duration::from_secs(left).min(NAP)
    }

    /// An answer, unless it is told to end first. What ends meanwhile is handed out no more.
    async fn answer<T>(
        &self,
        asking: impl Future<Output = T>,
        shutdown: &CancellationToken,
    ) -> Option<T> {
        let mut asking = pin!(asking);
        loop {
            let end = self.held().map(|held| held.not_after);
            if end.is_some_and(|end| end <= self.now()) {
                self.end();
                continue;
            }
            let end = end.map_or(Instant::now() + NAP, |end| self.after(end));
            tokio::select! {
                () = shutdown.cancelled() => return None,
                answer = &mut asking => return Some(answer),
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }

    async fn replace(&mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        let taken = match Key::generate().and_then(|key| Ok((key.request()?, key))) {
            Ok((request, key)) => {
                let asking = self.control.issue(request, true);
                let Some(issued) = self.answer(asking, shutdown).await else {
                    return Ok(());
                };
                issued.and_then(|issued| self.take(&key, issued))
            }
            Err(error) => Err(error),
        };
        let error = match taken {
            Ok(()) => {
                self.issuing.reset();
                self.unwritten = self.files.is_some();
                return Ok(());
            }
            Err(error) => error,
        };
        let refused = matches!(
            error,
            Error::Refused { .. } | Error::Read { .. } | Error::Content { .. }
        );
        if self.held().is_none() && refused && !self.had_one() {
            return Err(error);
        }
        let pause = self.issuing.next(self.life());
        self.issue_after = Instant::now() + pause;
        let held = self.held();
        let until = held.as_ref().map(|held| held.not_after - self.now());
        tracing::warn!(%error, retry_s = pause.as_secs_f32(), good_for_s = until, "no new certificate yet");
        if let Error::Refused { revoked, .. } = error {
            // As long as it watched by the token of before, it would keep its own name from the one that is in the file now.
            self.stream = None;
            self.watch_after = self.issue_after;
            if revoked {
                self.revoked();
            }
        }
        Ok(())
    }

    /// Whether there was an identity once: then a refusal may pass, as when a token is replaced.
    fn had_one(&self) -> bool {
        self.renew_at != 0
    }

    /// Takes a certificate into use.
    fn take(&mut self, key: &Key, issued: IssueResponse) -> Result<(), Error> {
        let bundle = Bundle {
            trust_domain: issued.trust_domain,
            roots: issued.bundle,
        };
        let identity = Identity::read(issued.chain, key, Arc::new(bundle))?;
        self.renew_at = match issued.renew_at {
            at if at > 0 => at,
            _ => half(&identity),
        };
        tracing::info!(
            id = identity.spiffe_id,
            serial = identity.serial,
            good_for_s = identity.not_after - self.now(),
            "a new certificate"
        );
        self.version = issued.version;
        self.given.send_replace(Some(Arc::new(identity)));
        // However much the next one is said to be due: clocks that differ must not become a storm.
        self.issue_after = Instant::now() + (self.life() / 20).clamp(Duration::from_secs(1), APART);
        Ok(())
    }

    async fn watch(&mut self, shutdown: &CancellationToken) {
        let Said { serial, version } = &self.said;
        let asking = self.control.watch(serial.clone(), version.clone());
        match self.answer(asking, shutdown).await {
            None => {}
            Some(Ok(stream)) => self.stream = Some(stream),
            Some(Err(error)) => self.unwatched(&error),
        }
    }

    fn unwatched(&mut self, error: &Error) {
        self.stream = None;
        let pause = self.watching.next(DAY);
        self.watch_after = Instant::now() + pause;
        match error {
            Error::Refused {
                revoked: true,
                message,
            } => {
                tracing::warn!(message, "not trusted any more");
                self.revoked();
            }
            // An orderly end of a connection is one of these as well.
            Error::Away { .. } => tracing::debug!(%error, "not told of changes for now"),
            _ => tracing::warn!(%error, "not told of changes for now"),
        }
    }

    fn told(&mut self, told: Result<WatchResponse, tonic::Status>) {
        let told = match told {
            Ok(told) => told,
            Err(status) => {
                let error = self.control.ended(&status);
                return self.unwatched(&error);
            }
        };
        self.watching.reset();
        let Some(held) = self.held() else {
            return;
        };
        // It is about the certificate that is said to be held.
        let of_held = self.said.serial == held.serial;
        if of_held && told.renew_at > 0 && told.renew_at < self.renew_at {
            tracing::info!("the certificate is to be replaced earlier");
            self.renew_at = told.renew_at;
        }
        let bundle = Bundle {
            trust_domain: told.trust_domain,
            roots: told.bundle,
        };
        if bundle == *held.bundle {
            self.version = told.version;
            return;
        }
        if bundle.trust_domain != held.bundle.trust_domain || bundle.roots.is_empty() {
            tracing::warn!("the server's idea of whom to trust makes no sense; it is not followed");
            return;
        }
        tracing::info!(roots = bundle.roots.len(), "others are trusted now");
        self.given
            .send_replace(Some(Arc::new(held.trusting(bundle))));
        self.unwritten = self.files.is_some();
        self.version = told.version;
    }

    /// Nothing is handed out any more; what was handed out ends by itself.
    fn revoked(&self) {
        self.given.send_replace(None);
    }

    /// What has ended is good for nothing.
    fn end(&self) {
        tracing::error!("the certificate has ended, and there is no new one yet");
        self.given.send_replace(None);
    }

    fn write(&self) -> Result<(), Error> {
        match (&self.files, self.held()) {
            (Some(files), Some(held)) => files.write(&held),
            _ => Ok(()),
        }
    }

    /// Has the files follow, and then says so: by watching anew. A disk may be full for a while.
    fn settle(&mut self) {
        let Some(held) = self.held() else {
            return;
        };
        if self.unwritten {
            match self.write() {
                Ok(()) => self.unwritten = false,
                Err(error) => {
                    tracing::error!(%error, "the files are not current; trying on");
                    return;
                }
            }
        }
        let now = Said {
            serial: held.serial.clone(),
            version: self.version.clone(),
        };
        if self.said != now {
            self.said = now;
            self.stream = None;
            self.watch_after = Instant::now();
        }
    }

    fn held(&self) -> Option<Arc<Identity>> {
        self.given.borrow().clone()
    }

    fn life(&self) -> Duration {
        let life = self.held().map(|held| held.not_after - held.not_before);
        let life = life.and_then(|life| u64::try_from(life).ok());
        life.map_or(DAY, Duration::from_secs)
    }

    fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }
}

/// Half of a life.
fn half(identity: &Identity) -> i64 {
    identity.not_before + (identity.not_after - identity.not_before) / 2
}

async fn told(
    stream: &mut Option<Streaming<WatchResponse>>,
) -> Result<Option<WatchResponse>, tonic::Status> {
    match stream {
        Some(stream) => stream.message().await,
        None => std::future::pending().await,
    }
}
