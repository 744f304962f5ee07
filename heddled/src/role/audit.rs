//! Looks through the audit log of an organisation, by direct access to the database.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use heddle_store::audit::{self, Head};
use serde::Deserialize;
use serde_json::json;

use super::admin::{name, open};
use crate::cli::AuditVerify;
use crate::config::Config;

/// The first line of an export.
#[derive(Deserialize)]
struct Noted {
    heads: Vec<Head>,
}

fn noted(file: &Path) -> anyhow::Result<Vec<Head>> {
    let opened = std::fs::File::open(file).with_context(|| format!("read {}", file.display()))?;
    let mut line = String::new();
    BufReader::new(opened)
        .read_line(&mut line)
        .with_context(|| format!("read {}", file.display()))?;
    let noted: Noted = serde_json::from_str(&line)
        .with_context(|| format!("{}: its first line names no ends of chains", file.display()))?;
    Ok(noted.heads)
}

/// Says of each chain whether it holds.
///
/// # Errors
/// A chain is broken, there is no such organisation, or the database refuses.
pub(crate) async fn verify(config: Config, args: &AuditVerify) -> anyhow::Result<()> {
    let org = name(&args.org)?;
    let noted = args.noted.as_deref().map(noted).transpose()?;
    let store = open(&config).await?;
    let verified = audit::verify(&store, &org, &noted.unwrap_or_default()).await;
    let verified = verified.map_err(|error| match error {
        heddle_store::Error::NotFound => anyhow!("there is no organisation {org}"),
        other => anyhow::Error::new(other).context("look through the audit log"),
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let broken: Vec<_> = verified
            .broken
            .iter()
            .map(
                |(chain, fault)| json!({"chain": chain, "why": fault, "detail": fault.to_string()}),
            )
            .collect();
        let facts = json!({
            "org": verified.org.to_string(),
            "heads": verified.heads,
            "broken": broken,
            "unchained": verified.unchained,
        });
        writeln!(out, "{facts}")?;
    } else {
        for head in &verified.heads {
            writeln!(
                out,
                "{}: {} rows, ends with {}",
                head.chain, head.seq, head.hash
            )?;
        }
        for (chain, fault) in &verified.broken {
            writeln!(out, "{chain}: BROKEN: {fault}")?;
        }
        if verified.unchained > 0 {
            writeln!(
                out,
                "{} rows from before there were chains",
                verified.unchained
            )?;
        }
    }
    match verified.broken.len() {
        0 => Ok(()),
        1 => bail!("a chain of the audit log is broken"),
        broken => bail!("{broken} chains of the audit log are broken"),
    }
}
