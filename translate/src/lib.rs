//! From what a mesh is to what its Envoys are told. Pure and deterministic: the same snapshot gives the same
//! bytes on every replica, and with them the same versions.
//!
//! Here live the names of every Envoy resource ([`naming`]), the resources themselves with their provenance,
//! the bootstrap that a proxy starts with ([`bootstrap`]) and the reading of what Envoy says about a resource
//! that it refuses ([`explain_nack`]). What does not live here: streams, subscriptions, keys, the database;
//! no I/O of any kind.
//!
//! `xds-server`, `api`, `heddle` and `heddled` may depend on this crate; it depends on `model` alone.
//!
//! A new setting is one file in `settings/` and one line in `settings.rs`; a new access condition belongs to
//! `rbac.rs`; a new name to `naming.rs` and nowhere else.
#![warn(missing_docs)]

pub mod bootstrap;
pub mod naming;

mod cluster;
mod endpoints;
mod envoy;
mod matching;
mod mesh;
mod mtls;
mod nack;
mod origin;
mod outbound;
mod proxy;
mod rbac;
mod readable;
mod reports;
mod resource;
mod secret;
mod settings;
mod tcp;
mod whole;

pub use endpoints::endpoints;
pub use mesh::{Reach, clusters, hosts, local_ports, mesh, outbound_of, outbound_to_all, reach};
pub use nack::explain_nack;
pub use outbound::Hosts;
pub use proxy::{ListenerPlaces, ProxyView, proxy};
#[doc(hidden)]
pub use readable::everything;
pub use readable::readable;
pub use reports::ReportsTo;
pub use resource::{Diagnostic, Options, Origin, Output, Resource, ResourceKey, ResourceType};
pub use secret::{identity_secret, trust_secret};
pub use tcp::LocalPorts;
pub use whole::{whole, whole_of_service};
