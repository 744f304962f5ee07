//! `apply`: meshes first, each by its own PUT, then everything in each mesh as one revision.

use std::collections::BTreeMap;
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{Apply, Diff, Files, Note, Waiting};
use crate::client::{Client, Request};
use crate::command::get::noted;
use crate::command::rollout;
use crate::documents::{self, Document};
use crate::failure::{Exit, Failure};
use crate::kinds::segment;
use crate::output::{self, Format, cell, data, say};
use crate::place::Here;

/// What is said about who writes.
fn owned(request: Request, files: &Files) -> Request {
    let mut request = request.header_if("heddle-manager", files.manager.as_deref());
    if files.takeover {
        request = request.query("takeover", "true");
    }
    if files.accept_plain_callers {
        request = request.query("accept_plain_callers", "true");
    }
    request
}

/// What an apply would do, and nothing kept.
pub(crate) async fn diff(here: &Here, args: Diff) -> Result<(), Failure> {
    let note = Note {
        message: None,
        change_group: None,
        dry_run: true,
    };
    let args = Apply {
        files: args.files,
        note,
        waiting: Waiting::default(),
        shown: args.shown,
    };
    let (mut results, _) = write(here, &args).await?;
    results.retain(|one| one["result"] != "unchanged" && one["result"] != "kept");
    if results.is_empty() {
        say("Nothing differs.");
        return Ok(());
    }
    show(&results, args.shown.output)?;
    Err(Failure::new(Exit::Differences, "there are differences"))
}

pub(crate) async fn apply(here: &Here, args: &Apply) -> Result<(), Failure> {
    let (results, revisions) = write(here, args).await?;
    show(&results, args.shown.output)?;
    if args.note.dry_run {
        say("Nothing was kept.");
    }
    if let Some(patience) = args.waiting.wait {
        let end = Instant::now() + patience;
        let client = here.client().await?;
        for (mesh, revision) in &revisions {
            let left = end.saturating_duration_since(Instant::now());
            rollout::wait(&client, mesh, *revision, left).await?;
        }
    }
    Ok(())
}

/// The revision that each mesh is at.
type Revisions = BTreeMap<String, u64>;

/// Writes everything; what became of each object, and where each mesh is then.
async fn write(here: &Here, args: &Apply) -> Result<(Vec<Value>, Revisions), Failure> {
    let documents = documents::read(&args.files.files)?;
    let (meshes, rest): (Vec<Document>, Vec<Document>) =
        documents.into_iter().partition(|d| d.kind == "mesh");
    let mut groups: BTreeMap<String, Vec<Document>> = BTreeMap::new();
    for document in rest {
        let mesh = match &document.mesh {
            Some(mesh) => mesh.clone(),
            // One mesh in the files is the mesh of the files.
            None => match (&here.mesh, meshes.as_slice()) {
                (None, [only]) => only
                    .body
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                _ => here.mesh()?.to_owned(),
            },
        };
        groups.entry(mesh).or_default().push(document);
    }
    let client = here.client().await?;
    let (mut results, mut revisions) = (Vec::new(), Revisions::new());
    for mesh in &meshes {
        let written = put_mesh(&client, args, mesh).await?;
        if let (Some(name), Some(revision)) = (
            written["name"].as_str(),
            written["meta"]["revision"].as_u64(),
        ) {
            revisions.insert(name.to_owned(), revision);
        }
        results.push(written);
    }
    for (mesh, documents) in &groups {
        let (written, revision) = apply_to(&client, args, mesh, documents).await?;
        results.extend(written);
        revisions.insert(mesh.clone(), revision);
    }
    Ok((results, revisions))
}

fn show(results: &[Value], format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => data(&output::json(&json!({"results": results}))?),
        Format::Yaml => data(&output::yaml(&json!({"results": results}))?),
        Format::Name => {
            let line = |one: &Value| format!("{}/{}\n", cell(&one["kind"]), title(one));
            data(&results.iter().map(line).collect::<String>())
        }
        Format::Table | Format::Wide => {
            let row = |one: &Value| vec![cell(&one["result"]), cell(&one["kind"]), title(one)];
            let rows: Vec<_> = results.iter().map(row).collect();
            data(&output::table(&["RESULT", "KIND", "NAME"], &rows))
        }
    }
}

fn title(one: &Value) -> String {
    let parts = ["service", "route", "name"]
        .iter()
        .filter_map(|field| one[*field].as_str());
    output::plain(&parts.collect::<Vec<_>>().join("/"))
}

async fn put_mesh(client: &Client, args: &Apply, mesh: &Document) -> Result<Value, Failure> {
    let name = mesh
        .body
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if name.is_empty() {
        return Err(Failure::usage(format!("{} has no `name`", mesh.place)));
    }
    let path = client.org(&format!("/meshes/{}", segment(name)));
    let before = client.get(path.clone()).await.ok();
    let request = Request::new(Method::PUT, path).body(Value::Object(mesh.body.clone()));
    let request = owned(noted(request, &args.note), &args.files);
    let reply = client
        .send(request)
        .await
        .map_err(|failure| failure.located(|finding| finding.place = Some(mesh.place.clone())))?;
    let after = reply.json()?;
    let result = match &before {
        None => "created",
        Some(before) if before["meta"]["etag"] == after["meta"]["etag"] => "unchanged",
        Some(_) => "replaced",
    };
    Ok(json!({"kind": "mesh", "name": name, "result": result, "meta": after["meta"]}))
}

async fn apply_to(
    client: &Client,
    args: &Apply,
    mesh: &str,
    documents: &[Document],
) -> Result<(Vec<Value>, u64), Failure> {
    let resource = |document: &Document| {
        let mut body = document.body.clone();
        body.insert(String::from("kind"), json!(document.kind));
        Value::Object(body)
    };
    let resources: Vec<Value> = documents.iter().map(resource).collect();
    let mode = if args.files.sync { "sync" } else { "apply" };
    let path = client.org(&format!("/meshes/{}/apply", segment(mesh)));
    let request =
        Request::new(Method::POST, path).body(json!({"mode": mode, "resources": resources}));
    let request = owned(noted(request, &args.note), &args.files);
    let reply = client.send(request).await.map_err(|failure| {
        failure.located(|finding| {
            // `/resources/3/ports/0` is in the fourth document.
            let Some(rest) = finding.pointer.strip_prefix("/resources/") else {
                return;
            };
            let (index, rest) = rest
                .split_once('/')
                .map_or((rest, String::new()), |(i, r)| (i, format!("/{r}")));
            if let Some(document) = index.parse::<usize>().ok().and_then(|i| documents.get(i)) {
                finding.place = Some(document.place.clone());
                finding.pointer = rest;
            }
        })
    })?;
    let mut answer = reply.json()?;
    say(&format!(
        "Mesh {}: revision {}{}.",
        output::plain(mesh),
        cell(&answer["revision"]),
        if answer["changed"] == true {
            ""
        } else {
            ", as before"
        }
    ));
    let revision = answer["revision"].as_u64().unwrap_or_default();
    match answer["results"].take() {
        Value::Array(results) => Ok((results, revision)),
        _ => Ok((Vec::new(), revision)),
    }
}
