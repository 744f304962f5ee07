//! The identity providers that members sign in by.

use std::io::Read as _;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::sso::{CreateConnection, SsoCommand, TestConnection};
use crate::client::Request;
use crate::command::get;
use crate::failure::{Exit, Failure};
use crate::kinds::{noun, segment};
use crate::output::{self, Format, cell, data, say};
use crate::place::Here;

/// Where they are, below the organisation.
const CONNECTIONS: &str = "/sso-connections";

pub(crate) async fn run(here: &Here, command: SsoCommand) -> Result<(), Failure> {
    match command {
        SsoCommand::List(shown) => {
            let client = here.client().await?;
            let request = Request::new(Method::GET, client.org(CONNECTIONS));
            let items = client.list(request, usize::MAX).await?;
            get::list(noun("sso_connection")?, &items, shown.output)
        }
        SsoCommand::Create(args) => create(here, args).await,
        SsoCommand::Test(args) => test(here, &args).await,
        SsoCommand::Delete(args) => {
            let client = here.client().await?;
            let path = format!("{CONNECTIONS}/{}", segment(&args.name));
            let request = Request::new(Method::DELETE, client.org(&path));
            client.send(request).await?;
            say(&format!("{} is gone", output::plain(&args.name)));
            Ok(())
        }
        SsoCommand::Optional => optional(here).await,
    }
}

async fn create(here: &Here, args: CreateConnection) -> Result<(), Failure> {
    let mut body = json!({"name": args.name, "issuer": args.issuer, "client_id": args.client_id});
    if let Some(text) = args.display_name {
        body["display_name"] = json!(text);
    }
    if let Some(file) = &args.client_secret_file {
        body["client_secret"] = json!(secret(file)?);
    }
    let client = here.client().await?;
    let request = Request::new(Method::POST, client.org(CONNECTIONS)).body(body);
    let made = client.send(request).await?.json()?;
    match args.shown.output {
        Format::Json => data(&output::json(&made)?),
        Format::Yaml => data(&output::yaml(&made)?),
        Format::Table | Format::Wide | Format::Name => data(&format!(
            "connected; register this redirect URI at the provider:\n{}\n",
            cell(&made["redirect_uri"])
        )),
    }
}

/// Never an argument: arguments are seen by everybody on the machine.
fn secret(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| Failure::io(&format!("read {}", file.display()), &error))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

async fn test(here: &Here, args: &TestConnection) -> Result<(), Failure> {
    let client = here.client().await?;
    let path = format!("{CONNECTIONS}/{}/tests", segment(&args.name));
    let request = Request::new(Method::POST, client.org(&path)).body(json!({}));
    let found = client.send(request).await?.json()?;
    match args.shown.output {
        Format::Json => data(&output::json(&found)?)?,
        Format::Yaml => data(&output::yaml(&found)?)?,
        Format::Table | Format::Wide | Format::Name => data(&output::table(
            &["CHECK", "PASSED", "DETAIL"],
            &rows(&found),
        ))?,
    }
    if found["passed"] == json!(true) {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Findings,
            "the connection would not work",
        ))
    }
}

fn rows(found: &Value) -> Vec<Vec<String>> {
    let checks = found["checks"].as_array().into_iter().flatten();
    let row = |one: &Value| {
        ["check", "passed", "detail"]
            .map(|field| cell(&one[field]))
            .to_vec()
    };
    checks.map(row).collect()
}

async fn optional(here: &Here) -> Result<(), Failure> {
    let client = here.client().await?;
    let body = json!({"require_sso": false});
    let request = Request::new(Method::PATCH, client.org("/sign-in-policy")).body(body);
    client.send(request).await?;
    say("members may sign in with passwords");
    Ok(())
}
