//! What each operation takes in its query, read from the document: what is promised there is what is enforced, for every
//! parameter of every operation and without a handler's help.

use std::collections::BTreeMap;

use axum::http::Method;
use heddle_model::wire::Schema;
use serde_json::{Value, json};

use crate::problem::Problem;

/// The methods of operations, as the document spells them.
const METHODS: [(&str, Method); 5] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
];

/// Every operation's query parameters.
#[derive(Debug)]
pub(crate) struct Parameters(BTreeMap<(String, &'static str), Declared>);

/// The query parameters of one operation.
#[derive(Debug, Default)]
pub(crate) struct Declared(BTreeMap<String, Parameter>);

#[derive(Debug)]
struct Parameter {
    schema: Schema,
    kind: Kind,
    required: bool,
    /// The words that a list of words may have; empty for anything else.
    words: Vec<String>,
}

/// How the text of a parameter is read.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Boolean,
}

impl Parameters {
    /// Reads them from a document.
    ///
    /// # Panics
    /// A schema of a parameter is none: the document is made by this crate, and a test renders it.
    pub(crate) fn of(document: &Value) -> Self {
        let mut all = BTreeMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (name, method) in &METHODS {
                let Some(operation) = item.get(name) else {
                    continue;
                };
                let given = operation["parameters"].as_array().into_iter().flatten();
                let query = given.filter(|parameter| parameter["in"] == "query");
                let declared = query.map(|parameter| {
                    let name = parameter["name"].as_str().unwrap_or_default();
                    (name.to_owned(), Parameter::of(parameter))
                });
                all.insert((path.clone(), label(method)), Declared(declared.collect()));
            }
        }
        Self(all)
    }

    /// Those of one operation.
    pub(crate) fn find(&self, path: &str, method: &Method) -> Option<&Declared> {
        self.0.get(&(path.to_owned(), label(method)))
    }
}

/// What answers a method: HEAD is a GET whose body stays behind.
fn label(method: &Method) -> &'static str {
    let method = match *method {
        Method::HEAD => &Method::GET,
        ref other => other,
    };
    METHODS
        .iter()
        .find_map(|(name, known)| (known == method).then_some(*name))
        .unwrap_or_default()
}

impl Declared {
    /// Compares what a request has in its query with what the operation takes.
    pub(crate) fn check(&self, given: &BTreeMap<String, String>) -> Result<(), Problem> {
        for (name, text) in given {
            let Some(parameter) = self.0.get(name) else {
                let shown: String = name.chars().take(40).collect();
                let detail = format!("there is no parameter `{shown}` here");
                return Err(Problem::parameter(&shown, detail));
            };
            parameter.check(name, text)?;
        }
        let needed = self.0.iter().filter(|(_, parameter)| parameter.required);
        for (name, _) in needed {
            if !given.contains_key(name) {
                return Err(Problem::parameter(name, format!("`{name}` is required")));
            }
        }
        Ok(())
    }
}

impl Parameter {
    fn of(parameter: &Value) -> Self {
        let schema = &parameter["schema"];
        let kind = match schema["type"].as_str() {
            Some("integer") => Kind::Integer,
            Some("boolean") => Kind::Boolean,
            _ => Kind::Text,
        };
        let words = schema[WORDS].as_array().into_iter().flatten();
        Self {
            schema: Schema::new(schema).expect("the document's parameters have schemas"),
            kind,
            required: parameter["required"] == true,
            words: words.filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    fn check(&self, name: &str, text: &str) -> Result<(), Problem> {
        let value = self.read(text).ok_or_else(|| {
            let what = match self.kind {
                Kind::Integer => "a whole number in plain digits",
                Kind::Boolean | Kind::Text => "`true` or `false`",
            };
            Problem::parameter(name, format!("`{name}` is {what}"))
        })?;
        let Some(broken) = self
            .schema
            .violations_of(&value)
            .into_sorted()
            .into_iter()
            .next()
        else {
            return Ok(());
        };
        if !self.words.is_empty() {
            let known = self.words.join(", ");
            let detail =
                format!("`{name}` is a list of words with commas between; there are {known}");
            return Err(Problem::parameter(name, detail).with("fields", json!(self.words)));
        }
        let detail = match broken.hint {
            Some(hint) => format!("`{name}`: {}; {hint}", broken.detail),
            None => format!("`{name}`: {}", broken.detail),
        };
        Err(Problem::parameter(name, detail))
    }

    /// The value that a text stands for.
    fn read(&self, text: &str) -> Option<Value> {
        match self.kind {
            Kind::Text => Some(json!(text)),
            Kind::Boolean => text.parse::<bool>().ok().map(Value::Bool),
            Kind::Integer => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                if !plain || (digits.starts_with('0') && text != "0") {
                    return None;
                }
                // What no integer of ours can hold is compared as what it is: very large.
                text.parse::<i64>()
                    .map(|number| json!(number))
                    .or_else(|_| text.parse::<f64>().map(|number| json!(number)))
                    .ok()
            }
        }
    }
}

/// Where the schema of a list of words names the words.
pub(crate) const WORDS: &str = "x-heddle-words";

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Parameters {
        Parameters::of(&json!({"paths": {"/a/{b}": {"get": {"parameters": [
            {"in": "path", "name": "b", "schema": {"type": "string"}},
            {"in": "query", "name": "limit", "schema": {"type": "integer", "minimum": 1}},
            {"in": "query", "name": "dry_run", "schema": {"type": "boolean"}},
            {"in": "query", "name": "who", "required": true, "schema": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3}},
            {"in": "query", "name": "at", "schema": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}},
            {"in": "query", "name": "fields", "schema": {"type": "string", "pattern": "^(a|b)(,(a|b))*$", WORDS: ["a", "b"]}},
        ]}}}}))
    }

    fn check(query: &str) -> Result<(), String> {
        let pairs = serde_urlencoded::from_str(query).unwrap();
        let all = declared();
        let judged = all.find("/a/{b}", &Method::HEAD).unwrap().check(&pairs);
        judged.map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn what_the_document_says_is_what_is_taken() {
        for good in [
            "who=abc",
            "who=a&limit=1",
            "who=a&limit=99999999999999999999999999",
            "who=a&dry_run=true&at=10.0.0.1",
            "who=a&at=%3A%3A1&fields=b,a",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "limit=1",
            "who=",
            "who=abcd",
            "who=A",
            "who=a%0A",
            "who=a&limit=0",
            "who=a&limit=-1",
            "who=a&limit=01",
            "who=a&limit=1.0",
            "who=a&limit=+1",
            "who=a&limit=",
            "who=a&dry_run=1",
            "who=a&at=here",
            "who=a&fields=c",
            "who=a&b=1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(declared().find("/a/{b}", &Method::PUT).is_none());
    }
}
