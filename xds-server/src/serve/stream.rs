//! One stream: a session with everything that happens to it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use heddle_model::clock::SharedClock;
use heddle_model::id::AuthorityId;
use heddle_translate::naming;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::identity::{Current, Identity};
use super::link::Link;
use super::messages::{Messages, Next};
use super::method::Method;
use super::refuse;
use crate::codec::{Inbound, Said};
use crate::engine::kind::Kind;
use crate::engine::session::{Event, Limits, Own, Session};
use crate::graph::{Attachment, Command, Lane, Published};
use crate::http2::Room;
use crate::source::Proxy;
use crate::status::{Report, Reporter, printable};
use crate::telemetry;
use crate::trust::Replacing;

/// How long something may be under way before it is told. Most responses are acknowledged at once: telling each would cost
/// a message and a row for every proxy and every change.
const PASSING: Duration = Duration::from_secs(1);
/// The shortest time between two certificates of a proxy, however much the first is said to be due.
const AGAIN: chrono::TimeDelta = chrono::TimeDelta::seconds(1);
/// The longest sleep; whatever is due later is looked at again then.
const NAP: Duration = Duration::from_secs(3600);

/// A stream that has been let in.
pub(super) struct Stream {
    pub(super) proxy: Proxy,
    pub(super) method: Method,
    pub(super) node_id: String,
    pub(super) messages: Messages,
    pub(super) identity: Identity,
    pub(super) attachment: Attachment,
    pub(super) clock: SharedClock,
    pub(super) link: Arc<Link>,
    /// The whole server stops.
    pub(super) stopping: CancellationToken,
    pub(super) unread_deadline: Duration,
}

/// What changes while a stream runs.
struct Course {
    session: Session,
    trust_domain: Option<Arc<str>>,
    renew_at: Option<DateTime<Utc>>,
    /// The certificate that it has: what signed it, and its serial.
    leaf: Option<(AuthorityId, Arc<str>)>,
    /// Which certificates are replaced before they are due.
    replacing: Arc<Replacing>,
    /// A certificate is wanted, and which one the proxy says it has.
    wanted: Option<Option<Arc<str>>>,
    reporter: Reporter,
    reported: Option<Report>,
    /// Since when something is under way that has not been told.
    passing_since: Option<Instant>,
    /// Since when there is no room for what is to be sent.
    full_since: Option<Instant>,
}

/// Sets an alarm. To set it later is cheap: it notices by itself that it was too early.
fn set(alarm: &mut Pin<&mut Sleep>, at: Instant) {
    if alarm.deadline().into_std() != at {
        alarm.as_mut().reset(at.into());
    }
}

impl Course {
    /// Replaces the certificate earlier, when what signed it gives way.
    fn hasten(&mut self, now: DateTime<Utc>) {
        if let (Some(renew_at), Some((authority, serial))) = (&mut self.renew_at, &self.leaf)
            && let Some(due) = self.replacing.due(*authority, serial)
        {
            // What is said of authorities here may be older than what signs: the next leaf may be of the same one.
            *renew_at = due.max(now + AGAIN).min(*renew_at);
        }
    }
}

/// What a stream waits for.
enum Wake {
    Message(Box<Result<Option<Inbound>, Status>>),
    View,
    Identity(Option<Current>),
    Room,
    Time,
    End(Status),
}

impl Stream {
    /// Runs until either side ends it, and tells the mesh.
    pub(super) async fn run(mut self, first: Inbound) {
        let open = telemetry::OpenStream::new();
        let own = [(Kind::Secret, naming::IDENTITY)];
        let only = match self.method.lane {
            Lane::Aggregated => None,
            Lane::Single(kind) => Some(kind),
        };
        let session = Session::new(self.method.protocol, now(), Limits::default(), own);
        let mut session = session.only(only);
        session.restore_quarantine(std::mem::take(&mut self.attachment.refused));
        let mut course = Course {
            session,
            trust_domain: None,
            renew_at: None,
            leaf: None,
            replacing: Arc::default(),
            wanted: None,
            reporter: Reporter::default(),
            reported: None,
            passing_since: None,
            full_since: None,
        };
        let end = self.drive(&mut course, first).await;
        let stopping = self.stopping.is_cancelled() && self.link.is_parting();
        if let Some(status) = end {
            self.log_end(&status);
            let unread = course.full_since.map(|since| now().duration_since(since));
            let reads = unread.is_none_or(|unread| unread < self.unread_deadline);
            let emptied = self.messages.other(Room::Full);
            let last = Duration::from_secs(1);
            if reads && tokio::time::timeout(last, emptied).await.is_ok() {
                self.messages.end(&status);
            } else {
                // Who does not read what was sent does not read why it ends either: what waits for it is dropped.
                self.link.abort();
            }
        }
        self.attachment.leave(stopping).await;
        drop(open);
    }

