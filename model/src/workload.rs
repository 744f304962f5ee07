//! The workloads of a mesh: what is where right now. Soft state, outside the revisions.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::id::ProxyId;
use crate::name::Name;

/// One instance of a service: where its proxy takes calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The proxy in front of it.
    pub proxy: ProxyId,
    /// Which version of the service it runs, if it says so.
    pub version: Option<Name>,
    /// Where other proxies reach it.
    pub address: IpAddr,
    /// The port of the proxy's inbound listener for each port of the service.
    pub ports: BTreeMap<Name, u16>,
    /// Whether it gets new calls.
    pub health: Health,
}

/// Whether a workload gets new calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Healthy,
    /// It finishes those it has.
    Draining,
}

/// All endpoints of a mesh by service, each list in the order of proxy ids.
pub type Endpoints = BTreeMap<Name, BTreeMap<ProxyId, Endpoint>>;
