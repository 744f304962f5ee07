//! The schema.

use std::io::Write as _;

use anyhow::Context as _;
use heddle_store::newest_schema;
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// Brings the schema up to date, as the role that owns it, and says what it is now. Harmless when it is.
///
/// # Errors
/// The database cannot be reached or refuses.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let url = config
        .migrate_database_url
        .as_ref()
        .unwrap_or(&config.database_url);
    let done = heddle_store::migrate(url.expose_secret())
        .await
        .context("migrate the database")?;
    let mut out = std::io::stdout().lock();
    match (done.applied, done.schema) {
        (0, schema) if schema > newest_schema() => writeln!(
            out,
            "the schema is at {schema}, newer than this version, which goes on with it: nothing to do"
        )?,
        (0, schema) => writeln!(out, "the schema is at {schema}: nothing to do")?,
        (1, schema) => writeln!(out, "the schema is at {schema}: 1 migration applied")?,
        (n, schema) => writeln!(out, "the schema is at {schema}: {n} migrations applied")?,
    }
    Ok(())
}
