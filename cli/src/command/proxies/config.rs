//! What a proxy is told.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use super::below;
use crate::args::proxy::{Kind, ProxiesConfig};
use crate::client::Request;
use crate::failure::{Exit, Failure};
use crate::kinds::segment;
use crate::output::{self, Format, cell, data, plain, say};
use crate::place::Here;

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Clusters => "cluster",
        Kind::Endpoints => "endpoints",
        Kind::Listeners => "listener",
        Kind::Routes => "route",
        Kind::Secrets => "secret",
    }
}

pub(super) async fn config(here: &Here, args: &ProxiesConfig) -> Result<(), Failure> {
    let client = here.client().await?;
    let path = below(here, &format!("/proxies/{}/config", segment(&args.proxy)))?;
    let request =
        Request::new(Method::GET, client.org(&path)).query_if("type", args.kind.map(word));
    let (mut about, mut items) = client.list_with(request, usize::MAX).await?;
    if let Some(name) = &args.name {
        items.retain(|item| item["name"] == *name);
        if items.is_empty() {
            let what = format!("{} is told nothing of the name {name}", args.proxy);
            return Err(Failure::new(Exit::NotFound, what).hint(format!(
                "`heddle proxies config {}` lists what there is",
                args.proxy
            )));
        }
    }
    let format = args.shown.output;
    match format {
        Format::Json | Format::Yaml => {
            if let Some(map) = about.as_object_mut() {
                map.remove("next_cursor");
                map.insert(String::from("items"), json!(items));
            }
            match format {
                Format::Json => data(&output::json(&about)?)?,
                _ => data(&output::yaml(&about)?)?,
            }
        }
        Format::Name => {
            let line = |item: &Value| format!("{}/{}\n", cell(&item["type"]), cell(&item["name"]));
            data(&items.iter().map(line).collect::<String>())?;
        }
        Format::Table | Format::Wide if args.name.is_some() => {
            for item in &items {
                data(&whole(item)?)?;
            }
        }
        Format::Table | Format::Wide => {
            let wide = format == Format::Wide;
            let mut headings = vec!["TYPE", "NAME", "STATE", "FROM", "ABOUT"];
            if wide {
                headings.push("VERSION");
            }
            let row = |item: &Value| {
                let mut row = vec![
                    cell(&item["type"]),
                    cell(&item["name"]),
                    cell(&item["state"]),
                    source(item),
                    summary(item),
                ];
                if wide {
                    row.push(cell(&item["version"]));
                }
                row
            };
            let rows: Vec<_> = items.iter().map(row).collect();
            data(&output::table(&headings, &rows))?;
        }
    }
    for diagnostic in about["diagnostics"].as_array().into_iter().flatten() {
        say(&format!(
            "note: {} {}: {}",
            cell(&diagnostic["origin"]["kind"]),
            cell(&diagnostic["origin"]["name"]),
            cell(&diagnostic["message"])
        ));
    }
    say(&told(&about));
    Ok(())
}

/// How much of it is known.
fn told(about: &Value) -> String {
    let revision = cell(&about["revision"]["computed"]);
    let mut text = match about["connected"].as_bool() {
        Some(true) => format!(
            "Connected: revision {revision}, of which it has acknowledged everything up to {}.",
            cell(&about["revision"]["acked"])
        ),
        _ => format!(
            "Not connected: this is what it would get of revision {revision}. What it has is not known here."
        ),
    };
    if about["listeners_known"] == false {
        text.push_str(" It never said how it is set up, so its listeners are missing.");
    }
    text
}

/// The object that says most about it.
fn source(item: &Value) -> String {
    let origins = item["origins"].as_array();
    let first = origins.and_then(|all| {
        let whole = all
            .iter()
            .find(|one| one["within"] == "" || one["within"] == item["name"]);
        whole.or(all.first())
    });
    first.map_or_else(
        || String::from("-"),
        |one| {
            let pointer = one["pointer"].as_str().unwrap_or_default();
            plain(&format!(
                "{} {}{}",
                cell(&one["kind"]),
                cell(&one["name"]),
                match pointer {
                    "" => String::new(),
                    pointer => format!(" {pointer}"),
                }
            ))
        },
    )
}

/// Host and port of an Envoy address.
fn address(of: &Value) -> String {
    let socket = &of["socket_address"];
    format!(
        "{}:{}",
        cell(&socket["address"]),
        cell(&socket["port_value"])
    )
}

/// What is in it, in a few words.
fn summary(item: &Value) -> String {
    let config = &item["config"];
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    let flat = |list: &Value, field: &str| -> Vec<Value> {
        let list = list.as_array().into_iter().flatten();
        let inner = list.flat_map(|one| one[field].as_array().cloned().unwrap_or_default());
        inner.collect()
    };
    let text = match item["type"].as_str().unwrap_or_default() {
        "cluster" => format!(
            "{} {}",
            cell(&config["type"]),
            cell(&config["connect_timeout"])
        ),
        "listener" => address(&config["address"]),
        "endpoints" => {
            let all = flat(&config["endpoints"], "lb_endpoints");
            let all: Vec<String> = all
                .iter()
                .map(|e| address(&e["endpoint"]["address"]))
                .collect();
            match all.len() {
                0 => String::from("none"),
                1..=3 => all.join(","),
                n => format!("{},{} and {} more", all[0], all[1], n - 2),
            }
        }
        "route" => {
            let hosts = count(&config["virtual_hosts"]);
            let routes = flat(&config["virtual_hosts"], "routes").len();
            format!("{hosts} hosts, {routes} routes")
        }
        "secret" => {
            let first = &item["certificates"][0];
            format!(
                "{} until {}",
                cell(&first["use"]),
                cell(&first["not_after"])
            )
        }
        _ => String::from("-"),
    };
    plain(&text)
}

/// One resource with everything about it.
fn whole(item: &Value) -> Result<String, Failure> {
    let mut out = format!(
        "{} {}\nstate    {}\nversion  {}\n",
        cell(&item["type"]),
        cell(&item["name"]),
        cell(&item["state"]),
        cell(&item["version"])
    );
    for origin in item["origins"].as_array().into_iter().flatten() {
        let within = match origin["within"].as_str().unwrap_or_default() {
            "" => String::new(),
            within => plain(&format!("  explains {within}")),
        };
        let _ = writeln!(
            out,
            "from     {} {} {}{within}",
            cell(&origin["kind"]),
            cell(&origin["name"]),
            cell(&origin["pointer"])
        );
    }
    if item["nack"].is_object() {
        let _ = writeln!(out, "refused  {}", cell(&item["nack"]["raw"]));
    }
    let body = match item["config"].is_object() {
        true => &item["config"],
        false => &item["certificates"],
    };
    out.push_str("---\n");
    out.push_str(&output::yaml(body)?);
    Ok(out)
}
