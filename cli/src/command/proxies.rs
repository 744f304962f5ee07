//! The Envoys of a mesh: listed, judged, and looked into.

mod config;
mod nacks;
mod status;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::proxy::{ProxiesCommand, ProxiesList, State, Which};
use crate::client::{Client, Request};
use crate::command::get;
use crate::failure::Failure;
use crate::kinds::{noun, segment};
use crate::output::{self, Format, data};
use crate::place::Here;

pub(crate) async fn run(here: &Here, command: ProxiesCommand) -> Result<(), Failure> {
    match command {
        ProxiesCommand::List(args) => list(here, &args).await,
        ProxiesCommand::Status(args) => status::status(here, &args).await,
        ProxiesCommand::Config(args) => config::config(here, &args).await,
        ProxiesCommand::Nacks(args) => nacks::nacks(here, &args).await,
    }
}

/// The word of the API.
const fn word(state: State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Stale => "stale",
        State::Nacked => "nacked",
        State::Connecting => "connecting",
        State::Offline => "offline",
    }
}

/// Below the mesh.
fn below(here: &Here, path: &str) -> Result<String, Failure> {
    Ok(format!("/meshes/{}{path}", segment(here.mesh()?)))
}

/// The proxies of a mesh, page by page, as far as they are wanted.
async fn wanted(
    here: &Here,
    client: &Client,
    which: &Which,
    only: impl Fn(&Value) -> bool,
) -> Result<Vec<Value>, Failure> {
    let path = client.org(&below(here, "/proxies")?);
    // What is filtered here is counted here.
    let mut items = client
        .list(Request::new(Method::GET, path), usize::MAX)
        .await?;
    items.retain(|item| {
        let service = which.service.as_deref();
        service.is_none_or(|service| item["service"] == *service) && only(item)
    });
    items.truncate(which.limit as usize);
    Ok(items)
}

async fn list(here: &Here, args: &ProxiesList) -> Result<(), Failure> {
    let client = here.client().await?;
    let in_state = |item: &Value| args.state.is_none_or(|state| item["state"] == *word(state));
    let items = wanted(here, &client, &args.which, in_state).await?;
    match args.shown.output {
        Format::Json => data(&output::json(&json!({"items": items}))?),
        Format::Yaml => data(&output::yaml(&json!({"items": items}))?),
        format => get::show(noun("proxies")?, &items, format),
    }
}
