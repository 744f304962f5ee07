//! The way back: what it would do is shown, somebody says yes, and only what was shown is done.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::history::GoBack;
use crate::ask;
use crate::changes;
use crate::client::{Client, Request};
use crate::command::get::noted;
use crate::command::{revisions, rollout};
use crate::failure::Failure;
use crate::kinds::segment;
use crate::output::{self, Format, cell, data, say};
use crate::paint::Paint;
use crate::place::Here;

/// Which way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To what the mesh was.
    Back,
    /// To what it is, without what one revision changed.
    Without,
}

impl Way {
    fn body(self, revision: u64) -> Value {
        match self {
            Self::Back => json!({"to_revision": revision}),
            Self::Without => json!({"revert_revision": revision}),
        }
    }

    fn question(self, mesh: &str, revision: u64) -> String {
        match self {
            Self::Back => format!("Bring mesh {mesh} back to revision {revision}?"),
            Self::Without => format!("Take revision {revision} of mesh {mesh} back?"),
        }
    }

    const fn heading(self) -> &'static str {
        match self {
            Self::Back => "BACK TO",
            Self::Without => "WITHOUT",
        }
    }
}

pub(crate) async fn go(here: &Here, args: &GoBack, way: Way) -> Result<(), Failure> {
    let mesh = here.mesh()?;
    let client = here.client().await?;
    let path = client.org(&format!("/meshes/{}/rollbacks", segment(mesh)));
    let mut request = Request::new(Method::POST, path).body(way.body(args.revision));
    if args.takeover {
        request = request.query("takeover", "true");
    }
    if args.accept_plain_callers {
        request = request.query("accept_plain_callers", "true");
    }
    let request = noted(request, &args.note);
    let asked = !args.yes && !args.note.dry_run;
    // Before anything is sent, so that a script learns it at once.
    if asked && !ask::someone() {
        return ask::confirm("");
    }
    let shown = if asked {
        let preview = request.clone().query("dry_run", "true");
        let preview = client.send(preview).await?.json()?;
        if preview["changed"] == true {
            say(changes::render(items(&preview), Paint::stderr()).trim_end());
            ask::confirm(&way.question(mesh, args.revision))?;
        }
        Some(preview)
    } else {
        None
    };
    // What was shown is what is done: a mesh that has moved on since refuses it.
    let base = match &shown {
        Some(preview) => etag(&client, mesh, &preview["base_revision"]).await?,
        None => None,
    };
    let request = request.header_if("if-match", base.as_deref());
    let answer = client.send(request).await?.json()?;
    show(args, way, &answer)?;
    if let (Some(patience), Some(revision)) = (args.waiting.wait, answer["revision"].as_u64()) {
        rollout::wait(&client, mesh, revision, patience).await?;
    }
    Ok(())
}

fn items(answer: &Value) -> &[Value] {
    answer["items"].as_array().map_or(&[], Vec::as_slice)
}

async fn etag(client: &Client, mesh: &str, revision: &Value) -> Result<Option<String>, Failure> {
    let path = format!("{}/{}", revisions::collection(mesh), cell(revision));
    let reply = client
        .send(Request::new(Method::GET, client.org(&path)))
        .await?;
    Ok(reply.etag)
}

fn show(args: &GoBack, way: Way, answer: &Value) -> Result<(), Failure> {
    match args.shown.output {
        Format::Json => return data(&output::json(answer)?),
        Format::Yaml => return data(&output::yaml(answer)?),
        Format::Name => return data(&format!("revision/{}\n", cell(&answer["revision"]))),
        Format::Table | Format::Wide => {}
    }
    if answer["changed"] != true {
        say("There is nothing to do: that is what the mesh is already.");
        return Ok(());
    }
    if args.note.dry_run {
        data(&changes::render(items(answer), Paint::stdout()))?;
        say("Nothing was kept.");
        return Ok(());
    }
    let row = [
        &answer["revision"],
        &json!(args.revision),
        &answer["summary"]["added"],
        &answer["summary"]["changed"],
        &answer["summary"]["removed"],
    ];
    data(&output::table(
        &["REVISION", way.heading(), "ADDED", "CHANGED", "REMOVED"],
        &[row.map(cell).to_vec()],
    ))
}
