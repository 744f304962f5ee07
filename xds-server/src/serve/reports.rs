//! What proxies report of requests that they took: OpenTelemetry's `LogsService`, on the port of the discovery services. And whether
//! they could report, which they say by gRPC's own health check: it tells that nobody calls from that nobody looks.
//!
//! Whoever reports is known by the certificate that it has in its mesh, and only what is about its own service is counted. Counting is
//! in memory, for a second; what comes too fast, or cannot be kept then, is lost and counted as that, and whoever told of it is heard anew
//! from then on, so that nobody takes what is missing for nothing.

mod record;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heddle_model::code::Code;
use heddle_model::id::{OrgId, ProxyId};
use http::HeaderMap;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic_prost::ProstCodec;

use super::allowance::Allowance;
use super::certificates::{Asked, in_time};
use super::connection::{self, Server};
use super::exchange::Upload;
use super::refuse;
use crate::source::{MeshKey, Proxy, Reported};
use crate::telemetry::{self, Outcome};

use record::{Answer, Export};

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The largest message that is read, in bytes. Envoys gather sixteenths of that.
const MESSAGE: usize = 256 << 10;
/// How many messages of a proxy are read at once, and how long until another one is.
const AT_ONCE: u32 = 100;
const EVERY: Duration = Duration::from_millis(20);
/// How long a message may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is gathered what is kept together, and how long keeping it may take.
const GATHER: Duration = Duration::from_secs(1);
const KEEP: Duration = Duration::from_secs(5);
/// For how long it is said of a mesh that something was lost. Whose reports cannot be kept for longer than that was not heard, either.
const FAILING: Duration = Duration::from_secs(300);
/// How many different sightings are gathered at most, of one organisation and of one mesh, so that none takes the place of all others.
const GATHERED: usize = 20_000;
const GATHERED_OF_ORG: usize = 4_000;
const GATHERED_OF_MESH: usize = 2_000;
/// For how long it is believed who a connection is of: as long as a revoked proxy may keep its stream, give or take.
const BELIEVED: Duration = Duration::from_secs(10);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Export,
    Check,
}

impl Call {
    /// The call at a path, if it is one of these.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            EXPORT => Some(Self::Export),
            CHECK => Some(Self::Check),
            _ => None,
        }
    }
}

/// The certificate that the other end of a connection has shown.
pub(super) struct Shown {
    certificate: Vec<u8>,
    known: tokio::sync::Mutex<Option<Known>>,
}

/// Whose it is, in the mesh that the connection is about; that was asked then.
struct Known {
    mesh: MeshKey,
    proxy: Option<Proxy>,
    asked: Instant,
}

impl Shown {
    pub(super) fn new(certificate: &[u8]) -> Self {
        Self {
            certificate: certificate.to_owned(),
            known: tokio::sync::Mutex::default(),
        }
    }
}

/// What all connections share of it.
pub(super) struct Desk {
    allowance: Allowance,
    gathered: Mutex<Gathered>,
    something: Notify,
}

#[derive(Default)]
struct Gathered {
    meshes: BTreeMap<MeshKey, Reported>,
    sightings: usize,
    of_orgs: BTreeMap<OrgId, usize>,
}

/// Meshes of which nothing can be kept, since then.
type Failing = BTreeMap<MeshKey, Instant>;

impl Gathered {
    /// Whether there is room for one more sighting in a mesh, which is taken then.
    fn take_room(&mut self, mesh: MeshKey) -> bool {
        let of_mesh = self.meshes.get(&mesh).map_or(0, |one| one.seen.len());
        let of_org = self.of_orgs.entry(mesh.org).or_default();
        let room =
            self.sightings < GATHERED && *of_org < GATHERED_OF_ORG && of_mesh < GATHERED_OF_MESH;
        if room {
            self.sightings += 1;
            *of_org += 1;
        }
        room
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            allowance: Allowance::new(AT_ONCE, EVERY),
            gathered: Mutex::default(),
            something: Notify::new(),
        }
    }
}

impl Desk {
    fn add(&self, proxy: &Proxy, asked: &Export) {
        // Read before anybody has to wait for it.
        let mut seen = Vec::new();
        for record in asked.records() {
            match record.read(&proxy.service) {
                Ok(read) => seen.extend(read),
                Err(outcome) => telemetry::reported(outcome, 1),
            }
        }
        let mut counts = [(Outcome::Counted, 0), (Outcome::TooMany, 0)];
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered
            .meshes
            .entry(proxy.mesh)
            .or_default()
            .heard
            .insert(proxy.proxy);
        for (sighting, times) in seen {
            let reported = gathered.meshes.get_mut(&proxy.mesh);
            let before = reported.and_then(|one| one.seen.get_mut(&sighting));
            if let Some(before) = before {
                before.requests += times.requests;
                before.refused += times.refused;
            } else {
                let room = gathered.take_room(proxy.mesh);
                let reported = gathered.meshes.entry(proxy.mesh).or_default();
                if !room {
                    reported.lost.insert(proxy.proxy);
                    counts[1].1 += 1;
                    continue;
                }
                reported.seen.insert(sighting, times);
            }
            counts[0].1 += 1;
        }
        drop(gathered);
        for (outcome, count) in counts {
            telemetry::reported(outcome, count);
        }
        self.something.notify_one();
    }

