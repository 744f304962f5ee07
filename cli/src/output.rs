//! What goes to standard output: data and nothing else, as a table for people or as what the API said for programs.

use std::io::Write as _;

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Failure;

/// How data is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns
    #[default]
    Table,
    /// More columns
    Wide,
    /// What the API said
    Json,
    /// The same as YAML
    Yaml,
    /// Kind and name, a line each
    Name,
}

/// Text from elsewhere, without what steers a terminal.
pub(crate) fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(plain).collect()
}

/// Writes data. Whoever stops reading is no failure.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io("write to standard output", &error))
        }
        _ => Ok(()),
    }
}

/// Says something to whoever watches. Nobody may be watching.
pub(crate) fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err
        .write_all(text.as_bytes())
        .and_then(|()| err.write_all(b"\n"));
}

pub(crate) fn json(value: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Failure::error(format!("write JSON: {error}")))?;
    Ok(text + "\n")
}

pub(crate) fn yaml(value: &Value) -> Result<String, Failure> {
    serde_yaml_ng::to_string(value).map_err(|error| Failure::error(format!("write YAML: {error}")))
}

/// Rows under headings, each column as wide as it must be.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            line.push_str(cell);
            let gap = width + 3 - cell.chars().count();
            line.extend(std::iter::repeat_n(' ', gap));
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    };
    let mut text = line(&mut headings.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// A value as it fits into a cell.
pub(crate) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::from("-"),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => String::from("-"),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => String::from("-"),
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join(","),
        Value::Object(map) => {
            let pairs = map.iter().map(|(k, v)| format!("{k}={}", cell(v)));
            pairs.collect::<Vec<_>>().join(",")
        }
    };
    plain(&text)
}

/// One of several, by what people call it.
fn item(value: &Value) -> String {
    let text = |field: &str| value[field].as_str();
    if let (Some(name), Some(port)) = (text("name"), value["port"].as_u64()) {
        return format!("{name}:{port}");
    }
    if let Some(weight) = value["weight"].as_u64() {
        let whom = text("version").or(text("service")).unwrap_or("?");
        return format!("{whom}={weight}");
    }
    if let (Some(role), mesh) = (text("role"), text("mesh")) {
        return mesh.map_or_else(|| role.to_owned(), |mesh| format!("{role}@{mesh}"));
    }
    let named = ["name", "service", "version"].iter().find_map(|f| text(f));
    named.map_or_else(|| cell(value), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_and_nothing_steers_the_terminal() {
        let rows = vec![
            vec![String::from("payments"), cell(&json!("a\u{1b}[31m\nb"))],
            vec![
                String::from("é"),
                cell(&json!([{"name": "http", "port": 80}, {"version": "v1", "weight": 9}])),
            ],
        ];
        assert_eq!(
            table(&["NAME", "X"], &rows),
            "NAME       X\npayments   a?[31m?b\né          http:80,v1=9\n"
        );
    }
}
