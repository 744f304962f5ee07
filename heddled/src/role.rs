//! What `heddled` can be: the server, the migration of its schema, the administration of tenants.

pub(crate) mod admin;
pub(crate) mod all;
pub(crate) mod audit;
pub(crate) mod ca;
pub(crate) mod migrate;
pub(crate) mod quota;
pub(crate) mod sealing_keys;
