//! Encoded resources as people read them: Envoy's own JSON, by a table of the fields that translation sets.
//!
//! The table (`readable/fields.txt`) is made from the descriptors of the `.proto` files by a test, which also compares what comes
//! out with what those descriptors say. A field that the table lacks is named by its number and not shown.

mod redact;
mod table;
mod wire;

use serde_json::{Map, Value, json};

use crate::resource::Resource;
use table::{Field, Kind, Label, Table};
use wire::{Reader, Scalar};

/// How deep messages stand in each other at most; ours are far from it.
const DEEPEST: usize = 64;

const ANY: &str = "google.protobuf.Any";

/// A resource as JSON, with `@type` and Envoy's names of fields; keys sorted, defaults left out, and everything that may be a
/// secret hidden.
#[must_use]
pub fn readable(resource: &Resource) -> Value {
    let mut value = everything(resource);
    redact::redact(&mut value);
    value
}

/// The same with nothing hidden. For tests: certificates and keys stand in secrets.
#[doc(hidden)]
#[must_use]
pub fn everything(resource: &Resource) -> Value {
    message(Table::get(), ANY, &resource.body, 0).unwrap_or(Value::Null)
}

/// `None`: no such message, or bytes that are none.
fn message(table: &Table, name: &str, bytes: &[u8], depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    match name {
        ANY => return any(table, bytes, depth),
        "google.protobuf.Duration" => return wire::duration(bytes).map(Value::String),
        "google.protobuf.Empty" => return Some(json!({})),
        "google.protobuf.Struct" => return structure(table, bytes, depth),
        "google.protobuf.Value" => return value(table, bytes, depth),
        "google.protobuf.ListValue" => return list(table, bytes, depth),
        _ => {}
    }
    let fields = table.message(name)?;
    if name.starts_with("google.protobuf.") && name.ends_with("Value") {
        // One of the wrappers, which stand for what is in them.
        let field = fields.get(&1)?;
        return match Reader::new(bytes).next() {
            None => field.zero(),
            Some(found) => one(table, field, &found.ok()?.1, depth),
        };
    }
    let mut out: Map<String, Value> = Map::new();
    for entry in Reader::new(bytes) {
        let (number, scalar) = entry.ok()?;
        let Some(field) = fields.get(&number) else {
            out.insert(format!("field {number}"), json!("(not shown)"));
            continue;
        };
        match field.label {
            Label::One => {
                out.insert(field.name.clone(), one(table, field, &scalar, depth)?);
            }
            Label::Many => {
                let slot = out.entry(field.name.clone()).or_insert_with(|| json!([]));
                let items = slot.as_array_mut()?;
                match (&field.kind, &scalar) {
                    // Numbers stand in one piece.
                    (Kind::Message(_) | Kind::Text | Kind::Bytes, _) => {
                        items.push(one(table, field, &scalar, depth)?);
                    }
                    (_, Scalar::Bytes(packed)) => {
                        for scalar in field.kind.unpack(packed)? {
                            items.push(one(table, field, &scalar, depth)?);
                        }
                    }
                    _ => items.push(one(table, field, &scalar, depth)?),
                }
            }
            Label::Map => {
                let Scalar::Bytes(entry) = &scalar else {
                    return None;
                };
                let (key, value) = self::entry(table, field, entry, depth)?;
                let slot = out.entry(field.name.clone()).or_insert_with(|| json!({}));
                slot.as_object_mut()?.insert(key, value);
            }
        }
    }
    Some(Value::Object(sorted(out)))
}

fn sorted(map: Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<_> = map
        .into_iter()
        .map(|(key, value)| match value {
            Value::Object(map) => (key, Value::Object(sorted(map))),
            other => (key, other),
        })
        .collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    entries.into_iter().collect()
}

/// One entry of a map from text.
fn entry(table: &Table, field: &Field, bytes: &[u8], depth: usize) -> Option<(String, Value)> {
    let mut key = String::new();
    let mut value = None;
    for entry in Reader::new(bytes) {
        match entry.ok()? {
            (1, Scalar::Bytes(text)) => key = std::str::from_utf8(text).ok()?.to_owned(),
            (2, scalar) => value = Some(one(table, field, &scalar, depth)?),
            _ => {}
        }
    }
    let value = match value {
        Some(value) => value,
        None => match &field.kind {
            Kind::Message(name) => message(table, name, &[], depth + 1)?,
            _ => field.zero()?,
        },
    };
    Some((key, value))
}

fn one(table: &Table, field: &Field, scalar: &Scalar<'_>, depth: usize) -> Option<Value> {
    match (&field.kind, scalar) {
        (Kind::Message(name), Scalar::Bytes(bytes)) => message(table, name, bytes, depth + 1),
        (kind, scalar) => kind.render(table, scalar),
    }
}

fn any(table: &Table, bytes: &[u8], depth: usize) -> Option<Value> {
    let mut url = String::new();
    let mut body: &[u8] = &[];
    for entry in Reader::new(bytes) {
        match entry.ok()? {
            (1, Scalar::Bytes(text)) => url = std::str::from_utf8(text).ok()?.to_owned(),
            (2, Scalar::Bytes(bytes)) => body = bytes,
            _ => {}
        }
    }
    let mut out = Map::new();
    out.insert(String::from("@type"), json!(url));
    let name = url.rsplit('/').next().unwrap_or_default();
    match message(table, name, body, depth + 1) {
        Some(Value::Object(map)) if !name.starts_with("google.protobuf.") => out.extend(map),
        Some(value) => {
            out.insert(String::from("value"), value);
        }
        None => {
            out.insert(String::from("value"), json!("(not shown)"));
        }
    }
    Some(Value::Object(out))
}

fn structure(table: &Table, bytes: &[u8], depth: usize) -> Option<Value> {
    let mut out = Map::new();
    for entry in Reader::new(bytes) {
        let (1, Scalar::Bytes(pair)) = entry.ok()? else {
            continue;
        };
        let mut key = String::new();
        let mut found = Value::Null;
        for part in Reader::new(pair) {
            match part.ok()? {
                (1, Scalar::Bytes(text)) => key = std::str::from_utf8(text).ok()?.to_owned(),
                (2, Scalar::Bytes(bytes)) => found = value(table, bytes, depth + 1)?,
                _ => {}
            }
        }
        out.insert(key, found);
    }
    Some(Value::Object(sorted(out)))
}

fn value(table: &Table, bytes: &[u8], depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let mut out = Value::Null;
    for entry in Reader::new(bytes) {
        out = match entry.ok()? {
            (2, Scalar::Fixed64(bits)) => json!(f64::from_bits(bits)),
            (3, Scalar::Bytes(text)) => json!(std::str::from_utf8(text).ok()?),
            (4, Scalar::Varint(number)) => json!(number != 0),
            (5, Scalar::Bytes(bytes)) => structure(table, bytes, depth + 1)?,
            (6, Scalar::Bytes(bytes)) => list(table, bytes, depth + 1)?,
            _ => Value::Null,
        };
    }
    Some(out)
}

fn list(table: &Table, bytes: &[u8], depth: usize) -> Option<Value> {
    let mut out = Vec::new();
    for entry in Reader::new(bytes) {
        if let (1, Scalar::Bytes(bytes)) = entry.ok()? {
            out.push(value(table, bytes, depth + 1)?);
        }
    }
    Some(Value::Array(out))
}
