//! What a caller says about a write: `Heddle-Message` (or `?message=`) and `Heddle-Change-Group`.

use axum::http::request::Parts;
use axum::http::{HeaderName, Method};
use heddle_store::Note;

use crate::problem::Problem;

const MESSAGE: HeaderName = HeaderName::from_static("heddle-message");
const CHANGE_GROUP: HeaderName = HeaderName::from_static("heddle-change-group");

/// The parameter that says the same as the header, for clients that cannot send headers. The header wins.
pub(crate) const PARAMETER: &str = "message";

/// The most characters that a message may have.
const MESSAGE_CHARS: usize = 500;
/// The most characters that a change group may have.
const CHANGE_GROUP_CHARS: usize = 128;

/// Whether a request can be a write, so that it can have a note.
pub(crate) fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Reads the note of a request; that of one that only reads is empty.
pub(crate) fn note(parts: &Parts) -> Result<Note, Problem> {
    if !is_write(&parts.method) {
        return Ok(Note::default());
    }
    let header = text(parts, &MESSAGE)?;
    let query = parts.uri.query().unwrap_or_default();
    // A query that is no such thing is refused by the operation itself.
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let parameter = pairs.into_iter().find(|(name, _)| name == PARAMETER);
    let message = header.or(parameter.map(|(_, value)| value));
    if let Some(message) = &message {
        judge_message(message)?;
    }
    let change_group = text(parts, &CHANGE_GROUP)?;
    if let Some(group) = &change_group {
        judge_change_group(group)?;
    }
    Ok(Note {
        message: message.filter(|m| !m.is_empty()),
        change_group,
    })
}

/// A header as text, given once.
fn text(parts: &Parts, name: &HeaderName) -> Result<Option<String>, Problem> {
    let mut values = parts.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let refuse =
        |what: &str| Problem::parameter(name.as_str(), format!("the header {name} {what}"));
    if values.next().is_some() {
        return Err(refuse("is given twice"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| refuse("is not UTF-8"))?;
    Ok(Some(text.trim().to_owned()))
}

fn judge_message(message: &str) -> Result<(), Problem> {
    let refuse = |why: String| Err(Problem::parameter("Heddle-Message", why));
    let chars = message.chars().count();
    if chars > MESSAGE_CHARS {
        return refuse(format!(
            "the message has {chars} characters; at most {MESSAGE_CHARS}"
        ));
    }
    // A line break is part of a text; what steers a terminal or ends a C string is not.
    if message.chars().any(|c| c.is_control() && c != '\n') {
        return refuse(String::from("the message holds a control character"));
    }
    Ok(())
}

fn judge_change_group(group: &str) -> Result<(), Problem> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/@".contains(&b);
    if (1..=CHANGE_GROUP_CHARS).contains(&group.len()) && group.bytes().all(plain) {
        return Ok(());
    }
    Err(Problem::parameter(
        "Heddle-Change-Group",
        format!("a change group is 1 to {CHANGE_GROUP_CHARS} letters, digits and any of `-_.:/@`"),
    ))
}
