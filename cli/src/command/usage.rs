//! How much the organisation has and uses, and how much it may.

use reqwest::Method;
use serde_json::Value;

use crate::args::usage::Usage;
use crate::client::Request;
use crate::failure::Failure;
use crate::output::{self, Format, cell, data};
use crate::place::Here;

pub(crate) async fn usage(here: &Here, args: &Usage) -> Result<(), Failure> {
    let client = here.client().await?;
    let request = Request::new(Method::GET, client.org("/usage"));
    let request = request.query("days", args.days.to_string());
    let told = client.send(request).await?.json()?;
    match args.shown.output {
        Format::Json => data(&output::json(&told)?),
        Format::Yaml => data(&output::yaml(&told)?),
        Format::Table | Format::Wide | Format::Name => {
            let quotas = list(&told["quotas"]).map(quota).collect::<Vec<_>>();
            data(&output::table(&["QUOTA", "USED", "LIMIT"], &quotas))?;
            let days = list(&told["days"]).map(day).collect::<Vec<_>>();
            let headings = ["DAY", "REQUESTS", "PUSHES", "CERTIFICATES", "PROXY HOURS"];
            data(&format!("\n{}", output::table(&headings, &days)))
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn quota(quota: &Value) -> Vec<String> {
    let limit = match &quota["limit"] {
        Value::Null => String::from("unlimited"),
        limit => cell(limit),
    };
    vec![cell(&quota["quota"]), cell(&quota["used"]), limit]
}

fn day(day: &Value) -> Vec<String> {
    let fields = ["day", "requests", "pushes", "certificates"].map(|field| cell(&day[field]));
    let hours = day["proxy_seconds"].as_f64().unwrap_or_default() / 3600.0;
    [fields.to_vec(), vec![format!("{hours:.1}")]].concat()
}
