//! Names in paths and bodies: where they agree, and what a body that creates must have.

use heddle_model::code::Code;
use heddle_model::kind::Spec;
use heddle_model::name::Name;
use heddle_model::violation::{Pointer, Violation, Violations};
use heddle_model::wire;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// A name that a path gives to something new.
pub(crate) fn name_in_path(text: &str) -> Result<Name, Problem> {
    // An identifier of ours that is not there names nothing; it is not a request for a new object.
    if text.contains('_') {
        return Err(Problem::not_found());
    }
    text.parse::<Name>().map_err(|error| {
        Violation {
            pointer: String::from("/name"),
            code: Code::BadFormat,
            detail: format!("the name in the path is not one: {error}"),
            hint: None,
        }
        .into()
    })
}

/// A body may repeat the name of its address, so that an answer can be edited and sent back; it may not contradict.
pub(crate) fn same_name(body_name: Option<Value>, name: &Name) -> Result<(), Problem> {
    match body_name {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text)) if text == name.as_str() => Ok(()),
        Some(_) => Err(Violation {
            pointer: String::from("/name"),
            code: Code::Mismatch,
            detail: format!("the address names {name}; a name never changes"),
            hint: Some(String::from("leave `name` out, or use `display_name`")),
        }
        .into()),
    }
}

/// Decodes a body that creates: the spec and its name.
pub(crate) fn decode_named<T: Spec>(body: &[u8]) -> Result<(Name, wire::Decoded<T>), Problem> {
    let mut sent: Map<String, Value> =
        wire::parse_object(body).map_err(wire::Refused::Malformed)?;
    let mut violations = Violations::new();
    let at = Pointer::Root;
    let at = at.field("name");
    let name = match sent.shift_remove("name") {
        None | Some(Value::Null) => {
            violations.add(&at, Code::MissingField, "`name` is required");
            None
        }
        Some(Value::String(text)) => text
            .parse::<Name>()
            .map_err(|error| violations.add(&at, Code::BadFormat, error.to_string()))
            .ok(),
        Some(_) => {
            violations.add(&at, Code::WrongType, "`name` is not a string");
            None
        }
    };
    match (name, wire::decode_sent::<T>(sent)) {
        (Some(name), Ok(decoded)) => Ok((name, decoded)),
        (_, Err(more)) => {
            violations.extend(more);
            Err(Problem::invalid(violations))
        }
        (None, Ok(_)) => Err(Problem::invalid(violations)),
    }
}
