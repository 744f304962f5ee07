//! What a mesh is: the nouns, their fields, their rules. Pure: no I/O, nothing async.
//!
//! Here live typed identifiers, validated newtypes, the declarative kinds with their validation, the settings
//! and how their levels resolve, the whole authorisation policy and the snapshot that translation reads.
//! What does not live here: anything that knows of Postgres, HTTP, Envoy or keys.
//!
//! Every crate of ours may depend on this one; it depends on none of them. A new kind is one file in `kind/`
//! and one line in `kind.rs`; a new setting is one file in `settings/` and one field in `settings.rs`.
#![warn(missing_docs)]

pub mod access;
pub mod advisory;
pub mod authz;
pub mod clock;
pub mod code;
pub mod diff;
pub mod duration;
pub mod email;
pub mod envoy;
pub mod filter;
pub mod guardrails;
pub mod id;
pub mod kind;
pub mod manager;
pub mod merge;
pub mod mtls;
pub mod name;
pub mod net;
pub mod path;
pub mod quota;
pub mod settings;
pub mod snapshot;
pub mod violation;
pub mod wire;
pub mod workload;
