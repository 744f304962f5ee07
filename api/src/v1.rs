//! Version 1 of the API: one file per noun.

pub(crate) mod access_rules;
pub(crate) mod apply;
pub(crate) mod audit_log;
pub(crate) mod bootstrap;
pub(crate) mod codes;
pub(crate) mod devices;
pub(crate) mod effective;
pub(crate) mod events;
pub(crate) mod join_tokens;
pub(crate) mod members;
pub(crate) mod meshes;
pub(crate) mod permissions;
pub(crate) mod principals;
pub(crate) mod profiles;
pub(crate) mod proxies;
pub(crate) mod revisions;
pub(crate) mod role_bindings;
pub(crate) mod rollbacks;
pub(crate) mod rollout;
pub(crate) mod routes;
pub(crate) mod service_accounts;
pub(crate) mod services;
pub(crate) mod sessions;
pub(crate) mod splits;
pub(crate) mod tokens;
pub(crate) mod whoami;
