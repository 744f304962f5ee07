//! The sealing keys that a restored database needs. No backup has them.

use anyhow::{Context as _, bail};

use super::is_there;
use crate::backup::manifest::Manifest;
use crate::config::{Config, Settings};
use crate::up::data_dir::DataDir;
use crate::up::files::write_private;

/// What the settings say, or what lies in the data directory already; nothing is made.
///
/// # Errors
/// There is none, or a file is not there.
pub(super) fn find(mut settings: Settings, data: &DataDir) -> anyhow::Result<Config> {
    let named = settings.sealing_key_file.clone();
    if let Some(file) = named.filter(|file| !is_there(file)) {
        bail!("there is no sealing key {}", file.display());
    }
    if settings.sealing_key_file.is_none() && settings.sealing_key.is_none() {
        let own = data.sealing_key();
        if !is_there(&own) {
            bail!(
                "there is no sealing key: put it to {}, or name it with --sealing-key or --sealing-key-file",
                own.display()
            );
        }
        settings.sealing_key_file = Some(own);
    }
    // Keys that are here are needed here, whoever signs later.
    settings.ca_socket = None;
    // The one that is restored; see there.
    settings.database_url = Some("postgres:///".to_owned());
    Config::settle(settings)
}

/// Before anything is copied: are all keys there that the backup says it needs?
///
/// # Errors
/// One is missing: the error names it. Or one cannot be opened.
pub(super) fn require(config: &Config, manifest: &Manifest) -> anyhow::Result<()> {
    let have: Vec<String> = config
        .sealing
        .open()?
        .opening()
        .map(|id| id.to_string())
        .collect();
    let missing: Vec<(String, u64)> = manifest
        .sealing_keys
        .iter()
        .filter(|key| !have.contains(&key.id))
        .map(|key| (key.id.clone(), key.sealed))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => bail!(complaint(&missing)),
    }
}

/// Which keys are missing, and what for.
pub(super) fn complaint(missing: &[(String, u64)]) -> String {
    let each = missing.iter().map(|(id, sealed)| {
        let keys = if *sealed == 1 { "key is" } else { "keys are" };
        format!("the sealing key {id}, under which {sealed} private {keys} sealed, is missing")
    });
    let each: Vec<String> = each.collect();
    format!(
        "{}: name it with --sealing-key, or among --sealing-keys-before",
        each.join("; ")
    )
}

/// Puts a key that was named as a file to where `heddled up` looks for it, which would make a new one otherwise.
///
/// # Errors
/// It cannot be written.
pub(super) fn keep(settings: &Settings, data: &DataDir) -> anyhow::Result<()> {
    let own = data.sealing_key();
    let file = settings.sealing_key_file.clone().or_else(|| {
        let path = settings.sealing_key.as_deref()?.strip_prefix("file:")?;
        Some(path.into())
    });
    if let Some(file) = file.filter(|_| !is_there(&own)) {
        let key = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        write_private(&own, zeroize::Zeroizing::new(key).as_slice())?;
    }
    Ok(())
}
