//! One whole backup.

use std::path::Path;

use anyhow::{Context as _, bail};
use heddle_model::clock::{Clock as _, SystemClock};
use heddle_store::{backups, newest_schema, reseal};

use super::manifest::{CLUSTER, Manifest, SealedUnder};
use super::tools::{self, Tools};
use super::{Counting, Source, connect};
use crate::up::files::private_dir;
use crate::up::output::{complain, say};

/// Makes it in `to`, verifies it, and says what it is and what is not in it.
///
/// # Errors
/// The directory is not empty, the database refuses, or the backup is not whole. Without its manifest it is none.
pub(super) async fn take(
    tools: &Tools,
    source: &Source,
    to: &Path,
    as_json: bool,
) -> anyhow::Result<()> {
    private_dir(to)?;
    let read = |what: std::io::Result<std::fs::ReadDir>| what.map(|mut all| all.next().is_none());
    if !read(std::fs::read_dir(to)).with_context(|| format!("read {}", to.display()))? {
        bail!(
            "{} is not empty: a backup needs a directory of its own",
            to.display()
        );
    }
    let store = connect(&source.server).await?;
    let facts = backups::facts(&store)
        .await
        .context("ask the database what it is")?;
    if facts.schema == 0 {
        bail!("the database {} is none of Heddle's", facts.database);
    }
    let cluster = to.join(CLUSTER);
    let began = SystemClock.now();
    complain(&format!(
        "backing up the database {} to {}",
        facts.database,
        cluster.display()
    ));
    let spec = tools
        .client("pg_basebackup", &source.replication)
        .args([
            "--format=plain",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--progress",
        ])
        .args(["--label=heddle", "--manifest-checksums=SHA256", "--pgdata"])
        .args([&cluster]);
    tools::run(&spec).await?;
    complain("verifying it");
    tools.verify(&cluster).await?;

    let counting = Counting::default();
    let looked = reseal::reseal(&store, &counting).await;
    looked.context("look at the sealed keys")?;
    store.close().await;
    let sealing_keys = counting
        .counts()
        .into_iter()
        .map(|(id, sealed)| SealedUnder {
            id: id.to_string(),
            sealed,
        });
    let manifest = Manifest {
        format: Manifest::FORMAT,
        heddle: env!("CARGO_PKG_VERSION").to_owned(),
        schema: facts.schema,
        database: facts.database,
        role: facts.role,
        cluster: facts.cluster,
        began_at: began,
        ended_at: SystemClock.now(),
        written: Manifest::read_written(&cluster)?,
        sealing_keys: sealing_keys.collect(),
    };
    manifest.write(to)?;
    match as_json {
        true => say(&serde_json::to_string(&manifest)?),
        false => say(&told(&manifest, to)),
    }
    if manifest.schema > newest_schema() {
        complain("a newer Heddle than this one wrote it; restore it with that one");
    }
    Ok(())
}

fn told(manifest: &Manifest, to: &Path) -> String {
    let mut text = format!(
        "{}: the database {} as of {}, verified\n",
        to.display(),
        manifest.database,
        manifest.ended_at.format("%Y-%m-%dT%H:%M:%SZ")
    );
    text.push_str("not in it, and needed by whoever restores it:\n");
    for key in &manifest.sealing_keys {
        let SealedUnder { id, sealed } = key;
        text.push_str(&format!(
            "  the sealing key {id}, under which {sealed} private keys are sealed\n"
        ));
    }
    text.push_str(
        "  certificate, key and authority of the xDS server (xds_tls_cert, xds_tls_key, xds_ca)",
    );
    text
}
