//! What an Envoy has done on its way into the mesh, step by step, as the console shows it.

use std::path::Path;

use serde_json::Value;

use crate::output::{cell, plain, say};

const STEPS: [&str; 4] = [
    "The Envoy has joined the mesh",
    "It is connected",
    "It has its configuration",
    "Others can call it",
];

/// Which lights are on; each is told once.
#[derive(Debug, Default)]
pub(super) struct Lights {
    on: usize,
    refused: Option<String>,
}

impl Lights {
    /// Looks at what is known of the proxy. Whether all of them are on.
    pub(super) fn look(&mut self, proxy: &Value) -> bool {
        let reached = reached(proxy);
        // What goes out again, as when an Envoy is restarted, was told.
        for (place, step) in STEPS.iter().enumerate().take(reached).skip(self.on) {
            say(&format!("  √ {step}{}", about(place, proxy)));
        }
        self.on = self.on.max(reached);
        let nack = &proxy["nacks"][0];
        if nack.is_object() {
            let told = format!("{}: {}", cell(&nack["resource"]), cell(&nack["raw"]));
            if self.refused.as_ref() != Some(&told) {
                say(&format!("  × It refuses {}", plain(&told)));
                self.refused = Some(told);
            }
        }
        reached == STEPS.len()
    }

    /// What to do when it does not go on.
    pub(super) fn hint(&self, bootstrap: &Path) -> String {
        let doctor = format!(
            "`heddle doctor {}` on its host says why",
            bootstrap.display()
        );
        match self.on {
            0 => format!(
                "no Envoy came with this token: is it started, and can it reach the server? {doctor}"
            ),
            1 => format!("it came and went: {doctor}"),
            2 if self.refused.is_some() => {
                String::from("`heddle proxies nacks` explains what it refuses")
            }
            _ => format!("it is connected and not ready yet: {doctor}"),
        }
    }
}

fn about(place: usize, proxy: &Value) -> String {
    match place {
        0 => format!(": {}", cell(&proxy["name"])),
        2 => {
            let acked = proxy.pointer("/revision/acked").unwrap_or(&proxy["acked"]);
            format!(": revision {}", cell(acked))
        }
        3 if proxy["address"].is_string() => format!(", at {}", cell(&proxy["address"])),
        _ => String::new(),
    }
}

/// How many steps it has taken.
fn reached(proxy: &Value) -> usize {
    match proxy["state"].as_str() {
        None | Some("forgotten") => 0,
        Some("offline") => 1,
        Some("ready") if proxy["address"].is_string() => 4,
        Some("ready") => 3,
        Some(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lights_go_on_one_by_one() {
        let mut lights = Lights::default();
        assert!(!lights.look(&Value::Null));
        assert!(lights.hint(Path::new("b")).contains("heddle doctor b"));
        let nack = json!({"resource": "r", "raw": "no"});
        assert!(!lights.look(&json!({"name": "p", "state": "nacked", "nacks": [nack]})));
        assert_eq!(lights.on, 2);
        assert!(lights.hint(Path::new("b")).contains("nacks"));
        assert!(!lights.look(&json!({"state": "offline"})));
        assert_eq!(lights.on, 2);
        assert!(lights.look(&json!({"state": "ready", "address": "10.0.0.1"})));
    }
}
