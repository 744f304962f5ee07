//! The schema.

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// Brings the schema up to date, as the role that owns it. Harmless when it is.
///
/// # Errors
/// The database cannot be reached or refuses.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let url = config
        .migrate_database_url
        .as_ref()
        .unwrap_or(&config.database_url);
    heddle_store::migrate(url.expose_secret())
        .await
        .context("migrate the database")
}
