//! Keeps an identity: gets it, replaces it in time, follows whom to trust, and does not give up.

use std::sync::Arc;
use std::time::Duration;

use heddle_identity::WatchResponse;
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
    /// What the server calls the bundle that is in use.
    version: String,
    /// Whether files and certificate are of one piece.
    unwritten: bool,
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
            unwritten: false,
        }
    }

    /// What there is, as it changes.
    pub(crate) fn given(&self) -> Given {
        self.given.subscribe()
    }

    /// One certificate, into the files.
    pub(crate) async fn once(&mut self) -> Result<(), Error> {
        self.issue().await?;
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
                Next::Issue => self.replace().await?,
                Next::Watch => self.watch().await,
                Next::Told(told) => self.told(told),
            }
            self.write_again();
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
        tokio::select! {
            () = shutdown.cancelled() => Next::Stop,
            () = tokio::time::sleep_until(due) => match self.is_due() {
                true => Next::Issue,
                false => Next::Nap,
            },
            () = tokio::time::sleep_until(end) => Next::Nap,
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

    async fn replace(&mut self) -> Result<(), Error> {
        let error = match self.issue().await {
            Ok(()) => {
                self.issuing.reset();
                self.unwritten = self.files.is_some();
                // The one before is not watched any more.
                self.stream = None;
                self.watch_after = Instant::now();
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
        if let Error::Refused { revoked: true, .. } = error {
            self.revoked();
        }
        Ok(())
    }

    /// Whether there was an identity once: then a refusal may pass, as when a token is replaced.
    fn had_one(&self) -> bool {
        self.renew_at != 0
    }

    async fn issue(&mut self) -> Result<(), Error> {
        let key = Key::generate()?;
        let issued = self.control.issue(key.request()?).await?;
        let bundle = Bundle {
            trust_domain: issued.trust_domain,
            roots: issued.bundle,
        };
        let identity = Identity::read(issued.chain, &key, Arc::new(bundle))?;
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

    async fn watch(&mut self) {
        let Some(held) = self.held() else {
            return;
        };
        let version = self.version.clone();
        match self.control.watch(held.serial.clone(), version).await {
            Ok(stream) => self.stream = Some(stream),
            Err(error) => self.unwatched(&error),
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
        if told.renew_at > 0 && told.renew_at < self.renew_at {
            tracing::info!("the certificate is to be replaced earlier");
            self.renew_at = told.renew_at;
        }
        let bundle = Bundle {
            trust_domain: told.trust_domain,
            roots: told.bundle,
        };
        if bundle == *held.bundle {
            if self.version != told.version {
                self.follows(told.version);
            }
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
        self.follows(told.version);
    }

    /// Says that it has followed: by watching anew, with this.
    fn follows(&mut self, version: String) {
        self.version = version;
        self.stream = None;
        self.watch_after = Instant::now();
    }

    /// Nothing is handed out any more; what was handed out ends by itself.
    fn revoked(&mut self) {
        self.given.send_replace(None);
    }

    /// What has ended is good for nothing.
    fn end(&mut self) {
        tracing::error!("the certificate has ended, and there is no new one yet");
        self.given.send_replace(None);
    }

    fn write(&self) -> Result<(), Error> {
        match (&self.files, self.held()) {
            (Some(files), Some(held)) => files.write(&held),
            _ => Ok(()),
        }
    }

    /// A disk may be full for a while.
    fn write_again(&mut self) {
        if !self.unwritten {
            return;
        }
        match self.write() {
            Ok(()) => self.unwritten = false,
            Err(error) => tracing::error!(%error, "the files are not current; trying on"),
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
