//! The server as a proxy meets it: real TLS and HTTP/2 on loopback, clients of both protocols, and a source in memory.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "server/access.rs"]
mod access;
#[path = "server/augment.rs"]
mod augment;
#[path = "server/certificates.rs"]
mod certificates;
#[path = "server/changes.rs"]
mod changes;
#[path = "server/client.rs"]
mod client;
#[path = "server/connections.rs"]
mod connections;
#[path = "server/fairness.rs"]
mod fairness;
#[path = "server/hostile.rs"]
mod hostile;
#[path = "server/lifecycle.rs"]
mod lifecycle;
#[path = "server/raw.rs"]
mod raw;
#[path = "server/reports.rs"]
mod reports;
#[path = "server/single.rs"]
mod single;
#[path = "server/sotw.rs"]
mod sotw;
#[path = "server/source.rs"]
mod source;
#[path = "server/tls.rs"]
mod tls;
#[path = "server/world.rs"]
mod world;
