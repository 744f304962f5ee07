//! How much an organisation may have.

use std::io::Write as _;

use anyhow::anyhow;
use heddle_store::admin;
use heddle_store::quotas::QuotaRow;
use serde_json::{Value, json};

use super::admin::{name, open};
use crate::cli::{QuotaList, QuotaSet};
use crate::config::Config;

fn facts(row: &QuotaRow) -> Value {
    json!({
        "quota": row.quota.as_str(),
        "used": row.used,
        "limit": row.limit.number(),
        "own_limit": row.own,
    })
}

/// Whose word a limit is.
const fn from(row: &QuotaRow) -> &'static str {
    if row.own { "this organisation" } else { "all" }
}

/// Says how much an organisation has, and how much it may have.
///
/// # Errors
/// The organisation does not exist, or the database refuses.
pub(crate) async fn list(config: Config, args: &QuotaList) -> anyhow::Result<()> {
    let org = name(&args.org)?;
    let store = open(&config).await?;
    let rows = admin::quotas(&store, &org).await;
    let rows = rows.map_err(|error| explained(error, &args.org))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let quotas: Vec<Value> = rows.iter().map(facts).collect();
        writeln!(out, "{}", json!({"org": org, "quotas": quotas}))?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<22}{:>12}{:>14}  LIMIT OF",
        "QUOTA", "USED", "LIMIT"
    )?;
    for row in rows {
        let (quota, limit) = (row.quota.as_str(), row.limit.to_string());
        writeln!(
            out,
            "{quota:<22}{:>12}{limit:>14}  {}",
            row.used,
            from(&row)
        )?;
    }
    Ok(())
}

/// Says how much an organisation may have.
///
/// # Errors
/// The organisation does not exist, or the database refuses.
pub(crate) async fn set(config: Config, args: &QuotaSet) -> anyhow::Result<()> {
    let org = name(&args.org)?;
    let store = open(&config).await?;
    let row = admin::set_quota(&store, &org, args.quota, args.limit.0).await;
    let row = row.map_err(|error| explained(error, &args.org))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", facts(&row))?;
        return Ok(());
    }
    let (limit, used, things) = (row.limit, row.used, row.quota.things());
    writeln!(out, "{org} may have {limit} {things}, and has {used}")?;
    Ok(())
}

fn explained(error: heddle_store::Error, org: &str) -> anyhow::Error {
    match error {
        heddle_store::Error::NotFound => anyhow!("there is no organisation {org}"),
        other => anyhow::Error::new(other).context("ask the database"),
    }
}
