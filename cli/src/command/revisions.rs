//! History, read: which revisions there are, what each changed, and what differs between two.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::history::{DiffRevisions, ListRevisions, RevisionsCommand, ShowRevision};
use crate::changes;
use crate::client::{Client, Request};
use crate::command::rollback::{self, Way};
use crate::command::{get, rollout};
use crate::failure::{Exit, Failure};
use crate::kinds::{noun, segment};
use crate::output::{self, Format, cell, data, say};
use crate::paint::Paint;
use crate::place::Here;

pub(crate) async fn run(here: &Here, command: RevisionsCommand) -> Result<(), Failure> {
    match command {
        RevisionsCommand::List(args) => list(here, &args).await,
        RevisionsCommand::Show(args) => show(here, &args).await,
        RevisionsCommand::Diff(args) => diff(here, &args).await,
        RevisionsCommand::Rollback(args) => rollback::go(here, &args, Way::Back).await,
        RevisionsCommand::Revert(args) => rollback::go(here, &args, Way::Without).await,
    }
}

/// Where the revisions of the mesh are, below the organisation.
pub(crate) fn collection(mesh: &str) -> String {
    format!("/meshes/{}/revisions", segment(mesh))
}

async fn list(here: &Here, args: &ListRevisions) -> Result<(), Failure> {
    let path = collection(here.mesh()?);
    let client = here.client().await?;
    let request = Request::new(Method::GET, client.org(&path))
        .query_if("change_group", args.change_group.as_deref());
    let items = client.list(request, args.limit as usize).await?;
    get::list(noun("revision")?, &items, args.shown.output)
}

/// The number that is meant: the newest where none is named.
async fn number(client: &Client, path: &str, named: Option<u64>) -> Result<u64, Failure> {
    if let Some(number) = named {
        return Ok(number);
    }
    let request = Request::new(Method::GET, client.org(path)).query("limit", "1");
    let page = client.send(request).await?.json()?;
    page["items"][0]["revision"]
        .as_u64()
        .ok_or_else(|| Failure::new(Exit::NotFound, "the mesh has no revision yet"))
}

async fn show(here: &Here, args: &ShowRevision) -> Result<(), Failure> {
    let mesh = here.mesh()?;
    let path = collection(mesh);
    let client = here.client().await?;
    let number = number(&client, &path, args.revision).await?;
    let revision = client.get(client.org(&format!("{path}/{number}"))).await?;
    match args.shown.output {
        Format::Json => return data(&output::json(&revision)?),
        Format::Yaml => return data(&output::yaml(&revision)?),
        Format::Name => return data(&format!("revision/{number}\n")),
        Format::Table | Format::Wide => {}
    }
    let mut text = format!("Revision:  {number}\n");
    let mut line = |label: &str, value: &Value| {
        if !value.is_null() {
            let _ = writeln!(text, "{:<11}{}", format!("{label}:"), cell(value));
        }
    };
    line("Made", &revision["created_at"]);
    line("Author", &revision["author"]["actor"]);
    line("Client", &revision["client"]);
    line("Message", &revision["message"]);
    line("Group", &revision["change_group"]);
    line("Back to", &revision["rolled_back_to"]);
    line("Without", &revision["reverted"]);
    // Whoever may read the configuration and no proxies sees the rest.
    if let Ok(seen) = rollout::now(&client, mesh, number).await {
        let _ = writeln!(text, "Rollout:   {}", rollout::sentence(&seen));
    }
    let _ = writeln!(
        text,
        "Changes:   {}",
        changes::summary(&revision["summary"])
    );
    for object in revision["objects"].as_array().into_iter().flatten() {
        let change = cell(&object["change"]);
        let _ = writeln!(text, "  {change:<9}{}", changes::title(object));
    }
    data(&text)
}

async fn diff(here: &Here, args: &DiffRevisions) -> Result<(), Failure> {
    let path = collection(here.mesh()?);
    let client = here.client().await?;
    let number = number(&client, &path, args.revision).await?;
    let request = Request::new(Method::GET, client.org(&format!("{path}/{number}/diff")));
    let from = args.from.map(|from| from.to_string());
    let request = request.query_if("from", from.as_deref());
    // The first page says what the others need not repeat.
    let mut answer = client
        .send(request.clone().query("limit", "1"))
        .await?
        .json()?;
    let items = client.list(request, usize::MAX).await?;
    let differs = !items.is_empty();
    match args.shown.output {
        Format::Json | Format::Yaml => {
            let whole = json!({"from": answer["from"].take(), "to": answer["to"].take(),
                               "summary": answer["summary"].take(), "items": items});
            if args.shown.output == Format::Json {
                data(&output::json(&whole)?)?;
            } else {
                data(&output::yaml(&whole)?)?;
            }
        }
        Format::Name => {
            let line = |item: &Value| format!("{}\n", changes::title(item));
            data(&items.iter().map(line).collect::<String>())?;
        }
        Format::Table | Format::Wide => {
            say(&format!(
                "Revision {} against {}: {}.",
                cell(&answer["to"]),
                cell(&answer["from"]),
                changes::summary(&answer["summary"])
            ));
            data(&changes::render(&items, Paint::stdout()))?;
        }
    }
    if differs && args.exit_code {
        return Err(Failure::new(Exit::Differences, "there are differences"));
    }
    Ok(())
}
