//! What proxies refuse, in the terms of whoever wrote it: the object, the field, and Envoy's own words.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{below, wanted};
use crate::args::proxy::{ProxiesNacks, Which};
use crate::failure::{Exit, Failure};
use crate::kinds::segment;
use crate::output::{self, Format, cell, data, plain, say};
use crate::place::Here;

pub(super) async fn nacks(here: &Here, args: &ProxiesNacks) -> Result<(), Failure> {
    let client = here.client().await?;
    let proxies = match &args.proxy {
        Some(name) => {
            let path = below(here, &format!("/proxies/{}", segment(name)))?;
            vec![client.get(client.org(&path)).await?]
        }
        None => {
            let which = Which {
                service: args.service.clone(),
                limit: u32::MAX,
            };
            let refusing = |proxy: &Value| {
                let nacks = proxy["nacks"].as_array();
                nacks.is_some_and(|nacks| !nacks.is_empty())
            };
            wanted(here, &client, &which, refusing).await?
        }
    };
    let mut all = Vec::new();
    for proxy in &proxies {
        for nack in proxy["nacks"].as_array().into_iter().flatten() {
            let mut one = nack.clone();
            one["proxy"] = proxy["name"].clone();
            one["service"] = proxy["service"].clone();
            all.push(one);
        }
    }
    match args.shown.output {
        Format::Json => data(&output::json(&json!({"items": all}))?)?,
        Format::Yaml => data(&output::yaml(&json!({"items": all}))?)?,
        Format::Name => {
            let line = |one: &Value| format!("proxy/{}\n", cell(&one["proxy"]));
            data(&all.iter().map(line).collect::<String>())?;
        }
        Format::Table | Format::Wide => data(&all.iter().map(explain).collect::<String>())?,
    }
    if all.is_empty() {
        say("No proxy refuses anything.");
        return Ok(());
    }
    let what = format!("{} refused in {} proxies", all.len(), proxies.len());
    Err(Failure::new(Exit::Findings, what).hint(
        "mend the object that is named; the proxy keeps its last good configuration until then",
    ))
}

/// What a resource is to whoever knows Envoy.
fn noun(kind: &str) -> &'static str {
    match kind {
        "CDS" => "the cluster",
        "EDS" => "the endpoints of the cluster",
        "LDS" => "the listener",
        "RDS" => "the routes",
        "SDS" => "the certificates",
        _ => "the resource",
    }
}

fn explain(nack: &Value) -> String {
    let text = |field: &str| plain(nack[field].as_str().unwrap_or("?"));
    let mut out = format!(
        "{} (service {}) refuses {} {}, since {}\n",
        text("proxy"),
        text("service"),
        noun(nack["type"].as_str().unwrap_or_default()),
        text("resource"),
        text("at"),
    );
    let cause = &nack["cause"];
    if cause.is_object() {
        let pointer = cause["pointer"].as_str().unwrap_or_default();
        let field = match pointer {
            "" => String::from("the whole of it"),
            pointer => plain(pointer),
        };
        let _ = writeln!(
            out,
            "  came from   {} {}, field {field}, as revision {} wrote it",
            plain(&cause["kind"].as_str().unwrap_or("object").replace('_', " ")),
            cell(&cause["name"]),
            cell(&cause["revision"]),
        );
    } else {
        out.push_str("  came from   nothing that you wrote: tell us\n");
    }
    let _ = writeln!(out, "  Envoy says  {}", text("raw"));
    let _ = writeln!(out, "  code        {}", text("code"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_users_terms() {
        let told = explain(&json!({
            "proxy": "payments-1", "service": "payments", "type": "LDS", "resource": "heddle/inbound/http",
            "at": "2026-11-25T14:00:00.000Z", "code": "HED-3007", "raw": "cannot bind\u{1b}[2J",
            "cause": {"kind": "access_rule", "name": "payments/one", "pointer": "/ports/0", "revision": 3},
        }));
        assert_eq!(
            told,
            "payments-1 (service payments) refuses the listener heddle/inbound/http, since 2026-11-25T14:00:00.000Z\n  \
             came from   access rule payments/one, field /ports/0, as revision 3 wrote it\n  \
             Envoy says  cannot bind?[2J\n  code        HED-3007\n"
        );
    }
}
