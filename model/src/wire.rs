//! From bytes to a checked value, or to everything that is wrong with them.
//!
//! Four steps: strict JSON (no duplicate keys), output-only fields set aside, the published schema, then the
//! rules that a schema cannot express, which also judge what the schema has left of a value. The schema is the one in the OpenAPI document, so what is promised
//! there and what is enforced here cannot drift apart.

mod merge;
mod rest;
mod schema;
mod strict;

use serde_json::{Map, Value};

use crate::code::Code;
use crate::kind::Spec;
use crate::violation::{Pointer, Violation, Violations};

use rest::Rest;

pub use merge::merge;
pub use schema::{Schema, violations_of};

/// Fields that the server adds to an answer. They are accepted and ignored in a request, so that what was read
/// can be edited and sent back.
pub const OUTPUT_ONLY: [&str; 3] = ["meta", "status", "effective"];

/// What a body says.
#[derive(Debug, Clone)]
pub struct Decoded<T> {
    /// What the user sent, without output-only fields: stored and echoed as it is.
    pub sent: Map<String, Value>,
    /// The same, typed.
    pub value: T,
    /// `meta.etag`, if the body has one: the state that the sender believes to replace.
    pub etag: Option<String>,
}

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Not JSON, or not an object.
    Malformed(Violation),
    /// JSON that breaks rules: all of them.
    Invalid(Violations),
}

/// Parses one JSON object, refusing duplicate keys.
///
/// # Errors
/// A single violation that says where the text stops being JSON.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, Violation> {
    match strict::parse(bytes)? {
        Value::Object(map) => Ok(map),
        other => Err(Violation {
            pointer: String::new(),
            code: Code::WrongType,
            detail: format!("the body is {}, not an object", schema::noun(&other)),
            hint: None,
        }),
    }
}

/// Decodes the body of a declarative kind.
///
/// # Errors
/// [`Refused`], with every violation.
pub fn decode<T: Spec>(bytes: &[u8]) -> Result<Decoded<T>, Refused> {
    let sent = parse_object(bytes).map_err(Refused::Malformed)?;
    decode_sent(sent).map_err(Refused::Invalid)
}

/// Decodes a declarative kind from an object that has been parsed already.
///
/// # Errors
/// Every violation.
pub fn decode_sent<T: Spec>(mut sent: Map<String, Value>) -> Result<Decoded<T>, Violations> {
    let etag = set_aside(&mut sent);
    let value = decode_object::<T>(&sent).map_err(|broken| with_rules::<T>(&sent, broken))?;
    let mut violations = Violations::new();
    value.validate(&Pointer::Root, &mut violations);
    violations.into_result()?;
    Ok(Decoded { sent, value, etag })
}

/// What breaks the schema, and the rules that the rest of the object breaks.
fn with_rules<T: Spec>(sent: &Map<String, Value>, mut broken: Violations) -> Violations {
    let mut value = Value::Object(sent.clone());
    schema::drop_nulls(&mut value);
    if let Some(rest) = Rest::<T>::of(value, &broken) {
        let mut rules = Violations::new();
        rest.value.validate(&Pointer::Root, &mut rules);
        let untouched = rules.iter().filter(|rule| rest.is_untouched(rule));
        untouched.for_each(|rule| broken.push(rule.clone()));
        broken.extend(rest.stricter);
    }
    broken
}

/// Takes out the fields that only the server writes, and says which `meta.etag` was among them.
pub fn set_aside(sent: &mut Map<String, Value>) -> Option<String> {
    let mut etag = None;
    for field in OUTPUT_ONLY {
        if let Some(value) = sent.shift_remove(field)
            && field == "meta"
        {
            etag = value
                .get("etag")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned);
        }
    }
    etag
}

/// Checks an object against the schema of `T` and converts it.
///
/// # Errors
/// Every violation of the schema.
pub fn decode_object<T>(sent: &Map<String, Value>) -> Result<T, Violations>
where
    T: serde::de::DeserializeOwned + utoipa::ToSchema + 'static,
{
    let value = Value::Object(sent.clone());
    let unknown = schema::unknown_nulls_of::<T>(&value);
    checked(value, unknown)
}

/// Converts it when it breaks no rule beside those that are known to be broken.
fn checked<T>(mut value: Value, mut violations: Violations) -> Result<T, Violations>
where
    T: serde::de::DeserializeOwned + utoipa::ToSchema + 'static,
{
    schema::drop_nulls(&mut value);
    violations.extend(schema::violations_of::<T>(&value));
    refuse_nul(&value, &Pointer::Root, &mut violations);
    violations.into_result()?;
    schema::typed(value).map_err(|stricter| {
        let mut violations = Violations::new();
        violations.push(stricter);
        violations
    })
}

/// Converts an object that was checked when it was stored; `None` when it makes no sense any more. Cheaper than [`decode_object`] by
/// all that it does not check.
#[must_use]
pub fn read_object<T>(sent: &Map<String, Value>) -> Option<T>
where
    T: serde::de::DeserializeOwned + utoipa::ToSchema + 'static,
{
    // A null that stands for nothing is not for every type to read.
    T::deserialize(sent)
        .ok()
        .or_else(|| checked(Value::Object(sent.clone()), Violations::new()).ok())
}

/// No text may hold a NUL character: databases and C programs cannot.
fn refuse_nul(value: &Value, at: &Pointer<'_>, violations: &mut Violations) {
    match value {
        Value::String(text) if text.contains('\0') => {
            violations.add(at, Code::BadFormat, "the text holds a NUL character");
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                refuse_nul(item, &at.index(i), violations);
            }
        }
        Value::Object(map) => {
            for (name, member) in map {
                if name.contains('\0') {
                    violations.add(at, Code::BadFormat, "a key holds a NUL character");
                }
                refuse_nul(member, &at.field(name), violations);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