    fn log_end(&self, status: &Status) {
        tracing::info!(
            org.id = %self.proxy.mesh.org,
            mesh.id = %self.proxy.mesh.mesh,
            proxy.id = %self.proxy.proxy,
            code = ?status.code(),
            reason = status.message(),
            "stream ended"
        );
    }

    /// Returns how to tell the proxy that this is the end; nothing when it has gone.
    async fn drive(&mut self, course: &mut Course, first: Inbound) -> Option<Status> {
        let published = self.attachment.views.borrow_and_update().clone();
        Self::on_view(course, published, self.clock.now());
        if let Err(status) = self.on_message(course, &first) {
            return Some(status);
        }
        // A client that resumes says all that it has.
        drop(first);
        // Made once, since each time costs a place in a list that others are in, too.
        let mut alarm = pin!(tokio::time::sleep(NAP));
        loop {
            if let Err(status) = self.pump(course) {
                return Some(status);
            }
            self.report(course).await;
            self.pursue_identity(course);
            let outcome = match self.wait(course, &mut alarm).await {
                Wake::Message(message) => match *message {
                    Ok(Some(message)) => {
                        // Whoever says very much at once lets others have a turn.
                        tokio::task::coop::consume_budget().await;
                        self.on_message(course, &message)
                    }
                    Ok(None) => Err(refuse::left()),
                    Err(status) if self.messages.room() == Room::Gone => {
                        tracing::debug!(proxy.id = %self.proxy.proxy, %status, "stream broke");
                        return None;
                    }
                    Err(status) => Err(status),
                },
                Wake::View => {
                    let published = self.attachment.views.borrow_and_update().clone();
                    Self::on_view(course, published, self.clock.now());
                    Ok(())
                }
                Wake::Identity(current) => {
                    Self::on_identity(course, current, self.clock.now());
                    Ok(())
                }
                Wake::End(status) => Err(status),
                Wake::Room => {
                    course.full_since = None;
                    Ok(())
                }
                Wake::Time => self.on_time(course),
            };
            if let Err(status) = outcome {
                return Some(status);
            }
        }
    }

    async fn wait(&mut self, course: &Course, alarm: &mut Pin<&mut Sleep>) -> Wake {
        let now = now();
        let renew = course
            .renew_at
            .filter(|_| !self.identity.is_under_way())
            .map(|at| {
                let left = (at - self.clock.now()).to_std().unwrap_or_default();
                now + left.min(NAP)
            });
        let unread = course.full_since.map(|since| since + self.unread_deadline);
        let passing = course.passing_since.map(|since| since + PASSING);
        let deadlines = [course.session.next_deadline(now), renew, unread, passing];
        let wake = deadlines
            .into_iter()
            .flatten()
            .fold(now + NAP, Instant::min);
        set(alarm, wake);
        tokio::select! {
            next = self.messages.next_or_room(course.full_since.is_some()) => match next {
                Next::Message(message) => Wake::Message(message),
                Next::Room => Wake::Room,
            },
            changed = self.attachment.views.changed() => match changed {
                Ok(()) => Wake::View,
                // The group is gone, and so is this stream's place in it: the reason follows.
                Err(_) => match (&mut self.attachment.end).await {
                    Ok(why) => Wake::End(refuse::ended(why)),
                    Err(_) => Wake::End(refuse::stopping()),
                },
            },
            current = self.identity.next(), if self.identity.is_under_way() => Wake::Identity(current),
            ended = &mut self.attachment.end => match ended {
                Ok(why) => Wake::End(refuse::ended(why)),
                Err(_) => Wake::End(refuse::stopping()),
            },
            () = self.link.parts() => Wake::End(refuse::stopping()),
            () = alarm.as_mut() => Wake::Time,
        }
    }

