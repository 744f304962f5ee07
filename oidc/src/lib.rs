//! Signing in by somebody else's word: the relying party of OpenID Connect, for the authorization code flow with PKCE.
//!
//! What lives here: what a provider says of itself and its keys, the address that a browser is sent to, what comes back from it, and whether
//! an ID token is one. Out comes an [`Identity`]: the one statement about a person that the rest of the server takes from outside.
//!
//! What does not: who that person is here, sessions, rows, HTTP of ours. It depends on `model` for a clock and on `egress` for calls, and
//! `api` depends on it.
//!
//! Everything that has to be equal at both ends of a sign-in is derived from one secret that the browser keeps ([`Attempt`]), so that whoever
//! comes back with a code without it is not who began.
#![warn(missing_docs)]

mod attempt;
mod check;
mod client;
mod exchange;
mod id_token;
mod keys;
mod metadata;
mod providers;
mod refused;
mod returned;

pub use attempt::Attempt;
pub use check::{Check, Checked};
pub use client::Client;
pub use id_token::{Identity, Invalid};
pub use metadata::{BadIssuer, Issuer};
pub use providers::{Asking, Providers};
pub use refused::Refused;
pub use returned::Returned;
