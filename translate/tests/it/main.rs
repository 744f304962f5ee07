//! Translation seen from outside: whole outputs, what Envoy says to them, and what must hold for any input.
#![expect(clippy::unwrap_used, reason = "test code")]

mod any_mesh;
mod bootstrap;
mod case;
mod decisions;
mod envoy;
mod golden;
mod names;
mod properties;
mod protos;
mod readable;
mod shapes;
mod sidecar;
mod tcp;
mod tokens;
mod traffic;
