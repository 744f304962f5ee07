//! How much an organisation has and uses, and how much it may.

use axum::Json;
use axum::extract::State;
use heddle_model::authz::permission::UsageRead;
use heddle_store::quotas::{self, QuotaRow};
use heddle_store::usage::{self, Meter, UsageDay};
use serde_json::{Map, Value, json};

use crate::auth::Allow;
use crate::extract::Query;
use crate::problem::Problem;
use crate::state::App;

/// The path.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/usage";

/// How many days are told when nobody says.
pub(crate) const USUAL_DAYS: u32 = 30;
/// How many days are told at the most: a year, and the same day of the year before.
pub(crate) const MOST_DAYS: u32 = 366;

fn quota(row: &QuotaRow) -> Value {
    json!({
        "quota": row.quota.as_str(),
        "used": row.used,
        "limit": row.limit.number(),
        "own_limit": row.own,
    })
}

fn day(used: &UsageDay) -> Value {
    let mut told = Map::new();
    told.insert(String::from("day"), json!(used.day));
    for meter in Meter::ALL {
        told.insert(meter.as_str().to_owned(), json!(used.amount(*meter)));
    }
    Value::Object(told)
}

pub(crate) async fn get(
    Allow(grant): Allow<UsageRead>,
    State(app): State<App>,
    mut query: Query,
) -> Result<Json<Value>, Problem> {
    // That it is a number in bounds was judged by the document.
    let days = query.take("days").and_then(|text| text.parse().ok());
    query.finish()?;
    let days = days.unwrap_or(USUAL_DAYS).clamp(1, MOST_DAYS);
    let mut tx = app.store.begin(&grant).await?;
    let quotas = quotas::all(&mut tx).await?;
    let used = usage::days(&mut tx, days).await?;
    tx.done();
    Ok(Json(json!({
        "quotas": quotas.iter().map(quota).collect::<Vec<_>>(),
        "days": used.iter().map(day).collect::<Vec<_>>(),
    })))
}
