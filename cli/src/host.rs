//! What is on this host: the files that an Envoy starts with, and the Envoy itself.

pub(crate) mod admin;
pub(crate) mod bootstrap;
pub(crate) mod envoy;
pub(crate) mod files;