    /// Sends what there is to send, as far as the proxy reads.
    fn pump(&self, course: &mut Course) -> Result<(), Status> {
        loop {
            let now = now();
            if let Some(reason) = course.session.expired(now) {
                return Err(refuse::closed(reason));
            }
            match self.messages.room() {
                Room::Free => {}
                Room::Full => {
                    course.full_since.get_or_insert(now);
                    return Ok(());
                }
                // The wait that follows finds it gone.
                Room::Gone => return Ok(()),
            }
            let Some(response) = course.session.poll(now) else {
                return Ok(());
            };
            tracing::debug!(
                proxy.id = %self.proxy.proxy,
                revision = response.revision,
                kind = response.kind.short(),
                nonce = response.nonce,
                resources = response.resources.len(),
                removed = response.removed.len(),
                "push"
            );
            telemetry::sent(&response, now);
            self.attachment.sent.fetch_add(1, Ordering::Relaxed);
            self.messages.put(&response);
        }
    }

    async fn report(&self, course: &mut Course) {
        let now = self.clock.now();
        let report = course.reporter.report(&course.session, now);
        if let Some(reported) = &course.reported {
            if *reported == report {
                course.passing_since = None;
                return;
            }
            if reported.differs_in_passing(&report) {
                let at = self::now();
                let since = *course.passing_since.get_or_insert(at);
                if at.duration_since(since) < PASSING {
                    return;
                }
            }
        }
        course.passing_since = None;
        course.reported = Some(report.clone());
        let refused = course.session.quarantined();
        let refused = refused.map(|(kind, name, why)| (kind, name.clone(), why.clone()));
        let command = Command::Report {
            proxy: self.proxy.proxy,
            generation: self.attachment.generation,
            report: Box::new(report),
            refused: refused.collect(),
        };
        // A mesh that has ended ends this stream as well.
        let _ended = self.attachment.mesh.send(command).await;
    }

    fn on_view(course: &mut Course, published: Option<Published>, now: DateTime<Utc>) {
        let Some(published) = published else {
            return;
        };
        course.session.set_view(&published.view);
        course.trust_domain = Some(published.trust_domain);
        course.replacing = published.replacing;
        course.hasten(now);
    }

    /// Gets a certificate if one is wanted, once the trust domain is known and no other is under way.
    fn pursue_identity(&mut self, course: &mut Course) {
        if let Some(trust_domain) = &course.trust_domain
            && !self.identity.is_under_way()
            && let Some(held) = course.wanted.take()
        {
            self.identity.want(trust_domain.clone(), held);
        }
    }

    fn on_message(&self, course: &mut Course, message: &Inbound) -> Result<(), Status> {
        // Envoy describes itself in the first message only; one that is somebody else now is cut off (X01).
        if message
            .node
            .as_ref()
            .is_some_and(|node| !node.id.is_empty() && node.id != self.node_id)
        {
            return Err(Status::invalid_argument("node.id changed within a stream"));
        }
        let events = match &message.said {
            Said::Delta(request) => course.session.on_request(request),
            Said::Sotw(request) => course.session.on_state_request(request),
        };
        for event in events.map_err(refuse::closed)? {
            self.on_event(course, event);
        }
        Ok(())
    }

    fn on_event(&self, course: &mut Course, event: Event) {
        match event {
            Event::Acked(_) => {}
            Event::UnknownType(type_url) => {
                let type_url = printable(&type_url);
                tracing::debug!(proxy.id = %self.proxy.proxy, type_url, "a type that is not served");
            }
            Event::Nacked {
                kind,
                resources,
                message,
            } => {
                telemetry::nacked(kind);
                tracing::info!(
                    org.id = %self.proxy.mesh.org,
                    mesh.id = %self.proxy.mesh.mesh,
                    proxy.id = %self.proxy.proxy,
                    kind = kind.short(),
                    resources = resources.len(),
                    first = ?resources.first(),
                    message = printable(&message),
                    "refused by the proxy"
                );
            }
            Event::Wanted { held, .. } => course.wanted = Some(held),
        }
    }

    fn on_identity(course: &mut Course, current: Option<Current>, now: DateTime<Utc>) {
        let Some(current) = current else {
            // Getting it panicked: once more.
            course.wanted = Some(None);
            return;
        };
        course.renew_at = Some(current.renew_at);
        course.leaf = Some((current.authority, current.serial));
        course.hasten(now);
        if matches!(current.own, Own::Issued(_)) {
            course.wanted = None;
        }
        course
            .session
            .set_own(Kind::Secret, naming::IDENTITY, current.own);
    }

    fn on_time(&self, course: &mut Course) -> Result<(), Status> {
        if course
            .full_since
            .is_some_and(|since| now().duration_since(since) >= self.unread_deadline)
        {
            return Err(refuse::slow());
        }
        if course.renew_at.is_some_and(|at| at <= self.clock.now()) {
            course.renew_at = None;
            course.wanted.get_or_insert(None);
        }
        Ok(())
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
