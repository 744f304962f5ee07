//! Files that describe objects: YAML or JSON, one or more documents each, from files, folders and standard input.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// One object, and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) place: String,
    /// Its kind, as the API names it.
    pub(crate) kind: String,
    /// The mesh that it says it belongs to.
    pub(crate) mesh: Option<String>,
    /// Itself, without both.
    pub(crate) body: Map<String, Value>,
}

/// Reads everything that files describe, in order.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<Document>, Failure> {
    let mut all = Vec::new();
    for file in files {
        if file.as_os_str() == "-" {
            let text = std::io::read_to_string(std::io::stdin());
            let text = text.map_err(|error| Failure::io("read standard input", &error))?;
            parse(&text, "standard input", &mut all)?;
            continue;
        }
        for path in paths(file)? {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|error| Failure::io(&format!("read {shown}"), &error))?;
            parse(&text, &shown, &mut all)?;
        }
    }
    if all.is_empty() {
        return Err(Failure::usage("the files describe nothing"));
    }
    Ok(all)
}

/// A file, or those in a folder, by name.
fn paths(file: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: &std::io::Error| Failure::io(&format!("read {}", file.display()), error);
    let is_folder = std::fs::metadata(file)
        .map_err(|error| failed(&error))?
        .is_dir();
    if !is_folder {
        return Ok(vec![file.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(file).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        let fits = path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if fits && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn parse(text: &str, place: &str, all: &mut Vec<Document>) -> Result<(), Failure> {
    // JSON is YAML.
    for (n, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let place = format!("{place}#{}", n + 1);
        let value = Value::deserialize(document)
            .map_err(|error| Failure::usage(format!("{place} cannot be read: {error}")))?;
        match value {
            Value::Null => {}
            value => object(value, &place, all)?,
        }
    }
    Ok(())
}

fn object(value: Value, place: &str, all: &mut Vec<Document>) -> Result<(), Failure> {
    let Value::Object(mut body) = value else {
        return Err(Failure::usage(format!("{place} is not an object")));
    };
    // What `get` prints of a list.
    if let Some(Value::Array(items)) = body.get_mut("items").map(Value::take) {
        for item in items {
            object(item, place, all)?;
        }
        return Ok(());
    }
    // What `get` prints says in `meta` what files say at the top.
    let meta = body.get("meta").cloned().unwrap_or_default();
    let mut take = |field: &str| {
        body.shift_remove(field)
            .and_then(|v| v.as_str().map(ToOwned::to_owned))
    };
    let kind = take("kind").or_else(|| meta["kind"].as_str().map(ToOwned::to_owned));
    let mesh = take("mesh").or_else(|| meta["parent"]["mesh"].as_str().map(ToOwned::to_owned));
    let Some(kind) = kind else {
        return Err(
            Failure::usage(format!("{place} has no `kind`")).hint("such as `kind: service`")
        );
    };
    for parent in ["service", "route"] {
        if let (Some(name), false) = (meta["parent"][parent].as_str(), body.contains_key(parent)) {
            body.insert(parent.to_owned(), Value::from(name));
        }
    }
    let kind = crate::kinds::noun(&kind)
        .map(|noun| noun.name.to_owned())
        .unwrap_or(kind);
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let place = format!("{place} ({kind} {name})").replace(" )", ")");
    all.push(Document {
        place,
        kind,
        mesh,
        body,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_any_shape_are_read() {
        let text = "kind: mesh\nname: prod\n---\n---\nitems:\n- meta: {kind: route, parent: {mesh: prod, service: pay}}\n  name: all\n- {kind: svc, mesh: other, name: x}\n";
        let mut all = Vec::new();
        parse(text, "f", &mut all).unwrap();
        let seen: Vec<_> = all
            .iter()
            .map(|d| {
                (
                    d.place.as_str(),
                    d.mesh.as_deref(),
                    d.body.get("service").cloned(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("f#1 (mesh prod)", None, None),
                ("f#3 (route all)", Some("prod"), Some(Value::from("pay"))),
                ("f#3 (service x)", Some("other"), None),
            ]
        );
        for wrong in ["[1]", "name: x", "a: [", "x"] {
            assert!(parse(wrong, "f", &mut all).is_err(), "{wrong}");
        }
    }
}
