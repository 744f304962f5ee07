//! The keys that seal all others: which there are, and putting a new one in their place while servers go on.

use std::io::Write as _;

use anyhow::Context as _;
use heddle_ca::Keyring;
use heddle_store::Cause;
use heddle_store::reseal::{self, Place, Resealed, Resealer};
use serde_json::json;

use super::admin::open;
use crate::adapter::sealed_for;
use crate::backup::Counting;
use crate::config::Config;

/// Seals anew whatever another key has sealed.
struct Anew(Keyring);

impl Resealer for Anew {
    fn reseal(&self, place: Place, sealed: &[u8]) -> Result<Option<Vec<u8>>, Cause> {
        Ok(self.0.reseal(&sealed_for(place), sealed)?)
    }
}

/// Says which keys are open here, and how many private keys each has sealed.
///
/// # Errors
/// A key cannot be opened, or the database refuses.
pub(crate) async fn list(config: Config, as_json: bool) -> anyhow::Result<()> {
    let keyring = config.sealing.open()?;
    let store = open(&config).await?;
    let counting = Counting::default();
    let looked = reseal::reseal(&store, &counting).await;
    looked.context("look at the sealed keys")?;
    let mut counts = counting.counts();
    let mut keys = Vec::new();
    for id in keyring.opening() {
        let state = if id == keyring.sealing() {
            "seals"
        } else {
            "opens"
        };
        keys.push((id, state, counts.remove(&id).unwrap_or_default()));
    }
    keys.extend(counts.into_iter().map(|(id, count)| (id, "missing", count)));
    let mut out = std::io::stdout().lock();
    if as_json {
        let keys = keys.iter().map(
            |(id, state, sealed)| json!({"id": id.to_string(), "state": state, "sealed": sealed}),
        );
        writeln!(out, "{}", json!({"keys": keys.collect::<Vec<_>>()}))?;
        return Ok(());
    }
    writeln!(out, "{:<18}{:<9}SEALED", "KEY", "STATE")?;
    for (id, state, sealed) in keys {
        writeln!(out, "{:<18}{state:<9}{sealed}", id.to_string())?;
    }
    Ok(())
}

/// Seals anew, under the key that seals now, what keys before it have sealed.
///
/// # Errors
/// A key cannot be opened, something is sealed under one that is not open, or the database refuses. What was sealed anew before
/// stays so.
pub(crate) async fn reseal(config: Config, as_json: bool) -> anyhow::Result<()> {
    let keyring = config.sealing.open()?;
    let sealing = keyring.sealing();
    let store = open(&config).await?;
    let done = reseal::reseal(&store, &Anew(keyring)).await;
    let Resealed { seen, replaced } = done.context("seal the keys anew")?;
    let mut out = std::io::stdout().lock();
    if as_json {
        let facts = json!({"key": sealing.to_string(), "sealed": seen, "replaced": replaced});
        writeln!(out, "{facts}")?;
    } else {
        writeln!(
            out,
            "{replaced} of {seen} private keys sealed anew; all are sealed under {sealing}"
        )?;
    }
    Ok(())
}
