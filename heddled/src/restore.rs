//! `heddled restore`: a data directory from a backup and what was written after it, and everything that has to be true before a
//! server serves from it.

mod copy;
mod keys;
mod proof;
mod tell;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use heddle_store::{Store, backups, newest_schema, restored};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use self::proof::Proof;
use self::tell::Restored;
use crate::backup::connect;
use crate::backup::manifest::{CLUSTER, Manifest};
use crate::backup::tools::Tools;
use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::telemetry;
use crate::up::data_dir::DataDir;
use crate::up::output::complain;
use crate::up::postgres::{Postgres, find_binaries};
use crate::up::process::Child;

/// What it takes to restore.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_verifybackup"];

/// Makes the data directory. What fails leaves none that starts, and can be tried again.
///
/// # Errors
/// The backup is not whole, a sealing key is missing, PostgreSQL cannot replay what was written, or the data directory has a
/// database already.
pub(crate) async fn run(args: RestoreArgs) -> anyhow::Result<()> {
    let settings = args.settings.clone().with_file()?;
    telemetry::init_log(
        settings.log_level.as_deref().unwrap_or("info"),
        settings.log_format.unwrap_or_default(),
    )?;
    tokio::task::LocalSet::new()
        .run_until(Box::pin(restore(&args, settings)))
        .await
}

async fn restore(args: &RestoreArgs, settings: crate::config::Settings) -> anyhow::Result<()> {
    let manifest = Manifest::read(&args.from)?;
    if manifest.schema > newest_schema() {
        bail!(
            "the backup was made by Heddle {} and its schema {} is newer than this one knows ({}): restore it with a newer Heddle",
            manifest.heddle,
            manifest.schema,
            newest_schema()
        );
    }
    if let Some(until) = args.until.filter(|until| *until < manifest.ended_at) {
        bail!(
            "{} is before {}, when the backup ended: take an older one",
            text(until),
            text(manifest.ended_at)
        );
    }
    let binaries = find_binaries(args.pg_bin.as_deref(), &PROGRAMS)?;
    let tools = Tools::new(binaries.clone());
    let backup = args.from.join(CLUSTER);
    copy::check_version(&backup, tools.major().await?)?;
    let data = DataDir::take(&args.data_dir)?;
    let place = data.path().join("postgres");
    if place.exists() {
        bail!("there is a database in {} already", data.path().display());
    }
    let keys = keys::find(settings.clone(), &data)?;
    keys::require(&keys, &manifest)?;
    let written = match &args.wal {
        Some(wal) => {
            let (begins, ends) = manifest.written.places()?;
            crate::backup::wal::after(wal, begins, ends)?
        }
        None => Vec::new(),
    };
    complain("verifying the backup");
    tools.verify(&backup).await?;

    let postgres = Postgres::at(data.path(), binaries)?.beside()?;
    complain(&format!("copying it to {}", data.path().display()));
    copy::cluster(&backup, postgres.cluster(), &written)?;
    complain("replaying what was written");
    let until = args
        .until
        .map(|until| until.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string());
    let child = postgres.recover(until.as_deref())?;
    let done = go_on(&postgres, &child, &manifest, &keys, args.until).await;
    child.stop().await;
    let done = done?;
    postgres.settle(&place)?;
    postgres.tidy();
    keys::keep(&settings, &data)?;
    done.tell(
        &Subject {
            place: data.path().to_owned(),
            manifest: &manifest,
        },
        args.json,
    )
}

/// What was restored, and where to.
struct Subject<'a> {
    place: PathBuf,
    manifest: &'a Manifest,
}

/// With a PostgreSQL that recovers.
async fn go_on(
    postgres: &Postgres,
    child: &Child,
    manifest: &Manifest,
    keys: &Config,
    until: Option<DateTime<Utc>>,
) -> anyhow::Result<Restored> {
    postgres.recovered(child).await?;
    let server: SecretString = postgres.url_of(&manifest.database, &manifest.role).into();
    let store = connect(&server).await?;
    let superuser = backups::superuser(&store)
        .await
        .context("look for a superuser")?;
    let superuser = superuser.context("the cluster has no superuser that may log in")?;
    let owner: SecretString = postgres.url_of(&manifest.database, &superuser).into();
    complain("bringing the schema up to date");
    heddle_store::migrate(owner.expose_secret())
        .await
        .context("migrate the database")?;
    let facts = json!({
        "backup_ended_at": text(manifest.ended_at),
        "until": until.map(text),
        "cluster": manifest.cluster,
    });
    let done = settle(&store, keys, &owner, facts).await;
    store.close().await;
    done
}

/// Everything that has to be done and true once a database is restored.
async fn settle(
    store: &Store,
    config: &Config,
    owner: &SecretString,
    facts: Value,
) -> anyhow::Result<Restored> {
    complain("trying the sealing keys, and what signs");
    let proof = Proof::of(store, config).await?;
    let held = backups::held(owner.expose_secret()).await;
    let held = held.context("look across all organisations")?;
    let mut facts: Map<String, Value> = match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    };
    facts.insert("newest_change".to_owned(), json!(held.newest.map(text)));
    facts.retain(|_, value| !value.is_null());
    let mut settled = Vec::with_capacity(held.orgs.len());
    for org in held.orgs {
        let done = restored::settle(store, org, &facts).await;
        settled.push(done.with_context(|| format!("settle the organisation {org}"))?);
    }
    Ok(Restored {
        proof,
        newest: held.newest,
        settled,
    })
}

/// `heddled admin database restored`: the same for a database that somebody else restored.
///
/// # Errors
/// A sealing key is missing, an authority does not sign, or the database refuses.
pub(crate) async fn by_other_means(config: Config, as_json: bool) -> anyhow::Result<()> {
    let owner = config.migrate_database_url.clone();
    let owner = owner.context(
        "migrate_database_url is not set: use --migrate-database-url, HEDDLE_MIGRATE_DATABASE_URL or migrate_database_url in the file",
    )?;
    let store = crate::role::admin::open(&config).await?;
    let done = settle(&store, &config, &owner, json!({})).await?;
    store.close().await;
    done.tell_shortly(as_json)
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Whether something is there.
fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
