//! The end-to-end tests: real PostgreSQL, the real binary, real Envoys.
#![expect(clippy::unwrap_used, reason = "test code")]

mod access;
mod audit;
mod bad_input;
mod canary;
mod chaos;
mod cli;
mod client;
mod declared;
mod demo;
mod devices;
mod dialects;
mod docs;
mod document;
mod events;
mod history;
mod hosts;
mod identity;
mod isolation;
mod lost;
mod matrix;
mod outage;
mod overlay;
mod parameters;
mod proxies;
mod proxy_config;
mod refused;
mod retries;
mod returns;
mod rollbacks;
mod rollout;
mod routing;
mod schemathesis;
mod scoping;
mod settings;
mod sign_in;
