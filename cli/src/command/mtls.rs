//! Who still calls in plain text, and whom rules that only report would refuse.

use chrono::{SecondsFormat, TimeDelta};
use heddle_model::clock::{Clock as _, SystemClock};
use heddle_model::duration::HumanDuration;
use reqwest::Method;
use serde_json::Value;

use crate::args::Shown;
use crate::args::mtls::{MtlsCommand, Readiness, Window, WouldDeny};
use crate::client::Request;
use crate::failure::Failure;
use crate::kinds::segment;
use crate::output::{self, Format, cell, data, plain, say};
use crate::place::Here;

pub(crate) async fn run(here: &Here, command: MtlsCommand) -> Result<(), Failure> {
    match command {
        MtlsCommand::Readiness(args) => readiness(here, &args).await,
    }
}

async fn ask(here: &Here, path: &str, window: &Window) -> Result<Value, Failure> {
    let client = here.client().await?;
    let path = format!("/meshes/{}{path}", segment(here.mesh()?));
    let mut request = Request::new(Method::GET, client.org(&path));
    if let Some(back) = &window.since {
        let back = back.parse::<HumanDuration>().map(|back| back.get());
        let back = back.ok().and_then(|back| TimeDelta::from_std(back).ok());
        let since = back.and_then(|back| SystemClock.now().checked_sub_signed(back));
        let since = since.ok_or_else(|| Failure::error("--since is too long"))?;
        let since = since.to_rfc3339_opts(SecondsFormat::Millis, true);
        request = request.query("since", since);
    }
    client.send(request).await?.json()
}

async fn readiness(here: &Here, args: &Readiness) -> Result<(), Failure> {
    let path = match &args.service {
        Some(service) => format!("/services/{}/mtls/readiness", segment(service)),
        None => String::from("/mtls/readiness"),
    };
    let told = ask(here, &path, &args.window).await?;
    if let Some(text) = whole(&told, args.shown)? {
        return data(&text);
    }
    let services = match &args.service {
        Some(_) => vec![&told],
        None => list(&told["services"]),
    };
    let mut rows = Vec::new();
    for service in &services {
        for port in list(&service["ports"]) {
            let fields = ["port", "mode", "state", "reason"].map(|field| cell(&port[field]));
            rows.push([vec![cell(&service["service"])], fields.to_vec()].concat());
        }
    }
    if args.service.is_none() {
        say(&format!(
            "{} services are strict already.",
            cell(&told["strict"])
        ));
    }
    let headings = ["SERVICE", "PORT", "MODE", "STATE", "WHY"];
    data(&output::table(&headings, &rows))?;
    let callers = services.iter().flat_map(|service| {
        let ports = list(&service["ports"]).into_iter();
        ports.flat_map(move |port| {
            let callers = list(&port["callers"]).into_iter();
            callers.map(move |caller| {
                let at = [cell(&service["service"]), cell(&port["port"])];
                let who = [address(caller), names(&caller["probably"])];
                let fields = ["requests", "refused", "last_seen", "would_fail"];
                let fields = fields.map(|field| cell(&caller[field]));
                [at.to_vec(), who.to_vec(), fields.to_vec()].concat()
            })
        })
    });
    let callers: Vec<Vec<String>> = callers.collect();
    if callers.is_empty() {
        return Ok(());
    }
    let headings = [
        "SERVICE",
        "PORT",
        "CALLER",
        "PROBABLY",
        "REQUESTS",
        "REFUSED",
        "LAST SEEN",
        "WOULD FAIL",
    ];
    data(&format!("\n{}", output::table(&headings, &callers)))
}

pub(crate) async fn would_deny(here: &Here, args: &WouldDeny) -> Result<(), Failure> {
    let path = format!("/services/{}/access/would-deny", segment(&args.service));
    let told = ask(here, &path, &args.window).await?;
    if let Some(text) = whole(&told, args.shown)? {
        return data(&text);
    }
    let mut rows = Vec::new();
    for rule in list(&told["rules"]) {
        let callers = list(&rule["callers"]);
        if callers.is_empty() {
            let nobody = ["nobody", "", "", "0", ""].map(String::from);
            rows.push([vec![cell(&rule["rule"])], nobody.to_vec()].concat());
        }
        for caller in callers {
            let who = match caller["spiffe"].as_str() {
                Some(spiffe) => plain(caller["service"].as_str().unwrap_or(spiffe)),
                None => address(caller),
            };
            let rest = ["port", "requests", "last_seen"].map(|field| cell(&caller[field]));
            let at = vec![cell(&rule["rule"]), who, names(&caller["probably"])];
            rows.push([at, rest.to_vec()].concat());
        }
    }
    if rows.is_empty() {
        say("No access rule of the service denies and only reports.");
        return Ok(());
    }
    if let Some(doubt) = told["doubt"].as_str() {
        say(&format!("There may be more: {}.", plain(doubt)));
    }
    let headings = [
        "RULE",
        "CALLER",
        "PROBABLY",
        "PORT",
        "REQUESTS",
        "LAST SEEN",
    ];
    data(&output::table(&headings, &rows))
}

/// The answer for programs.
fn whole(told: &Value, shown: Shown) -> Result<Option<String>, Failure> {
    Ok(match shown.output {
        Format::Json => Some(output::json(told)?),
        Format::Yaml => Some(output::yaml(told)?),
        Format::Table | Format::Wide | Format::Name => None,
    })
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

fn address(caller: &Value) -> String {
    plain(caller["address"].as_str().unwrap_or("others"))
}

fn names(value: &Value) -> String {
    let names = list(value).into_iter().filter_map(Value::as_str);
    plain(&names.collect::<Vec<_>>().join(", "))
}
