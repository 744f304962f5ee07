//! Version 1 of the API: one file per noun.

pub(crate) mod access_rules;
pub(crate) mod bootstrap;
pub(crate) mod codes;
pub(crate) mod join_tokens;
pub(crate) mod meshes;
pub(crate) mod proxies;
pub(crate) mod routes;
pub(crate) mod services;
pub(crate) mod splits;
pub(crate) mod whoami;
