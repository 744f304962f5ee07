//! The schema.

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// Brings the schema up to date. Harmless when it is.
///
/// # Errors
/// The database cannot be reached or refuses.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    heddle_store::migrate(config.migrate_database_url.expose_secret())
        .await
        .context("migrate the database")
}
