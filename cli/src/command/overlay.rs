//! Whether an Envoy's own file and an overlay go together. Envoy says nothing of the worst case, so it is asked before there is harm.

use std::path::Path;

use serde_json::Value;

use crate::failure::{Exit, Failure};

/// What an overlay takes the place of: the field, as in YAML and as in protobuf's JSON, what would happen, and what to do.
const TAKEN: [(&str, &str, &str, &str); 2] = [
    (
        "cds_config",
        "cdsConfig",
        "an overlay takes its place, and the clusters that come from there would be lost without a word of Envoy's",
        "put those clusters into static_resources.clusters",
    ),
    (
        "ads_config",
        "adsConfig",
        "an Envoy has one aggregated stream, and would refuse to start with two",
        "this Envoy belongs to another control plane; let Heddle manage another one beside it",
    ),
];

/// Reads the file.
///
/// # Errors
/// It cannot be read, or holds something that an overlay would take the place of: all of that at once.
pub(crate) fn check(file: &Path) -> Result<(), Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::io(&format!("read {shown}"), &error))?;
    let own: Value = serde_yaml_ng::from_str(&text)
        .map_err(|error| Failure::new(Exit::Findings, format!("{shown}: {error}")))?;
    let taken = taken(&own);
    if taken.is_empty() {
        return Ok(());
    }
    let why: Vec<String> = taken.iter().map(Taken::why).collect();
    let todo: Vec<&str> = taken.iter().map(|taken| taken.todo).collect();
    let what = format!("{shown} does not go with an overlay: {}", why.join("; "));
    Err(Failure::new(Exit::Findings, what).hint(todo.join("; ")))
}

/// Something of the file that an overlay takes the place of.
struct Taken {
    pointer: String,
    harm: &'static str,
    todo: &'static str,
}

impl Taken {
    fn why(&self) -> String {
        format!("{}: {}", self.pointer, self.harm)
    }
}

fn taken(own: &Value) -> Vec<Taken> {
    let mut taken = Vec::new();
    for resources in ["dynamic_resources", "dynamicResources"] {
        for (yaml, json, harm, todo) in TAKEN {
            for field in [yaml, json] {
                if own[resources].get(field).is_some_and(|it| !it.is_null()) {
                    let pointer = format!("/{resources}/{field}");
                    taken.push(Taken {
                        pointer,
                        harm,
                        todo,
                    });
                }
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::taken;

    #[test]
    fn what_an_overlay_would_take_the_place_of_is_named() {
        let pointers = |own: serde_json::Value| -> Vec<String> {
            let found = taken(&own);
            found.into_iter().map(|taken| taken.pointer).collect()
        };
        assert_eq!(pointers(json!(null)), [""; 0]);
        assert_eq!(
            pointers(
                json!({"dynamic_resources": {"lds_config": {"path": "x"}, "cds_config": null}})
            ),
            [""; 0]
        );
        assert_eq!(
            pointers(json!({"dynamic_resources": {"cds_config": {}, "ads_config": {}}})),
            [
                "/dynamic_resources/cds_config",
                "/dynamic_resources/ads_config"
            ]
        );
        assert_eq!(
            pointers(json!({"dynamicResources": {"cdsConfig": {"ads": {}}}})),
            ["/dynamicResources/cdsConfig"]
        );
    }
}
