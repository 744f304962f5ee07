//! Credentials: made, shown once, listed, ended.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::tokens::{
    CreateJoinToken, CreateToken, JoinTokenCommand, ListTokens, Revoke, RotateToken, Secretive,
    TokenCommand,
};
use crate::client::Request;
use crate::command::get;
use crate::failure::{Exit, Failure};
use crate::kinds::{Noun, noun, segment};
use crate::output::{self, Format, cell, data, plain, say};
use crate::place::Here;

pub(crate) async fn token(here: &Here, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(here, args).await,
        TokenCommand::List(args) => list(here, &args).await,
        TokenCommand::Rotate(args) => rotate(here, &args).await,
        TokenCommand::Revoke(args) => revoke(here, noun("token")?, &args).await,
    }
}

pub(crate) async fn join_token(here: &Here, command: JoinTokenCommand) -> Result<(), Failure> {
    match command {
        JoinTokenCommand::Create(args) => create_join(here, &args).await,
        JoinTokenCommand::List(shown) => {
            let noun = noun("join_token")?;
            let path = noun.collection(Some(here.mesh()?), None)?;
            let client = here.client().await?;
            let request = Request::new(Method::GET, client.org(&path));
            let items = client.list(request, usize::MAX).await?;
            get::list(noun, &items, shown.output)
        }
        JoinTokenCommand::Revoke(args) => revoke(here, noun("join_token")?, &args).await,
    }
}

async fn create(here: &Here, args: CreateToken) -> Result<(), Failure> {
    room(&args.secretive)?;
    let client = here.client().await?;
    let mut body = json!({"name": args.name});
    if let Some(account) = args.service_account {
        body["service_account"] = json!(account);
    }
    if !args.scopes.is_empty() {
        body["scopes"] = json!(args.scopes);
    }
    if !args.meshes.is_empty() {
        body["meshes"] = json!(args.meshes);
    }
    if let Some(length) = args.expires {
        body["expires_in"] = json!(length);
    }
    if args.never_expires {
        body["never_expires"] = json!(true);
    }
    let request = Request::new(Method::POST, client.org("/tokens")).body(body);
    let made = client.send(request).await?.json()?;
    once(noun("token")?, &made, &args.secretive)
}

async fn list(here: &Here, args: &ListTokens) -> Result<(), Failure> {
    let client = here.client().await?;
    let request = Request::new(Method::GET, client.org("/tokens"))
        .query_if("service_account", args.service_account.as_deref())
        .query_if("member", args.member.as_deref());
    let items = client.list(request, usize::MAX).await?;
    get::list(noun("token")?, &items, args.shown.output)
}

async fn rotate(here: &Here, args: &RotateToken) -> Result<(), Failure> {
    room(&args.secretive)?;
    let client = here.client().await?;
    let mut body = json!({});
    if let Some(length) = &args.overlap {
        body["overlap"] = json!(length);
    }
    if let Some(length) = &args.expires {
        body["expires_in"] = json!(length);
    }
    let path = client.org(&format!("/tokens/{}/rotations", segment(&args.name)));
    let request = Request::new(Method::POST, path).body(body);
    let made = client.send(request).await?.json()?;
    once(noun("token")?, &made, &args.secretive)
}

async fn create_join(here: &Here, args: &CreateJoinToken) -> Result<(), Failure> {
    room(&args.secretive)?;
    let path = format!("/meshes/{}/join-tokens", segment(here.mesh()?));
    let client = here.client().await?;
    let reusable = args.reusable || args.ephemeral;
    let mut body = json!({"name": args.name, "service": args.service, "reusable": reusable});
    if args.ephemeral {
        body["ephemeral"] = json!(true);
    }
    if !args.networks.is_empty() {
        body["networks"] = json!(args.networks);
    }
    for (key, value) in &args.labels {
        body["labels"][key] = json!(value);
    }
    if let Some(length) = &args.expires {
        body["expires_in"] = json!(length);
    }
    let request = Request::new(Method::POST, client.org(&path)).body(body);
    let made = client.send(request).await?.json()?;
    once(noun("join_token")?, &made, &args.secretive)
}

/// Before anything is made: a token that cannot be kept would be lost.
fn room(secretive: &Secretive) -> Result<(), Failure> {
    match &secretive.to {
        Some(path) if path.symlink_metadata().is_ok() => {
            let what = format!("{} is there already", path.display());
            Err(Failure::new(Exit::Conflict, what).hint("name a new file, or remove this one"))
        }
        _ => Ok(()),
    }
}

/// Writes it for its owner only, and without a line break: an Envoy would send that, too.
fn keep(path: &Path, secret: &str) -> Result<(), Failure> {
    let file = std::fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(secret.as_bytes()));
    written.map_err(|error| {
        Failure::io(&format!("write the token to {}", path.display()), &error)
            .hint("it was made, and is lost: revoke it and make another one")
    })?;
    say(&format!("The token is in {}.", path.display()));
    Ok(())
}

/// Shows what is shown once.
fn once(noun: &Noun, made: &Value, secretive: &Secretive) -> Result<(), Failure> {
    let secret = made["secret"].as_str();
    let secret = secret.ok_or_else(|| Failure::error("the server's answer lacks the token"))?;
    if let Some(path) = &secretive.to {
        return keep(path, secret);
    }
    if secretive.quiet {
        return data(&format!("{}\n", plain(secret)));
    }
    match secretive.shown.output {
        Format::Json => return data(&output::json(made)?),
        Format::Yaml => return data(&output::yaml(made)?),
        Format::Name => return data(&format!("{}/{}\n", noun.name, plain(&noun.title(made)))),
        Format::Table | Format::Wide => {}
    }
    let row = [&made["name"], &made["expires_at"], &made["secret"]];
    data(&output::table(
        &["NAME", "EXPIRES", "TOKEN"],
        &[row.map(cell).to_vec()],
    ))?;
    say("Keep it now: it is not shown again.");
    Ok(())
}

async fn revoke(here: &Here, noun: &Noun, args: &Revoke) -> Result<(), Failure> {
    let mesh = if noun.in_mesh() {
        Some(here.mesh()?)
    } else {
        None
    };
    let path = noun.address(mesh, &args.name)?;
    let client = here.client().await?;
    let request = Request::new(Method::DELETE, client.org(&path));
    client.send(request).await?;
    let what = noun.name.replace('_', " ");
    say(&format!("{what} {} is revoked.", plain(&args.name)));
    Ok(())
}
