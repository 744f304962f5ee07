//! Where the traits of other crates meet the store: local types, so that neither side learns of the other.

mod authorities;
pub(crate) mod ephemeral_proxies;
mod identities;
mod mesh_source;
mod replica;
mod rotations;
mod session_sealer;

pub(crate) use authorities::{Authorities, Maker};
pub(crate) use identities::Identities;
pub(crate) use mesh_source::MeshSource;
pub(crate) use replica::Replica;
pub(crate) use rotations::Rotations;
pub(crate) use session_sealer::SessionSealer;
