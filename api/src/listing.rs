//! Lists of declarative objects: `filter`, `order_by`, `fields`, and cursors that belong to one list only.

use std::collections::BTreeSet;

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use heddle_model::code::Code;
use heddle_model::filter::{self, Fields};
use heddle_model::kind::Spec;
use heddle_store::listing::{Key, Position, Wanted};
use heddle_store::resources::Stored;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::digest;
use crate::extract::{Query, limit};
use crate::problem::Problem;

/// What tells a cursor of ours from anything else.
const CURSOR: &str = "c_";
/// How much of the digest of its list a cursor carries, in bytes.
const DIGEST: usize = 8;

/// What a client wants of a list.
#[derive(Debug)]
pub(crate) struct Listing {
    /// What the store is asked for: one more than the page, to see whether another follows.
    pub(crate) wanted: Wanted,
    limit: usize,
    fields: Option<BTreeSet<String>>,
    digest: [u8; DIGEST],
}

impl Listing {
    /// Takes its parameters out of a query. `list` says which list it is: a cursor of another one is refused.
    pub(crate) fn take<T: Spec>(query: &mut Query, list: &str) -> Result<Self, Problem> {
        let limit = limit(query)?;
        let filter = query.take("filter");
        let order = query.take("order_by");
        let fields = query.take("fields");
        let cursor = query.take("cursor");
        let whole = digest::of(&[
            list.as_bytes(),
            filter.as_deref().unwrap_or_default().as_bytes(),
            order.as_deref().unwrap_or_default().as_bytes(),
        ]);
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(&whole[..DIGEST]);
        let filter = filter.map(|text| read_filter::<T>(&text)).transpose()?;
        let (key, descending) = order.map_or(Ok((Key::Name, false)), |text| read_order(&text))?;
        let fields = fields.map(|text| read_fields::<T>(&text)).transpose()?;
        let after = cursor
            .map(|text| read_cursor(&text, digest, key))
            .transpose()?;
        Ok(Self {
            wanted: Wanted {
                filter,
                key,
                descending,
                after,
                limit: limit + 1,
            },
            limit: limit as usize,
            fields,
            digest,
        })
    }

    /// Answers with a page of what the store found.
    pub(crate) fn answer<R>(
        &self,
        mut rows: Vec<R>,
        address: &str,
        stored: impl Fn(&R) -> &Stored,
        render: impl Fn(usize, R) -> Value,
    ) -> Response {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| more);
        let cursor = last.map(|last| self.cursor(stored(last)));
        let items: Vec<Value> = rows
            .into_iter()
            .enumerate()
            .map(|(at, row)| self.masked(render(at, row)))
            .collect();
        let mut body = Map::new();
        body.insert(String::from("items"), Value::Array(items));
        if let Some(cursor) = cursor {
            body.insert(String::from("next_cursor"), json!(cursor));
        }
        body.insert(String::from("self"), json!(address));
        Json(Value::Object(body)).into_response()
    }

    fn masked(&self, mut item: Value) -> Value {
        if let (Some(fields), Some(map)) = (&self.fields, item.as_object_mut()) {
            map.retain(|name, _| fields.contains(name));
        }
        item
    }

    fn cursor(&self, last: &Stored) -> String {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let key = match self.wanted.key {
            Key::Name => last.name.to_string(),
            Key::CreatedAt => time(last.created_at),
            Key::UpdatedAt => time(last.updated_at),
        };
        let mut bytes = self.digest.to_vec();
        bytes.extend(last.id.as_bytes());
        bytes.extend(key.as_bytes());
        format!("{CURSOR}{}", hex::encode(bytes))
    }
}

fn read_filter<T: Spec>(text: &str) -> Result<filter::Expr, Problem> {
    let fields = Fields::of::<T>();
    filter::parse(text, &fields).map_err(|error| {
        let problem = Problem::new(Code::BadFilter, format!("`filter`, {error}"));
        let problem = problem.with("parameter", json!("filter"));
        if error.unknown_field {
            problem.with("fields", json!(fields.names()))
        } else {
            problem
        }
    })
}

fn read_order(text: &str) -> Result<(Key, bool), Problem> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let key = match words.next() {
        Some("name") => Some(Key::Name),
        Some("created_at") => Some(Key::CreatedAt),
        Some("updated_at") => Some(Key::UpdatedAt),
        _ => None,
    };
    let descending = match words.next() {
        None | Some("asc") => Some(false),
        Some("desc") => Some(true),
        Some(_) => None,
    };
    match (key, descending, words.next()) {
        (Some(key), Some(descending), None) => Ok((key, descending)),
        _ => Err(Problem::parameter(
            "order_by",
            "`order_by` is `name`, `created_at` or `updated_at`, with ` desc` for the greatest first",
        )),
    }
}

fn read_fields<T: Spec>(text: &str) -> Result<BTreeSet<String>, Problem> {
    let schema = serde_json::to_value(T::schema()).unwrap_or_default();
    let own = schema["properties"].as_object();
    let mut known: Vec<&str> = vec!["name"];
    known.extend(
        own.into_iter()
            .flat_map(|own| own.keys().map(String::as_str)),
    );
    known.extend(["meta", "status"]);
    let mut fields = BTreeSet::new();
    for field in text.split(',').map(str::trim) {
        if !known.contains(&field) {
            let shown: String = field.chars().take(40).collect();
            let detail = format!(
                "`fields`: there is no field `{shown}`; there are {}",
                known.join(", ")
            );
            return Err(Problem::parameter("fields", detail).with("fields", json!(known)));
        }
        fields.insert(field.to_owned());
    }
    Ok(fields)
}

fn read_cursor(text: &str, digest: [u8; DIGEST], key: Key) -> Result<Position, Problem> {
    let bad = || Problem::parameter("cursor", "`cursor`: not one that this list has handed out");
    let encoded = text.strip_prefix(CURSOR).ok_or_else(bad)?;
    let bytes = hex::decode(encoded).map_err(|_| bad())?;
    let (of, rest) = bytes.split_at_checked(DIGEST).ok_or_else(bad)?;
    let (id, last) = rest
        .split_at_checked(16)
        .filter(|(_, last)| !last.is_empty())
        .ok_or_else(bad)?;
    // From here on it has the form that the document promises; what it names decides.
    let bad = || Problem::unfit("cursor", "`cursor`: not one that this list has handed out");
    if of != digest {
        return Err(Problem::unfit(
            "cursor",
            "`cursor` belongs to another list, `filter` or `order_by`; begin again without it",
        ));
    }
    let id = Uuid::from_slice(id).map_err(|_| bad())?;
    let last = std::str::from_utf8(last).map_err(|_| bad())?;
    match key {
        Key::Name => Ok(Position::Name(last.parse().map_err(|_| bad())?, id)),
        Key::CreatedAt | Key::UpdatedAt => {
            let time = DateTime::parse_from_rfc3339(last).map_err(|_| bad())?;
            Ok(Position::Time(time.to_utc(), id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        assert_eq!(read_order("name").unwrap(), (Key::Name, false));
        assert_eq!(
            read_order("created_at  desc").unwrap(),
            (Key::CreatedAt, true)
        );
        assert_eq!(
            read_order("updated_at asc").unwrap(),
            (Key::UpdatedAt, false)
        );
        for bad in [
            "",
            "uid",
            "name down",
            "name desc x",
            "name,created_at",
            "Name",
        ] {
            assert!(read_order(bad).is_err(), "{bad}");
        }
    }
}
