//! Why a call is let through or refused: one that a proxy wrote about, or one that somebody thinks of.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::why::Why;
use crate::client::Request;
use crate::failure::Failure;
use crate::kinds::segment;
use crate::output::{self, Format, cell, data, plain};
use crate::paint::Paint;
use crate::place::Here;

pub(crate) async fn why(here: &Here, args: &Why) -> Result<(), Failure> {
    let question = match (&args.log, &args.to) {
        (Some(log), _) => json!({"log": pasted(log)?}),
        (None, Some(service)) => json!({"call": call(service, args)?}),
        (None, None) => {
            return Err(Failure::usage(
                "name a service with --to, or paste what its proxy wrote",
            ));
        }
    };
    let mesh = here.mesh()?;
    let client = here.client().await?;
    let path = client.org(&format!("/meshes/{}/access/checks", segment(mesh)));
    let request = Request::new(Method::POST, path).body(question);
    let told = client.send(request).await?.json()?;
    match args.shown.output {
        Format::Json => data(&output::json(&told)?),
        Format::Yaml => data(&output::yaml(&told)?),
        Format::Name => match &told["rule"] {
            Value::Null => Ok(()),
            rule => data(&format!("access-rule/{}\n", name(rule))),
        },
        Format::Table | Format::Wide => {
            let paint = Paint::stdout();
            let verdict = match told["allowed"].as_bool() {
                Some(true) => paint.green("ALLOWED"),
                _ => paint.red("DENIED"),
            };
            data(&render(&verdict, &told))
        }
    }
}

/// What a proxy wrote: the argument itself, or standard input.
fn pasted(log: &str) -> Result<String, Failure> {
    match log {
        "-" => std::io::read_to_string(std::io::stdin())
            .map_err(|e| Failure::io("read standard input", &e)),
        log => Ok(log.to_owned()),
    }
}

fn call(service: &str, args: &Why) -> Result<Value, Failure> {
    let mut call = json!({"service": service});
    let fields = [
        ("address", &args.address),
        ("port", &args.port),
        ("method", &args.method),
        ("path", &args.path),
        ("host", &args.host),
    ];
    for (field, value) in fields {
        if let Some(value) = value {
            call[field] = json!(value);
        }
    }
    if let Some(from) = &args.from {
        let kind = match from.starts_with("spiffe://") {
            true => "spiffe",
            false => "service",
        };
        call["from"] = json!({kind: from});
    }
    if !args.headers.is_empty() {
        let headers = args.headers.iter().map(|header| {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| Failure::usage(format!("`{header}` is not NAME: VALUE")))?;
            Ok::<_, Failure>(json!({"name": name.trim(), "value": value.trim()}))
        });
        call["headers"] = headers.collect::<Result<Vec<Value>, Failure>>()?.into();
    }
    Ok(call)
}

/// A rule as `get` takes it.
fn name(rule: &Value) -> String {
    format!("{}/{}", cell(&rule["service"]), cell(&rule["name"]))
}

fn render(verdict: &str, told: &Value) -> String {
    let mut text = format!("{verdict}  {}\n", cell(&told["detail"]));
    for (place, heading) in [
        ("rule", "rule"),
        ("would_deny", "would deny"),
        ("would_allow", "would allow"),
    ] {
        if let Some(rule) = told.get(place) {
            render_rule(&mut text, heading, rule);
        }
    }
    text
}

fn render_rule(text: &mut String, heading: &str, rule: &Value) {
    let report = match rule["report_only"].as_bool() {
        Some(true) => ", only reports",
        _ => "",
    };
    // Writing into a text cannot fail.
    let _ = writeln!(
        text,
        "  {heading:<15}{} ({}{report})",
        name(rule),
        cell(&rule["action"])
    );
    let _ = writeln!(text, "  {:<15}{}", "written", change(&rule["written"]));
    if let Some(since) = rule.get("changed") {
        let state = cell(&rule["state"]);
        let _ = writeln!(text, "  {:<15}{}", format!("{state} since"), change(since));
    }
}

fn change(change: &Value) -> String {
    let mut text = format!(
        "revision {} by {} at {}",
        cell(&change["revision"]),
        cell(&change["author"]["actor"]),
        cell(&change["at"])
    );
    if let Some(message) = change["message"].as_str() {
        let _ = write!(text, ": {}", plain(message));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_gone_is_told_with_both_its_authors() {
        let by = |revision: u64, actor: &str| json!({"revision": revision, "author": {"actor": actor}, "message": "Why", "at": "then"});
        let told = json!({
            "allowed": false,
            "detail": "This rule denied it.",
            "rule": {"service": "payments", "name": "no-admin", "action": "deny", "report_only": false,
                     "state": "deleted", "written": by(3, "ada"), "changed": by(5, "bea")},
        });
        assert_eq!(
            render("DENIED", &told),
            "DENIED  This rule denied it.\n  \
             rule           payments/no-admin (deny)\n  \
             written        revision 3 by ada at then: Why\n  \
             deleted since  revision 5 by bea at then: Why\n"
        );
    }
}
