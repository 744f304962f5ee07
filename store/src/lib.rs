//! Postgres: the truth about organisations, their meshes and everything in them.
//!
//! What lives here: every query, one file for each noun; the only ways to a connection ([`Store::begin`] with a
//! [`Grant`], the functions that name a [`MeshRef`], and the two doors); what turns a credential into a [`Caller`];
//! the migrations.
//!
//! What does not: rules about content (`model`), HTTP, Envoy. No query stands anywhere else, and nobody else sees
//! a pool or a row.
//!
//! Who may depend on it: `api`, `jobs`, `heddled`, `tests`. It depends on `model` alone.
//!
//! How tenancy is kept: a transaction runs as the role `heddle_tenant` (the certificate authority's as `heddle_issuer`, which
//! may do less) for exactly one organisation, and every table is
//! under forced row-level security, so no query here needs to say (or could forget) whose rows it means. The
//! pieces that prove whose they are have no public constructor: a [`Caller`] comes from [`Store::authenticate`], or from
//! [`Store::authenticate_reading`] or [`Store::enter`] with a transaction that can only go on in the caller's organisation,
//! or from [`Store::look`] with what was asked for, shut until a grant opens it; a [`Grant`]
//! from [`Caller::grant`], a [`MeshRef`] from the feed, a join token or a transaction.
//!
//! A transaction that was granted for reading has no writing functions. This compiles:
//!
//! ```no_run
//! # use heddle_model::authz::permission::{ConfigRead, ConfigWrite};
//! # use heddle_store::{Caller, Store, resources};
//! # async fn example(store: Store, caller: Caller, at: resources::Address<'_>) -> anyhow::Result<()> {
//! let mut tx = store.begin(&caller.grant::<ConfigWrite>("-")?).await?;
//! resources::delete(&mut tx, &at, &resources::Precondition::None).await?;
//! # Ok(())
//! # }
//! ```
//!
//! and this does not:
//!
//! ```compile_fail,E0271
//! # use heddle_model::authz::permission::{ConfigRead, ConfigWrite};
//! # use heddle_store::{Caller, Store, resources};
//! # async fn example(store: Store, caller: Caller, at: resources::Address<'_>) -> anyhow::Result<()> {
//! let mut tx = store.begin(&caller.grant::<ConfigRead>("-")?).await?;
//! resources::delete(&mut tx, &at, &resources::Precondition::None).await?;
//! # Ok(())
//! # }
//! ```
//!
//! To add a noun: one migration, one file of functions here, one line below.
#![warn(missing_docs)]

mod allowance;
mod authz;
mod changes;
mod error;
mod gather;
mod lease;
mod links;
mod look;
mod migrate;
mod orgs;
mod origin;
mod password;
mod principals;
mod pulse;
mod rights;
mod secret;
mod session_keys;
mod snapshot;
mod store;
mod strangers;
mod throttle;
mod tx;
mod uses;

pub mod admin;
pub mod audit;
pub mod authorities;
pub mod authority_requests;
pub mod backups;
pub mod certificates;
pub mod devices;
pub mod idempotency;
pub mod identities;
pub mod invitations;
pub mod join_tokens;
pub mod listing;
pub mod live;
pub mod mails;
pub mod members;
pub mod meshes;
pub mod observations;
pub mod password_resets;
pub mod proxies;
pub mod quotas;
pub mod replicas;
pub mod reseal;
pub mod resources;
pub mod restored;
pub mod revisions;
pub mod revocations;
pub mod role_bindings;
pub mod rollbacks;
pub mod rotations;
pub mod second_factors;
pub mod service_accounts;
pub mod sessions;
pub mod sign_in_policy;
pub mod sso_connections;
pub mod sso_sign_ins;
pub mod tokens;
pub mod usage;
pub mod webhooks;

pub use authz::{Caller, Denied, Grant, MeshRef, Opened, Principal};
pub use changes::{Feed, FeedPosition, MeshHead};
pub use error::{Cause, Error, Result};
pub use links::Unusable;
pub use look::{Entered, Looked, Page, Seen, Sought};
pub use migrate::{Migrated, migrate, migrate_to, newest as newest_schema};
pub use orgs::org_name;
pub use origin::{Note, Visitor};
pub use password::draw_password;
pub use principals::PrincipalRow;
pub use pulse::Pulse;
pub use rights::{Bound, Reach, Rights};
pub use session_keys::{KeySealer, rotate as rotate_session_keys};
pub use snapshot::Loaded;
pub use store::{Moved, Options, Store, guarded};
pub use tx::{Committed, Tx};
pub use uses::Use;