    /// Something that these have told of is not counted.
    fn lose(&self, mesh: MeshKey, proxies: impl IntoIterator<Item = ProxyId>) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = &mut gathered.meshes.entry(mesh).or_default().lost;
        lost.extend(proxies);
    }

    fn take(&self) -> BTreeMap<MeshKey, Reported> {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *gathered).meshes
    }
}

/// Keeps what is gathered, until there are no connections any more.
pub(super) async fn keep(server: Arc<Server>, ended: CancellationToken) {
    let mut last = false;
    let mut failing = Failing::new();
    while !last {
        let gather = async {
            server.reports.something.notified().await;
            tokio::time::sleep(GATHER).await;
        };
        last = tokio::select! {
            () = ended.cancelled() => true,
            () = gather => false,
        };
        for (mesh, reported) in server.reports.take() {
            let lost = reported.seen.len() as u64;
            let mut told = reported.heard.clone();
            told.extend(&reported.lost);
            let source = &server.hub.parts().source;
            let kept = tokio::time::timeout(KEEP, source.reported(mesh, reported));
            let cause = match kept.await {
                Ok(Ok(())) => {
                    failing.remove(&mesh);
                    continue;
                }
                Ok(Err(error)) => format!("{error}: {}", error.source),
                Err(_) => format!("not within {} seconds", KEEP.as_secs()),
            };
            telemetry::reported(Outcome::Lost, lost);
            if failing.entry(mesh).or_insert_with(Instant::now).elapsed() < FAILING {
                // Kept with the next report that comes.
                server.reports.lose(mesh, told);
            } else {
                failing.remove(&mesh);
            }
            tracing::warn!(org.id = %mesh.org, mesh.id = %mesh.mesh, cause, "what proxies reported is lost");
        }
    }
}

/// Answers somebody who has no token.
pub(super) async fn answer(
    connection: connection::Call,
    call: Call,
    request: http::Request<Upload>,
) -> http::Response<Body> {
    let proxy = match who(&connection, request.headers()).await {
        Ok(proxy) => proxy,
        Err(status) => {
            telemetry::reported(Outcome::Unauthenticated, 1);
            return status.into_http();
        }
    };
    let desk = &connection.server.reports;
    match call {
        Call::Check => {
            desk.add(&proxy, &Export::default());
            let check = Asked(|_: record::Check| async { Ok::<_, Status>(Answer::SERVING) });
            let codec = ProstCodec::<Answer, record::Check>::default();
            let mut grpc = Grpc::new(codec).max_decoding_message_size(MESSAGE);
            in_time(PATIENCE, grpc.unary(check, request)).await
        }
        Call::Export => {
            if !desk.allowance.takes(proxy.proxy) {
                telemetry::reported(Outcome::TooMany, 1);
                desk.lose(proxy.mesh, [proxy.proxy]);
                return Status::resource_exhausted("too many records").into_http();
            }
            let server = Arc::clone(&connection.server);
            let export = Asked(move |asked: Export| {
                server.reports.add(&proxy, &asked);
                async { Ok::<_, Status>(Answer::TAKEN) }
            });
            let codec = ProstCodec::<Answer, Export>::default();
            let mut grpc = Grpc::new(codec).max_decoding_message_size(MESSAGE);
            let answer = in_time(PATIENCE, grpc.unary(export, request)).await;
            // Known before anything was answered: it could not be read.
            if answer.headers().contains_key("grpc-status") {
                telemetry::reported(Outcome::Malformed, 1);
            }
            answer
        }
    }
}

/// Who it is, by its certificate. One connection is about one mesh: who names others costs nothing.
async fn who(connection: &connection::Call, headers: &HeaderMap) -> Result<Proxy, Status> {
    let nobody = || refuse::code(Code::Unauthenticated);
    let shown = connection.shown.as_ref().ok_or_else(nobody)?;
    let mesh = claimed(headers).ok_or_else(nobody)?;
    let mut known = shown.known.lock().await;
    // Whoever is nobody may be somebody later: its certificate may be newer than what this server has heard.
    let current = known.as_ref().filter(|known| {
        let settled = known.mesh != mesh && known.proxy.is_some();
        settled || known.asked.elapsed() < BELIEVED
    });
    if let Some(known) = current {
        let proxy = known.proxy.clone().filter(|_| known.mesh == mesh);
        return proxy.ok_or_else(nobody);
    }
    let source = &connection.server.hub.parts().source;
    let proxy = source.reporter(mesh, &shown.certificate).await;
    let proxy = proxy.map_err(|error| refuse::failed("recognise a certificate", &error))?;
    if proxy.is_some() {
        connection.link.know();
    }
    *known = Some(Known {
        mesh,
        proxy: proxy.clone(),
        asked: Instant::now(),
    });
    proxy.ok_or_else(nobody)
}

/// The mesh that a report names.
fn claimed(headers: &HeaderMap) -> Option<MeshKey> {
    let text = headers.get(heddle_translate::naming::REPORTS_MESH)?;
    let (org, mesh) = text.to_str().ok()?.split_once('/')?;
    Some(MeshKey {
        org: org.parse().ok()?,
        mesh: mesh.parse().ok()?,
    })
}
