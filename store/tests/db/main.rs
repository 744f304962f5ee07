//! The store against a real Postgres, as the role that the server logs in with.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "../support/mod.rs"]
mod support;

mod again;
mod audit;
mod authorities;
mod bounds;
mod build;
mod cancelled;
mod catalogue;
mod devices;
mod feed;
mod history;
mod idempotency;
mod invitations;
mod inviters;
mod join;
mod journal;
mod look;
mod meshes;
mod messages;
mod migrations;
mod observations;
mod password_resets;
mod pool;
mod proxies;
mod quotas;
mod rebind;
mod references;
mod replicas;
mod reseal;
mod resources;
mod revisions;
mod revocations;
mod rights;
mod rollout;
mod rotations;
mod second_factors;
mod sessions;
mod snapshot;
mod still;
mod tenancy;
mod tokens;
mod turned_away;
mod usage;
mod webhooks;
