//! Tenants: organisations and their first tokens, by direct access to the database.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use heddle_model::authz::Role;
use heddle_model::email::Email;
use heddle_model::name::Name;
use heddle_store::Store;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::adapter::LocalSealer;
use crate::cli::{MemberCreate, MemberReset, OrgAllowPasswords, OrgCreate, TokenCreate};
use crate::config::Config;

/// Makes an organisation; prints its first token once (`--json`: one object with `token`).
///
/// # Errors
/// The name is taken or wrong, or the database refuses.
pub(crate) async fn org_create(config: Config, args: &OrgCreate) -> anyhow::Result<()> {
    let name = name(&args.name)?;
    let store = open(&config).await?;
    let display_name = args.display_name.as_deref();
    let created =
        heddle_store::admin::create_org(&store, &name, display_name, "heddled admin").await;
    let (id, token) = created.map_err(|error| match error {
        heddle_store::Error::AlreadyExists { .. } => {
            anyhow!("the organisation {name} exists already")
        }
        other => anyhow::Error::new(other).context("create the organisation"),
    })?;
    let facts = json!({"org": name, "uid": id.to_string(), "role": "owner", "token": token.expose_secret()});
    let text = format!("organisation {name} created; its owner token, shown this once:\n");
    print(args.json, &facts, &text, &token)
}

/// Makes a token; prints it once (`--json`: one object with `token`).
///
/// # Errors
/// The organisation does not exist, or the database refuses.
pub(crate) async fn token_create(config: Config, args: &TokenCreate) -> anyhow::Result<()> {
    let org = name(&args.org)?;
    let token_name = name(&args.name)?;
    let role: Role = args.role.as_str().parse()?;
    let store = open(&config).await?;
    let created = heddle_store::admin::create_token(&store, &org, role, &token_name, None).await;
    let (id, token) = created.map_err(|error| match error {
        heddle_store::Error::NotFound => anyhow!("there is no organisation {org}"),
        heddle_store::Error::AlreadyExists { .. } => {
            anyhow!("the organisation has a token {token_name} already")
        }
        other => anyhow::Error::new(other).context("create the token"),
    })?;
    let facts = json!({"org": org, "uid": id.to_string(), "name": token_name, "role": role, "token": token.expose_secret()});
    let text = format!(
        "token {token_name} ({}) of {org}, shown this once:\n",
        role.as_str()
    );
    print(args.json, &facts, &text, &token)
}

/// Makes a member with a role; prints its password once unless it was given (`--json`: one object with `password`).
///
/// # Errors
/// The organisation does not exist, the address or the password is none, or the database refuses.
pub(crate) async fn member_create(config: Config, args: &MemberCreate) -> anyhow::Result<()> {
    let org = name(&args.org)?;
    let email: Email = args
        .email
        .parse()
        .with_context(|| format!("{:?}", args.email))?;
    let role: Role = args.role.as_str().parse()?;
    let (password, given) = match args.password_stdin {
        true => (password_from_stdin()?, true),
        false => (heddle_store::draw_password()?, false),
    };
    let store = open(&config).await?;
    let hash = store
        .hash_password(password.clone())
        .await
        .context("hash the password")?;
    let created = heddle_store::admin::create_member(&store, &org, &email, role, Some(&hash)).await;
    let id = created.map_err(|error| match error {
        heddle_store::Error::NotFound => anyhow!("there is no organisation {org}"),
        heddle_store::Error::AlreadyExists { .. } => {
            anyhow!("the organisation has a member {email} already")
        }
        other => anyhow::Error::new(other).context("create the member"),
    })?;
    let shown = if given {
        SecretString::from("")
    } else {
        password
    };
    let facts = json!({"org": org, "uid": id.to_string(), "email": email, "role": role, "password": Some(shown.expose_secret()).filter(|p| !p.is_empty())});
    let text = match given {
        true => format!("member {email} ({}) of {org} created", role.as_str()),
        false => format!(
            "member {email} ({}) of {org} created; the password, shown this once:\n",
            role.as_str()
        ),
    };
    print(args.json, &facts, &text, &shown)
}

