//! Rotations: begun, watched, taken further and turned round.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::rotations::{
    AdvanceRotation, Mode, RequestRotation, ReverseRotation, RotationsCommand, ShowRotation,
    StartRotation, What,
};
use crate::args::{Note, Shown};
use crate::ask;
use crate::client::{Client, Request};
use crate::command::get::noted;
use crate::failure::{Exit, Failure};
use crate::kinds::segment;
use crate::output::{self, Format, cell, data, say};
use crate::place::Here;

/// How often it is asked how far one is.
const BREATH: Duration = Duration::from_secs(1);

pub(crate) async fn run(here: &Here, command: RotationsCommand) -> Result<(), Failure> {
    match command {
        RotationsCommand::List(args) => {
            let client = here.client().await?;
            let path = client.org(&collection(here)?);
            let request = Request::new(Method::GET, path);
            let items = client.list(request, args.limit as usize).await?;
            list(&items, args.shown)
        }
        RotationsCommand::Start(args) => start(here, &args).await,
        RotationsCommand::Request(args) => request(here, &args).await,
        RotationsCommand::Show(args) => show(here, &args).await,
        RotationsCommand::Advance(args) => advance(here, &args).await,
        RotationsCommand::Reverse(args) => reverse(here, &args).await,
    }
}

fn collection(here: &Here) -> Result<String, Failure> {
    Ok(format!("/meshes/{}/rotations", segment(here.mesh()?)))
}

/// The address of the one that is meant.
async fn address(here: &Here, client: &Client, rotation: Option<&str>) -> Result<String, Failure> {
    let path = client.org(&collection(here)?);
    if let Some(id) = rotation {
        return Ok(format!("{path}/{}", segment(id)));
    }
    let newest = client
        .list(Request::new(Method::GET, path.clone()), 1)
        .await?;
    let id = newest.first().and_then(|one| one["meta"]["uid"].as_str());
    let id = id.ok_or_else(|| {
        Failure::new(Exit::NotFound, "nothing was rotated in this mesh yet")
            .hint("`heddle rotations start` begins one")
    })?;
    Ok(format!("{path}/{}", segment(id)))
}

const fn what(what: What) -> &'static str {
    match what {
        What::Intermediate => "intermediate",
        What::Root => "root",
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Planned => "planned",
        Mode::Emergency => "emergency",
        Mode::BreakTrust => "break_trust",
    }
}

async fn start(here: &Here, args: &StartRotation) -> Result<(), Failure> {
    let client = here.client().await?;
    let mut body = json!({"what": what(args.what), "mode": mode(args.mode)});
    if args.manual {
        body["pace"] = json!("manual");
    }
    if let Some(over) = &args.replace_over {
        body["replace_over"] = json!(over);
    }
    if let (Some(request), Some(file)) = (&args.request, &args.certificates) {
        body["request"] = json!(request);
        body["certificates"] = json!(read(file)?);
    }
    if !args.yes && !args.note.dry_run {
        let how = match args.mode {
            Mode::BreakTrust => " at once, and cut off whoever has not the new one yet",
            Mode::Planned | Mode::Emergency => "",
        };
        let (what, mesh) = (what(args.what), here.mesh()?);
        ask::confirm(&format!("Replace the {what} of mesh {mesh}{how}?"))?;
    }
    let path = client.org(&collection(here)?);
    let request = noted(
        Request::new(Method::POST, path.clone()).body(body),
        &args.note,
    );
    let made = client.send(request).await?.json()?;
    one(&made, args.shown)?;
    if args.note.dry_run {
        say("Nothing was kept.");
    }
    match args.wait {
        Some(patience) => {
            let path = format!("{path}/{}", segment(&cell(&made["meta"]["uid"])));
            wait(&client, &path, patience).await
        }
        None => Ok(()),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let text = match file == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    text.map_err(|error| {
        let shown = file.display();
        Failure::new(Exit::Usage, format!("cannot read {shown}: {error}"))
    })
}

async fn request(here: &Here, args: &RequestRotation) -> Result<(), Failure> {
    let client = here.client().await?;
    let path = client.org(&format!(
        "/meshes/{}/authority-requests",
        segment(here.mesh()?)
    ));
    let request = Request::new(Method::POST, path).body(json!({}));
    let made = client.send(noted(request, &args.note)).await?.json()?;
    let id = cell(&made["meta"]["uid"]);
    match args.shown.output {
        Format::Json => data(&output::json(&made)?)?,
        Format::Yaml => data(&output::yaml(&made)?)?,
        Format::Name => data(&format!("authority_request/{id}\n"))?,
        Format::Table | Format::Wide => {
            data(made["csr"].as_str().unwrap_or_default())?;
            say(&format!(
                "{id} waits. Have it signed, then: heddle rotations start root --request {id} --certificates FILE"
            ));
        }
    }
    if args.note.dry_run {
        say("Nothing was kept.");
    }
    Ok(())
}

async fn wait(client: &Client, path: &str, patience: Duration) -> Result<(), Failure> {
    let end = Instant::now() + patience;
    let mut said = String::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match client
            .send(Request::new(Method::GET, path.to_owned()))
            .await
        {
            Ok(reply) => {
                let seen = reply.json()?;
                let now = sentence(&seen);
                if now != said {
                    say(&now);
                    said = now;
                }
                if !seen["meta"]["ended_at"].is_null() {
                    return Ok(());
                }
            }
            // A server that stops is followed by another one.
            Err(failure) if failure.exit() == Exit::Error && !left.is_zero() => {}
            Err(failure) => return Err(failure),
        }
        if left.is_zero() {
            return Err(
                Failure::new(Exit::Timeout, "the rotation has not ended in time")
                    .hint("it goes on without you: `heddle rotations show` says how far it is"),
            );
        }
        tokio::time::sleep(BREATH.min(left)).await;
    }
}

