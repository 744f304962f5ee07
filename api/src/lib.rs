//! The REST surface: HTTP in, problems or JSON out.
//!
//! Here live credentials -> permission, the decoding of requests, the shapes of answers and the OpenAPI document.
//! What does not live here: rules of the domain (model), SQL (store), Envoy (translate).
//!
//! Only `heddled` depends on this crate. To add an endpoint: a handler in `v1/<noun>.rs` whose first argument is
//! [`auth::Allow`] with its permission, and one line in `router.rs`; without that argument the line does not compile.
#![warn(missing_docs)]

mod accounts;
mod asking;
mod audit_log;
pub mod auth;
mod authorities;
mod authority_requests;
mod certificates;
mod complete;
mod declared;
mod digest;
mod docs;
mod ends;
mod extract;
mod guardrails;
pub mod health;
mod intent;
mod invited;
mod limits;
mod listing;
mod live;
mod mtls;
mod named;
mod note;
mod observations;
mod once;
pub mod openapi;
mod ownership;
mod parameters;
pub mod problem;
mod readiness;
mod request;
mod rotations;
pub mod router;
mod second_steps;
mod single_sign_on;
pub mod state;
mod table;
mod trust_bundle;
mod usage;
mod v1;
mod view;
mod webhooks;

pub use ends::Ends;
pub use limits::{Limits, Rates};
pub use live::Live;
pub use router::{document, router};
pub use state::{App, XdsFacts};
pub use webhooks::message as webhook_message;
