//! As Terraform's language has it: a resource for each object, and an `import` block that says which one it is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Declared;

/// A value of this many letters still stands in one line.
const LINE: usize = 90;

/// All of them, with references where one has to exist before another.
pub(super) fn write(org: &str, all: &[Declared]) -> String {
    let mut labels = Labels::default();
    for one in all {
        labels.add(&one.kind, &one.names());
    }
    let mut text = String::new();
    for one in all {
        let names = one.names();
        let address = labels.address(&one.kind, &names).unwrap_or_default();
        let id = [&[org], names.as_slice()].concat().join("/");
        if !text.is_empty() {
            text.push('\n');
        }
        let import = [
            Attribute::new("to", address.clone()),
            Attribute::new("id", quoted(&id)),
        ];
        text.push_str("import {\n");
        text.push_str(&lines(&import, 1));
        let (kind, label) = address.split_once('.').unwrap_or_default();
        text.push_str(&format!(
            "}}\n\nresource {} {} {{\n",
            quoted(kind),
            quoted(label)
        ));
        text.push_str(&lines(&attributes(one, &labels), 1));
        text.push_str("}\n");
    }
    text
}

/// What resources are called in the configuration.
#[derive(Default)]
struct Labels {
    taken: BTreeSet<String>,
    /// Kind, names that lead to it, and address.
    known: Vec<(String, Vec<String>, String)>,
}

impl Labels {
    fn add(&mut self, kind: &str, names: &[&str]) {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let label: String = names.join("_").chars().map(plain).collect();
        let label = match label.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("_{label}"),
            false => label,
        };
        let mut address = format!("heddle_{kind}.{label}");
        // `a-b` of `c` and `b-c` of `a` look alike.
        for n in 2.. {
            if self.taken.insert(address.clone()) {
                break;
            }
            address = format!("heddle_{kind}.{label}_{n}");
        }
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.known.push((kind.to_owned(), names, address));
    }

    fn address(&self, kind: &str, names: &[&str]) -> Option<String> {
        let same = |known: &&(String, Vec<String>, String)| known.0 == kind && known.1 == names;
        self.known.iter().find(same).map(|known| known.2.clone())
    }

    /// The name of another object, by reference if it is among them.
    fn name(&self, kind: &str, names: &[&str]) -> Option<String> {
        self.address(kind, names)
            .map(|address| format!("{address}.name"))
    }
}

/// One attribute: its name, and its value in one line or in several.
struct Attribute {
    name: String,
    value: String,
}

impl Attribute {
    fn new(name: &str, value: String) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let begins = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let name = match begins(name) && name.chars().all(plain) {
            true => name.to_owned(),
            false => quoted(name),
        };
        Self { name, value }
    }

    fn is_long(&self) -> bool {
        self.value.contains('\n')
    }
}

fn attributes(one: &Declared, labels: &Labels) -> Vec<Attribute> {
    let names = one.names();
    let mut all = Vec::new();
    for (depth, (parent, name)) in one.parents.iter().enumerate() {
        let value = labels.name(parent, &names[..=depth]);
        let value = value.unwrap_or_else(|| quoted(name));
        all.push(Attribute::new(parent, value));
    }
    let mesh = names.first().copied().unwrap_or_default();
    let depth = 1;
    for (name, value) in &one.body {
        // Who has to be there before. Services that call each other may do so in a circle, so `upstreams` refers to nothing.
        let value = match (one.kind.as_str(), name.as_str(), value) {
            (_, _, Value::Null) => continue,
            ("service", "profile", Value::String(profile)) => labels
                .name("profile", &[mesh, profile])
                .unwrap_or_else(|| quoted(profile)),
            ("access_rule", "from", value) | ("route", "backends", value) => {
                let service = |name: &str| labels.name("service", &[mesh, name]);
                written(value, depth, &service)
            }
            (_, _, value) => written(value, depth, &|_| None),
        };
        all.push(Attribute::new(name, value));
    }
    all
}

/// Attributes as `fmt` has them: those in a row that take a line each have their signs below each other.
fn lines(all: &[Attribute], depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let mut text = String::new();
    let mut at = 0;
    while at < all.len() {
        let short = all[at..].iter().take_while(|one| !one.is_long()).count();
        let row = &all[at..at + short.max(1)];
        let width = row.iter().map(|one| one.name.chars().count()).max();
        for one in row {
            let name = format!("{:width$}", one.name, width = width.unwrap_or_default());
            text.push_str(&format!("{indent}{name} = {}\n", one.value));
        }
        at += row.len();
    }
    text
}

