//! Where the traits of other crates meet the store: local types, so that neither side learns of the other.

mod authorities;
pub(crate) mod authority_watch;
mod certifier;
pub(crate) mod database_watch;
mod directory;
pub(crate) mod ephemeral_proxies;
mod identities;
pub(crate) mod journal_watch;
mod key_sealer;
mod mesh_source;
pub(crate) mod observations;
mod replica;
mod rotations;
mod sealed;
pub(crate) mod usage;

pub(crate) use authorities::{Authorities, Maker};
pub(crate) use certifier::KeyCertifier;
pub(crate) use directory::{Directory, Meshes};
pub(crate) use identities::Identities;
pub(crate) use key_sealer::LocalSealer;
pub(crate) use mesh_source::MeshSource;
pub(crate) use replica::Replica;
pub(crate) use rotations::Rotations;
pub(crate) use sealed::sealed_for;
