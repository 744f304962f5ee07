//! How far a proxy is with what it should have.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use heddle_model::id::ProxyId;
use heddle_model::kind::Kind as ModelKind;
use heddle_model::name::Name;
use heddle_model::workload::Endpoint;

/// An object and field that a rejected resource came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NackOrigin {
    /// The kind of object.
    pub kind: ModelKind,
    /// Its identifier.
    pub id: String,
    /// Its name with its parents ("payments/all").
    pub name: String,
    /// The field, as a JSON pointer into the object; empty for the whole of it.
    pub pointer: String,
    /// The mesh revision that wrote the object last.
    pub revision: u64,
}

/// A resource that a proxy refuses; it keeps the last good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// "cds", "eds", "lds", "rds" or "sds".
    pub kind: &'static str,
    /// The name of the resource.
    pub resource: String,
    /// The refused version.
    pub version: String,
    /// What caused it, where that is known.
    pub origin: Option<NackOrigin>,
    /// Envoy's words: at most 4 KiB, control characters escaped. Text from outside.
    pub message: String,
    /// When it was refused first.
    pub at: DateTime<Utc>,
}

/// How a proxy is set up, by its own words: what decides which listeners it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Where its listeners bind.
    pub bind_address: IpAddr,
    /// Where its application listens.
    pub app_address: IpAddr,
    /// The port of the outbound listener.
    pub outbound_port: u16,
    /// The port of the inbound listener for each port of the service.
    pub inbound_ports: BTreeMap<Name, u16>,
}

/// What is known of a proxy right now; a later status of the same proxy replaces an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyStatus {
    /// Which proxy.
    pub proxy: ProxyId,
    /// Whether it has a stream.
    pub connected: bool,
    /// Whether it keeps its own listeners, beside what it gets.
    pub augments: bool,
    /// Where it takes calls; `None` means that it is no endpoint (any more).
    pub registration: Option<Endpoint>,
    /// How long the registration holds without further news. Long, because a control plane that is down must
    /// not empty clusters: a proxy that left is withdrawn explicitly.
    pub lease_until: Option<DateTime<Utc>>,
    /// The Envoy's version, if it says so.
    pub envoy_version: Option<String>,
    /// What decides its listeners; `None`: as before.
    pub setup: Option<Setup>,
    /// The serial number of the leaf that it has acknowledged; `None`: as before.
    pub leaf_serial: Option<String>,
    /// The newest mesh revision of which it has acknowledged everything. While it is connected, no more than `target_revision`:
    /// when the two are equal it is as far as the server, see [`SnapshotSource::checkpoint`].
    pub acked_revision: Option<u64>,
    /// The mesh revision that gave it the configuration that it should have; later ones do not concern it.
    pub target_revision: Option<u64>,
    /// Types with something that is not acknowledged, in the order CDS, EDS, LDS, RDS, SDS.
    pub pending_types: Vec<&'static str>,
    /// What it refuses right now.
    pub nacks: Vec<Nack>,
    /// When this was true.
    pub seen_at: DateTime<Utc>,
}
