//! Which proxies have what they should have.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::wanted;
use crate::args::proxy::ProxiesStatus;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, cell, data, say};
use crate::place::Here;

/// In the word that operators know.
fn word(proxy: &Value) -> &'static str {
    match proxy["state"].as_str().unwrap_or_default() {
        "ready" => "SYNCED",
        "nacked" => "NACK",
        "offline" => "OFFLINE",
        "connecting" => "NEW",
        _ => "STALE",
    }
}

/// What is to be said about it.
fn note(proxy: &Value) -> String {
    let refused = proxy["nacks"].as_array().map_or(0, Vec::len);
    match word(proxy) {
        "NACK" => {
            let first = &proxy["nacks"][0];
            format!(
                "refuses {refused}: {} {}",
                cell(&first["type"]),
                cell(&first["resource"])
            )
        }
        "STALE" => match proxy["revision"]["pending_types"].as_array() {
            Some(types) if !types.is_empty() => {
                format!("waits for {}", cell(&proxy["revision"]["pending_types"]))
            }
            _ => String::from("its server has not shown it the revision yet"),
        },
        "OFFLINE" => format!("last seen {}", cell(&proxy["meta"]["last_seen_at"])),
        _ => String::from("-"),
    }
}

/// The known holes of its Envoy.
fn advisories(proxy: &Value) -> &[Value] {
    proxy["advisories"].as_array().map_or(&[], Vec::as_slice)
}

pub(super) async fn status(here: &Here, args: &ProxiesStatus) -> Result<(), Failure> {
    let client = here.client().await?;
    let items = wanted(here, &client, &args.which, |_| true).await?;
    let is_problem = |proxy: &Value| match word(proxy) {
        "SYNCED" => false,
        "OFFLINE" => !args.allow_offline,
        _ => true,
    };
    let count = |state: &str| items.iter().filter(|one| word(one) == state).count();
    let problems = items.iter().filter(|one| is_problem(one)).count();
    let shown = |proxy: &Value| {
        json!({
            "name": proxy["name"],
            "service": proxy["service"],
            "status": word(proxy),
            "acked": proxy["revision"]["acked"],
            "target": proxy["revision"]["target"],
            "problem": is_problem(proxy),
            "note": note(proxy),
            "advisories": advisories(proxy),
        })
    };
    let all = json!({
        "items": items.iter().map(shown).collect::<Vec<_>>(),
        "problems": problems,
    });
    match args.shown.output {
        Format::Json => data(&output::json(&all)?)?,
        Format::Yaml => data(&output::yaml(&all)?)?,
        Format::Name => {
            let bad = items.iter().filter(|one| is_problem(one));
            let lines = bad.map(|one| format!("proxy/{}\n", cell(&one["name"])));
            data(&lines.collect::<String>())?;
        }
        Format::Table | Format::Wide if items.is_empty() => say("There are no proxies."),
        Format::Table | Format::Wide => {
            let mut headings = vec!["NAME", "SERVICE", "STATUS", "ACKED", "TARGET", "NOTE"];
            let wide = args.shown.output == Format::Wide;
            if wide {
                headings.extend(["ENVOY", "ADDRESS", "LAST SEEN"]);
            }
            let row = |proxy: &Value| {
                let at = |pointer: &str| cell(proxy.pointer(pointer).unwrap_or(&Value::Null));
                let mut row = vec![
                    at("/name"),
                    at("/service"),
                    word(proxy).to_owned(),
                    at("/revision/acked"),
                    at("/revision/target"),
                    note(proxy),
                ];
                if wide {
                    row.extend([
                        at("/envoy/version"),
                        at("/address"),
                        at("/meta/last_seen_at"),
                    ]);
                }
                row
            };
            let rows: Vec<_> = items.iter().map(row).collect();
            data(&output::table(&headings, &rows))?;
        }
    }
    say(&format!(
        "{} proxies: {} synced, {} stale, {} new, {} refusing, {} offline.",
        items.len(),
        count("SYNCED"),
        count("STALE"),
        count("NEW"),
        count("NACK"),
        count("OFFLINE")
    ));
    // A line for each version, however many run it.
    let mut holed = BTreeMap::new();
    for proxy in items.iter().filter(|one| !advisories(one).is_empty()) {
        let of = holed.entry(cell(&proxy["envoy"]["version"]));
        of.or_insert((0, advisories(proxy))).0 += 1;
    }
    for (version, (proxies, advisories)) in holed {
        let ids: Vec<_> = advisories.iter().map(|one| cell(&one["id"])).collect();
        say(&format!(
            "{proxies} of them run Envoy {version}, which has known holes ({}); `heddle describe` says more.",
            ids.join(", ")
        ));
    }
    if problems == 0 {
        return Ok(());
    }
    let what = format!(
        "{problems} of {} proxies have not what they should have",
        items.len()
    );
    Err(Failure::new(Exit::Findings, what).hint(match count("NACK") {
        0 if count("OFFLINE") == problems => {
            "is the Envoy running? `heddle doctor` on its host says why it does not connect"
        }
        0 => "`heddle proxies status` again in a moment; `heddle api GET .../rollout` says whom a revision waits for",
        _ => "`heddle proxies nacks` explains what is refused",
    }))
}
