//! Commands that fit into a few lines.

use clap::CommandFactory as _;
use clap_complete::Shell;
use heddle_model::code::Code;
use reqwest::Method;
use serde_json::Value;

use crate::args::{Api, Cli, Shown};
use crate::client::Request;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, cell, data};
use crate::place::Here;

pub(crate) fn completion(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "heddle", &mut script);
    data(&String::from_utf8_lossy(&script))
}

/// The text that the server has for the code as well; no server is needed for it.
pub(crate) fn explain(code: &str) -> Result<(), Failure> {
    let unknown = || {
        Failure::new(Exit::NotFound, format!("there is no code `{code}`"))
            .hint("codes look like HED-1002; a newer server explains its own at /v1/codes")
    };
    let code = code.to_uppercase().parse::<Code>().map_err(|_| unknown())?;
    data(&format!(
        "{}: {}\n\nWhat happened: {}\nWhat to do:    {}\nHTTP status:   {}\n",
        code.as_str(),
        code.title(),
        code.cause(),
        code.fix(),
        code.status(),
    ))
}

pub(crate) async fn whoami(here: &Here, shown: Shown) -> Result<(), Failure> {
    let client = here.client().await?;
    let me = client.get(String::from("/v1/whoami")).await?;
    match shown.output {
        Format::Json => data(&output::json(&me)?),
        Format::Yaml => data(&output::yaml(&me)?),
        Format::Name => data(&format!("{}\n", cell(&me["actor"]))),
        Format::Table | Format::Wide => {
            let mut text = format!(
                "Server:        {}\nOrganisation:  {}\nYou are:       {}\nRole:          {}\nPermissions:   {}\n",
                client.server(),
                cell(&me["org"]["name"]),
                cell(&me["actor"]),
                cell(&me["role"]),
                cell(&me["permissions"]),
            );
            for (mesh, scopes) in me["meshes"].as_object().into_iter().flatten() {
                text.push_str(&format!("  at {}: {}\n", output::plain(mesh), cell(scopes)));
            }
            data(&text)
        }
    }
}

pub(crate) async fn api(here: &Here, args: &Api) -> Result<(), Failure> {
    let method = args.method.to_uppercase().parse::<Method>();
    let method =
        method.map_err(|_| Failure::usage(format!("`{}` is not a method", args.method)))?;
    if !args.path.starts_with('/') {
        return Err(Failure::usage(
            "an address begins with a slash, such as /v1/orgs/-/meshes",
        ));
    }
    let mut request = Request::new(method, &args.path);
    if let Some(body) = &args.body {
        let text = match body.as_str() {
            "-" => std::io::read_to_string(std::io::stdin())
                .map_err(|e| Failure::io("read standard input", &e))?,
            text => text.to_owned(),
        };
        let body: Result<Value, _> = serde_json::from_str(&text);
        request.body =
            Some(body.map_err(|e| Failure::usage(format!("the body is not JSON: {e}")))?);
    }
    let reply = here.client().await?.send(request).await?;
    match reply.json() {
        Ok(Value::Null) => Ok(()),
        Ok(body) => data(&output::json(&body)?),
        Err(_) => data(&reply.text),
    }
}