/// Takes a member's second factor away.
///
/// # Errors
/// There is no such organisation or member, it has none, or the database refuses.
pub(crate) async fn member_reset_second_factor(
    config: Config,
    args: &MemberReset,
) -> anyhow::Result<()> {
    let org = name(&args.org)?;
    let email: Email = args
        .email
        .parse()
        .with_context(|| format!("{:?}", args.email))?;
    let store = open(&config).await?;
    let reset = heddle_store::admin::reset_second_factor(&store, &org, &email).await;
    let id = reset.map_err(|error| match error {
        heddle_store::Error::NotFound => {
            anyhow!("there is no organisation {org} with a member {email}")
        }
        heddle_store::Error::NoSecondFactor => anyhow!("member {email} has no second factor"),
        other => anyhow::Error::new(other).context("reset the second factor"),
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let facts = json!({"org": org, "uid": id.to_string(), "email": email});
        writeln!(out, "{facts}")?;
    } else {
        writeln!(
            out,
            "member {email} of {org} has no second factor any more, and no sessions"
        )?;
    }
    Ok(())
}

/// Lets members of an organisation sign in with passwords again.
///
/// # Errors
/// There is no such organisation, or the database refuses.
pub(crate) async fn org_allow_passwords(
    config: Config,
    args: &OrgAllowPasswords,
) -> anyhow::Result<()> {
    let org = name(&args.org)?;
    let store = open(&config).await?;
    let allowed = heddle_store::admin::allow_passwords(&store, &org).await;
    let id = allowed.map_err(|error| match error {
        heddle_store::Error::NotFound => anyhow!("there is no organisation {org}"),
        other => anyhow::Error::new(other).context("change the sign-in policy"),
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let facts = json!({"org": org, "uid": id.to_string(), "require_sso": false});
        writeln!(out, "{facts}")?;
    } else {
        writeln!(out, "members of {org} may sign in with passwords")?;
    }
    Ok(())
}

/// One line of standard input.
fn password_from_stdin() -> anyhow::Result<SecretString> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .context("read the password")?;
    let password = line.trim_end_matches(['\n', '\r']);
    if !(12..=128).contains(&password.chars().count()) {
        bail!("a password has 12 to 128 characters");
    }
    Ok(SecretString::from(password))
}

/// Makes a new key sign sessions' tokens.
///
/// # Errors
/// The sealing key cannot be used, or the database refuses.
pub(crate) async fn session_keys_rotate(config: Config) -> anyhow::Result<()> {
    let sealing = Arc::new(config.sealing.open()?);
    let store = open(&config).await?;
    let sealer = LocalSealer::new(sealing);
    let key = heddle_store::rotate_session_keys(&store, &sealer)
        .await
        .context("rotate the keys")?;
    writeln!(
        std::io::stdout().lock(),
        "sessions are signed with {key} within a minute"
    )?;
    Ok(())
}

pub(super) fn name(text: &str) -> anyhow::Result<Name> {
    text.parse().with_context(|| format!("{text:?}"))
}

pub(crate) async fn open(config: &Config) -> anyhow::Result<Store> {
    let store = super::all::connect(config, 2).await?;
    match store.ping().await {
        Ok(()) => Ok(store),
        Err(
            error @ (heddle_store::Error::PrivilegedLogin { .. }
            | heddle_store::Error::SchemaOlder { .. }
            | heddle_store::Error::SchemaNewer { .. }),
        ) => bail!("{error}"),
        Err(error) => Err(error).context("reach the database"),
    }
}

fn print(
    as_json: bool,
    facts: &serde_json::Value,
    text: &str,
    token: &SecretString,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{facts}")?;
    } else {
        writeln!(out, "{text}{}", token.expose_secret())?;
    }
    Ok(())
}
