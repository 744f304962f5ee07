//! The document as people read it: a heading for each part, a table below it, and nothing of what is not there.

use std::fmt::Write as _;

use serde_json::Value;

use crate::kinds::{Column, Noun, noun};
use crate::output::{cell, plain, table};
use crate::paint::Paint;

/// The whole page.
pub(crate) fn page(noun: &Noun, document: &Value, wide: bool) -> String {
    let mut page = Page {
        text: String::new(),
        paint: Paint::stdout(),
        wide,
    };
    page.head(noun, document);
    page.effective(document["effective"].as_array());
    page.mtls(document["mtls"].as_array());
    page.routes(document["routes"].as_array());
    page.access(&document["access"]);
    page.objects("Services", "service", &document["services"]);
    page.proxies(&document["proxies"]);
    page.findings(document["findings"].as_array());
    page.text
}

struct Page {
    text: String,
    paint: Paint,
    wide: bool,
}

impl Page {
    fn head(&mut self, noun: &Noun, document: &Value) {
        let kind = noun.name.replace('_', " ");
        let mut title = format!("{kind} {}", cell(&document["name"]));
        if document["mesh"].is_string() {
            let _ = write!(title, " of mesh {}", cell(&document["mesh"]));
        }
        let _ = writeln!(self.text, "{}", self.paint.bold(&title));
        let object = &document["object"];
        let mut rows = Vec::new();
        let fields = object.as_object().into_iter().flatten();
        for (field, value) in fields {
            // Settings are below, with who wins; what Heddle keeps follows.
            let elsewhere = ["name", "meta", "status", "defaults", "settings", "nacks"];
            if !elsewhere.contains(&field.as_str()) && !value.is_null() {
                rows.push(vec![format!("  {}", field.replace('_', " ")), cell(value)]);
            }
        }
        let meta = &object["meta"];
        for (label, value) in [
            ("revision", &meta["revision"]),
            ("updated", &meta["updated_at"]),
            ("managed by", &meta["managed_by"]["manager"]),
            ("id", &meta["uid"]),
        ] {
            if !value.is_null() {
                rows.push(vec![format!("  {label}"), cell(value)]);
            }
        }
        self.text.push_str(&bare(&rows));
        self.nacks(object);
    }

    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.text, "\n{}", self.paint.bold(text));
    }

    fn rows(&mut self, headings: &[&str], rows: &[Vec<String>]) {
        for line in table(headings, rows).lines() {
            let _ = writeln!(self.text, "  {line}");
        }
    }

    fn effective(&mut self, settings: Option<&Vec<Value>>) {
        let Some(settings) = settings else { return };
        self.heading("Settings in force");
        let built_in = |setting: &&Value| setting["from"]["level"] == "built_in";
        let hidden = settings.iter().filter(built_in).count();
        let shown = settings.iter().filter(|s| self.wide || !built_in(s));
        let row = |setting: &Value| {
            let from = &setting["from"];
            let level = cell(&from["level"]).replace('_', " ");
            let from = if from["level"] == "built_in" {
                level
            } else {
                format!("{level} {}", cell(&from["name"]))
            };
            vec![cell(&setting["field"]), cell(&setting["value"]), from]
        };
        let rows: Vec<_> = shown.map(row).collect();
        if !rows.is_empty() {
            self.rows(&["SETTING", "VALUE", "SET BY"], &rows);
        }
        if !self.wide && hidden > 0 {
            let note = format!("  {hidden} more are as built in; -o wide shows them.");
            let _ = writeln!(self.text, "{}", self.paint.dim(&note));
        }
    }

    fn mtls(&mut self, ports: Option<&Vec<Value>>) {
        let ports = ports.map(Vec::as_slice).unwrap_or_default();
        // Where nobody says anything it is mutual TLS, as everywhere.
        let said = |port: &Value| {
            !["built_in", "protocol"]
                .map(Value::from)
                .contains(&port["from"])
        };
        if !self.wide && !ports.iter().any(said) || ports.is_empty() {
            return;
        }
        self.heading("Mutual TLS");
        let row = |port: &Value| {
            let from = cell(&port["from"]).replace('_', " ");
            vec![cell(&port["port"]), cell(&port["mode"]), from]
        };
        let rows: Vec<_> = ports.iter().map(row).collect();
        self.rows(&["PORT", "MODE", "SET BY"], &rows);
    }

    fn routes(&mut self, routes: Option<&Vec<Value>>) {
        let Some(routes) = routes else { return };
        self.heading("Routes");
        if routes.is_empty() {
            let _ = writeln!(
                self.text,
                "  none: every request goes to every version alike."
            );
            return;
        }
        let row = |one: &Value| {
            let route = &one["route"];
            let shares = if one["split"].is_null() {
                format!("{} (in equal shares)", cell(&route["backends"]))
            } else {
                cell(&one["split"]["weights"])
            };
            let matches = match route["match"].as_array() {
                Some(matches) => matches.iter().map(cell).collect::<Vec<_>>().join(" or "),
                None => String::from("every request"),
            };
            vec![
                cell(&route["priority"]),
                cell(&route["name"]),
                matches,
                shares,
            ]
        };
        let rows: Vec<_> = routes.iter().map(row).collect();
        self.rows(&["PRIORITY", "NAME", "TAKES", "SENDS TO"], &rows);
    }

    fn access(&mut self, access: &Value) {
        if access.is_null() {
            return;
        }
        self.heading("Access");
        let rules = access["rules"].as_array().into_iter().flatten();
        let row = |rule: &Value| {
            let callers = match rule["from"].as_array() {
                Some(callers) => callers.iter().map(caller).collect::<Vec<_>>().join(", "),
                None => String::from("everybody"),
            };
            let targets = match rule["to"].as_array() {
                Some(targets) => targets.iter().map(cell).collect::<Vec<_>>().join(" or "),
                None => String::from("every request"),
            };
            vec![
                cell(&rule["action"]),
                cell(&rule["name"]),
                callers,
                targets,
                cell(&rule["reason"]),
            ]
        };
        let mut rows: Vec<_> = rules.map(row).collect();
        // In the order in which they are decided: a deny wins over every allow.
        rows.sort_by(|a, b| b[0].cmp(&a[0]).then_with(|| a[1].cmp(&b[1])));
        let rest = if rows.is_empty() {
            "everybody"
        } else {
            "everybody else"
        };
        rows.push(vec![
            cell(&access["default"]),
            String::from("(default)"),
            String::from(rest),
            String::from("every request"),
            String::from("-"),
        ]);
        self.rows(&["ACTION", "RULE", "FROM", "TO", "REASON"], &rows);
        let elsewhere = access["as_caller"].as_array().into_iter().flatten();
        let row = |rule: &Value| {
            vec![
                cell(&rule["action"]),
                cell(&rule["meta"]["parent"]["service"]),
                cell(&rule["name"]),
                cell(&rule["reason"]),
            ]
        };
        let rows: Vec<_> = elsewhere.map(row).collect();
        if !rows.is_empty() {
            self.heading("Access as a caller");
            self.rows(&["ACTION", "OF SERVICE", "RULE", "REASON"], &rows);
        }
    }

    fn objects(&mut self, heading: &str, kind: &str, items: &Value) {
        let (Some(items), Ok(noun)) = (items.as_array(), noun(kind)) else {
            return;
        };
        self.heading(heading);
        if items.is_empty() {
            let _ = writeln!(self.text, "  none");
            return;
        }
        let columns: Vec<&Column> = noun.columns.iter().filter(|c| self.wide || !c.2).collect();
        let headings: Vec<&str> = columns.iter().map(|column| column.0).collect();
        let row = |item: &Value| {
            let at = |column: &&Column| cell(item.pointer(column.1).unwrap_or(&Value::Null));
            columns.iter().map(at).collect::<Vec<_>>()
        };
        let rows: Vec<_> = items.iter().map(row).collect();
        self.rows(&headings, &rows);
    }

    fn proxies(&mut self, proxies: &Value) {
        self.objects("Proxies", "proxy", proxies);
        for proxy in proxies.as_array().into_iter().flatten() {
            self.nacks(proxy);
            self.advisories(proxy);
        }
    }

    /// The known holes of its Envoy.
    fn advisories(&mut self, proxy: &Value) {
        for hole in proxy["advisories"].as_array().into_iter().flatten() {
            let line = format!(
                "  {} has {} ({}, gone in Envoy {}): {}",
                cell(&proxy["name"]),
                cell(&hole["id"]),
                cell(&hole["severity"]),
                cell(&hole["fixed_in"]),
                cell(&hole["summary"])
            );
            let _ = writeln!(self.text, "{}", self.paint.red(&line));
        }
    }

    /// What a proxy refuses.
    fn nacks(&mut self, proxy: &Value) {
        for nack in proxy["nacks"].as_array().into_iter().flatten() {
            let cause = &nack["cause"];
            let place = [&cause["kind"], &cause["name"], &cause["pointer"]];
            let place: Vec<String> = place
                .into_iter()
                .filter(|v| !v.is_null())
                .map(cell)
                .collect();
            let line = format!(
                "  {} refuses {}: {} ({})",
                cell(&proxy["name"]),
                cell(&nack["resource"]),
                cell(&nack["raw"]),
                place.join(" ")
            );
            let _ = writeln!(self.text, "{}", self.paint.red(&line));
        }
    }

    fn findings(&mut self, findings: Option<&Vec<Value>>) {
        self.heading("Findings");
        let findings = findings.map_or(&[][..], Vec::as_slice);
        if findings.is_empty() {
            let _ = writeln!(self.text, "  {}", self.paint.green("none"));
        }
        for finding in findings {
            let line = format!(
                "  {} {}: {} [{}]",
                cell(&finding["object"]),
                finding["pointer"].as_str().map_or_else(String::new, plain),
                cell(&finding["detail"]),
                cell(&finding["code"])
            );
            let _ = writeln!(self.text, "{}", self.paint.yellow(&line));
            if let Some(hint) = finding["hint"].as_str() {
                let _ = writeln!(self.text, "      hint: {}", plain(hint));
            }
        }
    }
}

/// A caller by what it is called.
fn caller(value: &Value) -> String {
    let named = value["service"].as_str().or(value["spiffe"].as_str());
    named.map_or_else(|| cell(value), plain)
}

/// Rows without headings.
fn bare(rows: &[Vec<String>]) -> String {
    let width = rows.iter().map(|row| row[0].chars().count()).max();
    let width = width.unwrap_or(0) + 3;
    let line = |row: &Vec<String>| format!("{:<width$}{}\n", row[0], row[1]);
    rows.iter().map(line).collect()
}
