//! What changed, as people read it: each object, and line by line what it was and what it is.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::output::{cell, plain};
use crate::paint::Paint;

/// More pairs of lines than these are not compared: all the old ones, then all the new ones.
const MOST_PAIRS: usize = 4_000_000;

/// Objects that differ, one after the other, by where they are.
pub(crate) fn render(items: &[Value], paint: Paint) -> String {
    let mut text = String::new();
    let mut items: Vec<&Value> = items.iter().collect();
    items.sort_by_key(|item| item["path"].as_str());
    for item in items {
        object(item, paint, &mut text);
    }
    text
}

/// "1 added, 2 changed".
pub(crate) fn summary(summary: &Value) -> String {
    let count = |field: &str| {
        let count = summary[field].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {field}"))
    };
    let counts: Vec<String> = ["added", "changed", "removed"]
        .into_iter()
        .filter_map(count)
        .collect();
    if counts.is_empty() {
        String::from("nothing differs")
    } else {
        counts.join(", ")
    }
}

/// What an object is called, from its kind and the end of its address.
pub(crate) fn title(item: &Value) -> String {
    let kind = item["kind"].as_str().unwrap_or("object").replace('_', " ");
    let path = item["path"].as_str().unwrap_or_default();
    let mut parts: Vec<&str> = path.split('/').skip(1).step_by(2).collect();
    if parts.is_empty() {
        parts.push(item["name"].as_str().unwrap_or_default());
    }
    plain(&format!("{kind} {}", parts.join("/")))
}

fn object(item: &Value, paint: Paint, text: &mut String) {
    let title = title(item);
    let line = match item["change"].as_str() {
        Some("added") => paint.green(&format!("+ {title}")),
        Some("removed") => paint.red(&format!("- {title}")),
        _ => paint.yellow(&format!("~ {title}")),
    };
    let _ = writeln!(text, "{line}");
    for field in item["fields"].as_array().into_iter().flatten() {
        let before = lines(field, "before");
        let after = lines(field, "after");
        for (sign, line) in compare(&before, &after) {
            let line = format!("  {sign} {}", plain(line));
            let line = match sign {
                '-' => paint.red(&line),
                '+' => paint.green(&line),
                _ => line,
            };
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
}

/// One side of a field as lines of YAML; none where it is not there.
fn lines(field: &Value, side: &str) -> Vec<String> {
    let Some(value) = field.get(side) else {
        return Vec::new();
    };
    let pointer = field["pointer"].as_str().unwrap_or_default();
    let value = if pointer.is_empty() {
        value.clone()
    } else {
        let parts = pointer.split('/').skip(1);
        let parts: Vec<String> = parts
            .map(|part| part.replace("~1", "/").replace("~0", "~"))
            .collect();
        Value::Object(Map::from_iter([(parts.join("."), value.clone())]))
    };
    let yaml = serde_yaml_ng::to_string(&value).unwrap_or_else(|_| cell(&value));
    yaml.lines().map(ToOwned::to_owned).collect()
}

/// Both sides with what they share between what they do not.
fn compare<'a>(before: &'a [String], after: &'a [String]) -> Vec<(char, &'a str)> {
    let (rows, columns) = (before.len(), after.len());
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    if rows.saturating_mul(columns) <= MOST_PAIRS {
        // How many lines the rest of both sides has in common.
        let mut common = vec![vec![0_u32; columns + 1]; rows + 1];
        for i in (0..rows).rev() {
            for j in (0..columns).rev() {
                common[i][j] = if before[i] == after[j] {
                    common[i + 1][j + 1] + 1
                } else {
                    common[i + 1][j].max(common[i][j + 1])
                };
            }
        }
        while i < rows && j < columns {
            if before[i] == after[j] {
                out.push((' ', before[i].as_str()));
                i += 1;
                j += 1;
            } else if common[i + 1][j] >= common[i][j + 1] {
                out.push(('-', before[i].as_str()));
                i += 1;
            } else {
                out.push(('+', after[j].as_str()));
                j += 1;
            }
        }
    }
    out.extend(before[i..].iter().map(|line| ('-', line.as_str())));
    out.extend(after[j..].iter().map(|line| ('+', line.as_str())));
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn canary() -> Vec<Value> {
        let weights =
            |v1, v2| json!([{"version": "v1", "weight": v1}, {"version": "v2", "weight": v2}]);
        vec![
            json!({"change": "changed", "kind": "split", "name": "split", "path": "services/pay/routes/all/split",
                   "fields": [{"pointer": "/weights", "before": weights(90, 10), "after": weights(50, 50)}]}),
            json!({"change": "added", "kind": "access_rule", "name": "one", "path": "services/pay/access-rules/one",
                   "fields": [{"pointer": "", "after": {"name": "one", "action": "deny\u{1b}[2J"}}]}),
            json!({"change": "changed", "kind": "mesh", "name": "prod", "path": "",
                   "fields": [{"pointer": "/labels/a~1b", "before": "x"}]}),
        ]
    }

    #[test]
    fn what_changed_is_read_line_by_line() {
        assert_eq!(
            render(&canary(), Paint::OFF),
            "~ mesh prod\n  - labels.a/b: x\n\
             + access rule pay/one\n  + name: one\n  + action: \"deny\\e[2J\"\n\
             ~ split pay/all\n    weights:\n    - version: v1\n  -   weight: 90\n  +   weight: 50\n    - version: v2\n  \
             -   weight: 10\n  +   weight: 50\n"
        );
        let coloured = render(&canary(), Paint::ON);
        assert!(
            coloured.contains("\u{1b}[32m  +   weight: 50\u{1b}[0m\n"),
            "{coloured:?}"
        );
        assert!(!coloured.contains("\u{1b}[2J"), "{coloured:?}");
        let counts = json!({"added": 1, "changed": 2, "removed": 0});
        assert_eq!(summary(&counts), "1 added, 2 changed");
        assert_eq!(summary(&json!({})), "nothing differs");
    }
}
