//! The certificate authority as a process of its own: what is said over its socket, and both ends of it.
//!
//! gRPC over a Unix socket, which only its owner and its group reach. What can be said is all there is in [`wire`]: who has
//! proved to be whom goes in, what anybody may see or what is sealed comes out.

mod client;
mod server;
mod wire;

pub(crate) use client::Remote;
pub(crate) use server::{Desk, serve};