fn sentence(seen: &Value) -> String {
    let state = cell(&seen["state"]);
    let counted = |field: &str| seen["progress"][field].as_u64().unwrap_or_default();
    let requested = counted("certificates");
    let mut whom = Vec::new();
    match counted("waiting_for").saturating_sub(requested) {
        0 => {}
        1 => whom.push(String::from("a proxy")),
        n => whom.push(format!("{n} proxies")),
    }
    if requested > 0 {
        let until = cell(&seen["progress"]["certificates_until"]);
        whom.push(format!(
            "certificates that the API gave out, {requested} of them, until {until} at most"
        ));
    }
    match whom.is_empty() {
        true => format!("{state}."),
        false => format!("{state}; it waits for {}.", whom.join(" and ")),
    }
}

async fn show(here: &Here, args: &ShowRotation) -> Result<(), Failure> {
    let client = here.client().await?;
    let path = address(here, &client, args.rotation.as_deref()).await?;
    let seen = client.send(Request::new(Method::GET, path)).await?.json()?;
    one(&seen, args.shown)?;
    if !matches!(args.shown.output, Format::Table | Format::Wide) {
        return Ok(());
    }
    let proxies = seen["proxies"].as_array().into_iter().flatten();
    let row = |one: &Value| {
        let cells = [&one["name"], &one["service"], &one["state"], &one["until"]];
        cells.map(cell).to_vec()
    };
    let rows: Vec<Vec<String>> = proxies.map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let headings = ["PROXY", "SERVICE", "STATE", "UNTIL"];
    data(&format!("\n{}", output::table(&headings, &rows)))
}

async fn advance(here: &Here, args: &AdvanceRotation) -> Result<(), Failure> {
    let body = json!({"action": "advance", "force": args.force});
    let question = match args.force {
        true => "Take the next step, and cut off whoever has not followed?",
        false => "Take the next step?",
    };
    let ask = !args.yes && !args.note.dry_run;
    act(
        here,
        args.rotation.as_deref(),
        body,
        ask.then_some(question),
        &args.note,
        args.shown,
    )
    .await
}

async fn reverse(here: &Here, args: &ReverseRotation) -> Result<(), Failure> {
    let body = json!({"action": "reverse"});
    let question = "Turn it round?";
    let ask = !args.yes && !args.note.dry_run;
    act(
        here,
        args.rotation.as_deref(),
        body,
        ask.then_some(question),
        &args.note,
        args.shown,
    )
    .await
}

/// Acts on what is there when it is asked, and on nothing later.
async fn act(
    here: &Here,
    rotation: Option<&str>,
    mut body: Value,
    question: Option<&str>,
    note: &Note,
    shown: Shown,
) -> Result<(), Failure> {
    let client = here.client().await?;
    let path = address(here, &client, rotation).await?;
    let seen = client
        .send(Request::new(Method::GET, path.clone()))
        .await?
        .json()?;
    body["generation"] = seen["generation"].clone();
    if let Some(question) = question {
        say(&sentence(&seen));
        ask::confirm(question)?;
    }
    let request = Request::new(Method::POST, format!("{path}/actions")).body(body);
    let done = client.send(noted(request, note)).await?.json()?;
    one(&done, shown)?;
    if note.dry_run {
        say("Nothing was kept.");
    }
    Ok(())
}

fn list(items: &[Value], shown: Shown) -> Result<(), Failure> {
    match shown.output {
        Format::Json => return data(&output::json(&json!({"items": items}))?),
        Format::Yaml => return data(&output::yaml(&json!({"items": items}))?),
        Format::Name => {
            let names = items
                .iter()
                .map(|one| format!("rotation/{}\n", cell(&one["meta"]["uid"])));
            return data(&names.collect::<String>());
        }
        Format::Table | Format::Wide => {}
    }
    let row = |one: &Value| {
        let meta = &one["meta"];
        let cells = [
            &meta["uid"],
            &one["what"],
            &one["mode"],
            &one["state"],
            &meta["created_at"],
        ];
        cells.map(cell).to_vec()
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let headings = ["ROTATION", "WHAT", "MODE", "STATE", "BEGUN"];
    data(&output::table(&headings, &rows))
}

fn one(value: &Value, shown: Shown) -> Result<(), Failure> {
    match shown.output {
        Format::Json => data(&output::json(value)?),
        Format::Yaml => data(&output::yaml(value)?),
        Format::Name | Format::Table | Format::Wide => list(std::slice::from_ref(value), shown),
    }
}
