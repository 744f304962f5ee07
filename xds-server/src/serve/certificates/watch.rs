//! One who watches: told at once, and again when that is no longer true.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use heddle_identity::{WatchRequest, WatchResponse};
use tonic::Status;

use super::circle::{Member, Place, version};
use super::{ders, join};
use crate::serve::connection;
use crate::serve::refuse;
use crate::source::Proxy;
use crate::trust::{Held, Trust};

/// When to replace what is held: nothing is known but what was said at its issue, and at once. A constant, so that it is said once.
const AS_ISSUED: i64 = 0;
const NOW: i64 = 1;

/// How long until the journal is asked again, when it could not be.
const AGAIN: Duration = Duration::from_secs(10);

/// The longest version that is read, in bytes: ours have 32.
const LONGEST_VERSION: usize = 64;

/// What whoever has to make room is told.
const OUSTED: &str = "others watch under the same name";

/// What it holds, and what it was told.
struct Watcher {
    connection: connection::Call,
    proxy: Proxy,
    trust_domain: String,
    serial: String,
    place: Place,
    told: Option<WatchResponse>,
    /// What the journal says of the certificate that it holds, once that could be read; it holds no other as long as this lives.
    held: Option<Option<Held>>,
}

/// Lets somebody watch.
pub(super) async fn watch(
    connection: connection::Call,
    token: String,
    asked: WatchRequest,
) -> Result<BoxStream<'static, Result<WatchResponse, Status>>, Status> {
    let joined = join(&connection, &token, asked.caller).await?;
    let server = &connection.server;
    let mesh = joined.proxy.mesh;
    // Both are kept as long as this lives: nothing is kept that cannot be ours.
    let serial = Some(asked.serial).filter(|serial| is_serial(serial));
    let serial = serial.unwrap_or_default();
    let version = Some(asked.version).filter(|version| version.len() <= LONGEST_VERSION);
    let member = Member {
        proxy: joined.proxy.proxy,
        serial: serial.clone(),
        version: version.unwrap_or_default(),
    };
    let circles = &server.certificates.circles;
    let place = circles.enter(server.hub.parts(), mesh, &joined.trust_domain, member);
    let watcher = Watcher {
        proxy: joined.proxy,
        trust_domain: joined.trust_domain,
        serial,
        place,
        told: None,
        held: None,
        connection,
    };
    let told = futures::stream::unfold(Some(watcher), |watcher| async {
        let mut watcher = watcher?;
        match watcher.next().await {
            Ok(response) => Some((Ok(response), Some(watcher))),
            Err(status) => Some((Err(status), None)),
        }
    });
    Ok(told.boxed())
}

fn is_serial(text: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 32 && text.bytes().all(hex)
}

impl Watcher {
    /// The next thing to say; how it ends.
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        loop {
            let seen = self.place.seen.borrow_and_update().clone();
            if let Some(refusal) = seen.refused.get(&self.proxy.proxy) {
                return Err(refuse::refusal(*refusal));
            }
            if let Some(trust) = &seen.trust {
                let response = self.response(trust).await?;
                if self.told.as_ref() != Some(&response) {
                    self.told = Some(response.clone());
                    return Ok(response);
                }
            }
            tokio::select! {
                changed = self.place.seen.changed() => {
                    changed.map_err(|_| refuse::stopping())?;
                }
                () = tokio::time::sleep(AGAIN), if self.held.is_none() => {}
                () = self.place.ousted.cancelled() => return Err(Status::aborted(OUSTED)),
                () = self.connection.link.parts() => return Err(refuse::stopping()),
            }
        }
    }

    async fn response(&mut self, trust: &Trust) -> Result<WatchResponse, Status> {
        let before = self.told.as_ref().map_or(AS_ISSUED, |told| told.renew_at);
        self.look_up().await;
        Ok(WatchResponse {
            trust_domain: self.trust_domain.clone(),
            bundle: ders(&trust.roots)?,
            version: version(trust),
            renew_at: self.renew_at(trust).unwrap_or(before),
        })
    }

    /// When to replace what is held: as was said at its issue, earlier when what signed it gives way, and now when it is no longer good.
    /// `None` while nobody can tell.
    fn renew_at(&self, trust: &Trust) -> Option<i64> {
        if self.serial.is_empty() {
            return Some(AS_ISSUED);
        }
        let Some(held) = self.held? else {
            return Some(NOW);
        };
        let due = trust.replacing.due(held.authority, &self.serial);
        let at = due.map_or(held.renew_at, |due| due.min(held.renew_at));
        Some(at.timestamp())
    }

    /// Asks the journal, once: what it says changes only for whoever is revoked, and that ends this.
    async fn look_up(&mut self) {
        if self.held.is_some() {
            return;
        }
        if self.serial.is_empty() {
            self.held = Some(None);
            return;
        }
        let identities = &self.connection.server.hub.parts().identities;
        let held = identities
            .is_current(&self.proxy, &self.trust_domain, &self.serial)
            .await;
        match held {
            Ok(held) => self.held = Some(held),
            Err(error) => {
                let cause = error.source.to_string();
                tracing::warn!(%error, cause, "cannot look a held certificate up");
            }
        }
    }
}
