//! Looks through the audit log of an organisation and the journals of its certificates, by direct access to the database.

use std::io::{BufRead as _, BufReader, Write};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use heddle_store::audit::{self, Fault, Head, Verified};
use heddle_store::certificates::{self, VerifiedJournal};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::admin::{name, open};
use crate::cli::AuditVerify;
use crate::config::Config;

/// The first line of an export, or what `--json` has printed before.
#[derive(Default, Deserialize)]
struct Noted {
    heads: Vec<Head>,
    /// An export has none.
    #[serde(default)]
    certificates: NotedJournal,
}

#[derive(Default, Deserialize)]
struct NotedJournal {
    heads: Vec<Head>,
}

fn noted(file: &Path) -> anyhow::Result<Noted> {
    let opened = std::fs::File::open(file).with_context(|| format!("read {}", file.display()))?;
    let mut line = String::new();
    BufReader::new(opened)
        .read_line(&mut line)
        .with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&line)
        .with_context(|| format!("{}: its first line names no ends of chains", file.display()))
}

/// Says of each chain whether it holds, and of each proxy whose certificate nobody wrote down.
///
/// # Errors
/// A chain is broken, a certificate is in no journal, there is no such organisation, or the database refuses.
pub(crate) async fn verify(config: Config, args: &AuditVerify) -> anyhow::Result<()> {
    let org = name(&args.org)?;
    let noted = args.noted.as_deref().map(noted).transpose()?;
    let noted = noted.unwrap_or_default();
    let store = open(&config).await?;
    let log = audit::verify(&store, &org, &noted.heads).await;
    let log = log.map_err(|error| match error {
        heddle_store::Error::NotFound => anyhow!("there is no organisation {org}"),
        other => anyhow::Error::new(other).context("look through the audit log"),
    })?;
    let journal = certificates::verify(&store, &org, &noted.certificates.heads).await;
    let journal = journal.context("look through the journals of certificates")?;
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", facts(&log, &journal))?,
        false => tell(&mut out, &log, &journal)?,
    }
    let unknown = journal.unknown.len();
    match (log.broken.len() + journal.broken.len(), unknown) {
        (0, 0) => Ok(()),
        (0, 1) => bail!("a proxy has a certificate that is in no journal"),
        (0, _) => bail!("{unknown} proxies have certificates that are in no journal"),
        (1, _) => bail!("a chain is broken"),
        (broken, _) => bail!("{broken} chains are broken"),
    }
}

fn faults(broken: &[(Uuid, Fault)]) -> Vec<Value> {
    let fault = |(chain, fault): &(Uuid, Fault)| json!({"chain": chain, "why": fault, "detail": fault.to_string()});
    broken.iter().map(fault).collect()
}

fn facts(log: &Verified, journal: &VerifiedJournal) -> Value {
    let unknown = |(proxy, serial): &(_, String)| json!({"proxy": proxy, "serial": serial});
    json!({
        "org": log.org.to_string(),
        "heads": log.heads,
        "broken": faults(&log.broken),
        "unchained": log.unchained,
        "certificates": {
            "heads": journal.heads,
            "broken": faults(&journal.broken),
            "unchained": journal.unchained,
            "unknown": journal.unknown.iter().map(unknown).collect::<Vec<_>>(),
        },
    })
}

fn tell(out: &mut impl Write, log: &Verified, journal: &VerifiedJournal) -> std::io::Result<()> {
    let parts = [
        ("", &log.heads, &log.broken, log.unchained),
        (
            "certificates of ",
            &journal.heads,
            &journal.broken,
            journal.unchained,
        ),
    ];
    for (of, heads, broken, unchained) in parts {
        for head in heads {
            let Head { chain, seq, hash } = head;
            writeln!(out, "{of}{chain}: {seq} rows, ends with {hash}")?;
        }
        for (chain, fault) in broken {
            writeln!(out, "{of}{chain}: BROKEN: {fault}")?;
        }
        if unchained > 0 {
            writeln!(out, "{unchained} rows from before there were chains")?;
        }
    }
    for (proxy, serial) in &journal.unknown {
        writeln!(
            out,
            "{proxy}: UNKNOWN: certificate {serial} is in no journal"
        )?;
    }
    Ok(())
}