/// A value, in one line if it fits. `service` says what stands for the name of a service.
fn written(value: &Value, depth: usize, service: &dyn Fn(&str) -> Option<String>) -> String {
    let short = inline(value, service);
    if short.chars().count() <= LINE {
        return short;
    }
    let indent = "  ".repeat(depth);
    match value {
        Value::Array(items) => {
            let items = items.iter().map(|item| {
                let item = written(item, depth + 1, service);
                format!("{indent}  {item},\n")
            });
            format!("[\n{}{indent}]", items.collect::<String>())
        }
        Value::Object(map) => {
            let all = present(map).map(|(name, value)| {
                let value = field(name, value, service)
                    .unwrap_or_else(|| written(value, depth + 1, service));
                Attribute::new(name, value)
            });
            let all: Vec<Attribute> = all.collect();
            format!("{{\n{}{indent}}}", lines(&all, depth + 1))
        }
        _ => short,
    }
}

fn inline(value: &Value, service: &dyn Fn(&str) -> Option<String>) -> String {
    match value {
        Value::Null => String::from("null"),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items = items.iter().map(|item| inline(item, service));
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let pairs = present(map).map(|(name, value)| {
                let value = field(name, value, service).unwrap_or_else(|| inline(value, service));
                let one = Attribute::new(name, value);
                format!("{} = {}", one.name, one.value)
            });
            match pairs.collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => String::from("{}"),
                some => format!("{{ {some} }}"),
            }
        }
    }
}

/// What is not said is left out.
fn present(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.iter().filter(|(_, value)| !value.is_null())
}

/// The name of a service, by reference.
fn field(name: &str, value: &Value, service: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match (name, value) {
        ("service", Value::String(named)) => service(named),
        _ => None,
    }
}

/// A literal in which nothing is a template.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if rest.peek() == Some(&'{') => {
                out.push(c);
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared(kind: &str, parents: &[(&'static str, &str)], body: Value) -> Declared {
        let Value::Object(body) = body else {
            panic!("not an object")
        };
        let parents = parents
            .iter()
            .map(|(parent, name)| (*parent, (*name).to_owned()));
        Declared {
            kind: kind.to_owned(),
            parents: parents.collect(),
            body,
        }
    }

    #[test]
    fn nothing_in_a_text_is_a_template() {
        assert_eq!(
            quoted("a\"b\\c\n${x} %{y} $$ \u{7}é"),
            r#""a\"b\\c\n$${x} %%{y} $$ \u0007é""#
        );
    }

    #[test]
    fn resources_refer_to_one_another() {
        let all = [
            declared(
                "mesh",
                &[],
                json!({"name": "1-prod", "labels": {"a.b/c": "x"}}),
            ),
            declared(
                "service",
                &[("mesh", "1-prod")],
                json!({"name": "pay", "ports": [], "profile": "gone"}),
            ),
            declared(
                "access_rule",
                &[("mesh", "1-prod"), ("service", "pay")],
                json!({"name": "r", "action": "allow", "from": [{"service": "pay"}, {"service": "else"}], "to": null}),
            ),
        ];
        assert_eq!(
            write("acme", &all),
            r#"import {
  to = heddle_mesh._1_prod
  id = "acme/1-prod"
}

resource "heddle_mesh" "_1_prod" {
  name   = "1-prod"
  labels = { "a.b/c" = "x" }
}

import {
  to = heddle_service._1_prod_pay
  id = "acme/1-prod/pay"
}

resource "heddle_service" "_1_prod_pay" {
  mesh    = heddle_mesh._1_prod.name
  name    = "pay"
  ports   = []
  profile = "gone"
}

import {
  to = heddle_access_rule._1_prod_pay_r
  id = "acme/1-prod/pay/r"
}

resource "heddle_access_rule" "_1_prod_pay_r" {
  mesh    = heddle_mesh._1_prod.name
  service = heddle_service._1_prod_pay.name
  name    = "r"
  action  = "allow"
  from    = [{ service = heddle_service._1_prod_pay.name }, { service = "else" }]
}
"#
        );
    }

    #[test]
    fn names_that_look_alike_are_told_apart() {
        let mut labels = Labels::default();
        labels.add("service", &["a-b", "c"]);
        labels.add("service", &["a", "b-c"]);
        assert_eq!(
            labels.address("service", &["a-b", "c"]).unwrap(),
            "heddle_service.a_b_c"
        );
        assert_eq!(
            labels.address("service", &["a", "b-c"]).unwrap(),
            "heddle_service.a_b_c_2"
        );
    }

    #[test]
    fn what_is_long_takes_several_lines() {
        let long = json!({"match": [{"path": {"prefix": "/".repeat(60)}, "methods": ["GET"], "headers": [{"name": "x", "exact": "1"}]}]});
        let value = written(&long["match"], 1, &|_| None);
        assert_eq!(
            value,
            format!(
                "[\n    {{\n      path    = {{ prefix = \"{}\" }}\n      methods = [\"GET\"]\n      headers = [{{ name = \"x\", exact = \"1\" }}]\n    }},\n  ]",
                "/".repeat(60)
            )
        );
    }
}
