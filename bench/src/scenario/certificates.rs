//! S9: certificates for keys that stay where they were made, each durable in the journal before it is signed; beside what this
//! machine can sign without any of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use rcgen::{CertificateParams, KeyPair, SigningKey as _};
use sqlx::Connection as _;

use super::Size;
use crate::heddle::Heddle;
use crate::members::service;
use crate::process::{Usage, cpu_of_family};
use crate::report::Report;
use crate::stream::Connection;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Certificates {
    /// Workloads that ask at the same time, each over a connection of its own
    #[arg(long, default_value_t = 128)]
    pub(crate) callers: usize,
    /// Certificates of each proxy that are measured, after its first; the server lets nine follow at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(crate) each: u32,
}

const ISSUE: &str = "/heddle.identity.v1.Certificates/Issue";
/// How long a bare signature is measured.
const RAW: Duration = Duration::from_secs(1);
/// About as many bytes as are signed for a leaf.
const SIGNED: usize = 420;

#[derive(Clone, PartialEq, Message)]
struct Caller {
    #[prost(string, tag = "1")]
    proxy: String,
    #[prost(string, tag = "2")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct IssueRequest {
    #[prost(message, optional, tag = "1")]
    caller: Option<Caller>,
    #[prost(bytes = "vec", tag = "2")]
    request: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct IssueResponse {
    #[prost(string, tag = "5")]
    serial: String,
}

/// The n-th proxy asks for its key, as a frame of gRPC.
fn ask(number: usize, csr: &[u8]) -> Bytes {
    let request = IssueRequest {
        caller: Some(Caller {
            proxy: format!("w{number:05}"),
            service: service(0),
        }),
        request: csr.to_vec(),
    };
    let length = request.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&request.encode_to_vec());
    frame.freeze()
}

/// Signatures a second with so many threads, and nothing else.
fn raw(threads: usize) -> anyhow::Result<f64> {
    let sign = || -> anyhow::Result<u64> {
        let key = KeyPair::generate()?;
        let (began, message) = (Instant::now(), [7_u8; SIGNED]);
        let mut done = 0;
        while began.elapsed() < RAW {
            std::hint::black_box(key.sign(&message)?);
            done += 1;
        }
        Ok(done)
    };
    let done: anyhow::Result<Vec<u64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(sign)).collect();
        let joined = threads.into_iter().map(|thread| {
            let done = thread.join();
            done.unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
        });
        joined.collect()
    });
    Ok(done?.iter().sum::<u64>() as f64 / RAW.as_secs_f64())
}

/// Everybody who asks, and the certificates that they have asked for so far.
struct Load {
    connections: Vec<Connection>,
    token: Arc<str>,
    frames: Vec<Bytes>,
}

impl Load {
    /// Each proxy asks so often, its turns spread over the whole. How long each took, shortest first, and all of it.
    async fn run(&self, times: usize) -> anyhow::Result<(Vec<Duration>, Duration)> {
        let all = times * self.frames.len();
        let next = AtomicUsize::new(0);
        let began = Instant::now();
        let callers = self.connections.iter().map(|connection| {
            let next = &next;
            async move {
                let mut took = Vec::with_capacity(all / self.connections.len() + 1);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= all {
                        return anyhow::Ok(took);
                    }
                    let frame = &self.frames[number % self.frames.len()];
                    let began = Instant::now();
                    let answer = connection.unary(ISSUE, &self.token, frame.clone()).await?;
                    took.push(began.elapsed());
                    let answer = IssueResponse::decode(answer)?;
                    anyhow::ensure!(!answer.serial.is_empty(), "a certificate without a number");
                }
            }
        });
        let took = futures::future::try_join_all(callers).await?;
        let elapsed = began.elapsed();
        let mut took: Vec<Duration> = took.into_iter().flatten().collect();
        took.sort_unstable();
        Ok((took, elapsed))
    }
}

/// Runs it.
///
/// # Errors
/// Something does not work at all, or the journal has another number of rows than certificates came; a bar that is missed is no error.
pub(super) async fn run(size: &Size, report: &mut Report) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    report.number("raw_signatures_per_s_one_core", raw(1)?);
    let bare = raw(cores)?;
    report.number("raw_signatures_per_s", bare);
    let heddle = Heddle::start(&size.heddled).await?;
    let tokens = heddle.org.fill(1, 0).await?;
    let target = heddle.target()?;
    let callers = size.certificates.callers.max(1);
    let mut connections = Vec::with_capacity(callers);
    for number in 0..callers {
        connections.push(Connection::open(&target, number, 0).await?);
    }
    let csr = CertificateParams::default().serialize_request(&KeyPair::generate()?)?;
    let load = Load {
        connections,
        token: tokens[0].clone(),
        frames: (0..size.proxies)
            .map(|number| ask(number, csr.der()))
            .collect(),
    };
    // The first of a proxy makes it known, which is another thing.
    let (first, elapsed) = load.run(1).await?;
    report.count("proxies", size.proxies);
    report.count("callers", callers);
    report.number("first_per_s", first.len() as f64 / elapsed.as_secs_f64());
    heddle.analyze().await?;

    let server = heddle.server_pid().context("the server runs")?;
    let database = heddle.postgres_pid().context("the database runs")?;
    let before = (Usage::of(server), cpu_of_family(database));
    let (took, elapsed) = load.run(size.certificates.each as usize).await?;
    let after = (Usage::of(server), cpu_of_family(database));
    let count = took.len() as f64;
    let per_second = count / elapsed.as_secs_f64();
    report.count("certificates", took.len());
    report.number("certificates_per_s", per_second);
    report.times("certificate", &took);
    report.number("share_of_raw_percent", per_second / bare * 100.0);
    report.number(
        "server_cpu_us_per_certificate",
        after.0.cpu_since(before.0).as_secs_f64() * 1e6 / count,
    );
    report.number(
        "database_cpu_us_per_certificate",
        after.1.saturating_sub(before.1).as_secs_f64() * 1e6 / count,
    );
    // Durable: the rows are in the journal, each in its chain.
    let (_, superuser) = heddle.database_urls();
    let mut connection = sqlx::PgConnection::connect(&superuser).await?;
    let rows: i64 =
        sqlx::query_scalar("select count(*) from heddle.certificates where seq is not null")
            .fetch_one(&mut connection)
            .await?;
    connection.close().await?;
    let came = first.len() + took.len();
    anyhow::ensure!(
        usize::try_from(rows)? == came,
        "{came} certificates came, and {rows} are in the journal"
    );
    drop(load);
    heddle.stop().await
}
