//! Serves named, opaque resources to subscribers. Knows nothing of meshes, Envoy's messages or sockets.
//!
//! A [`view::View`] says what one subscriber may have, a [`session::Session`] what it has and what to send next.
//! Everything here is sans-io: time comes in as a parameter, messages go in and out as plain structs.

pub mod kind;
pub mod resource;
pub mod session;
pub mod view;
