//! Which crate of ours may depend on which. The table is the architecture; `cargo metadata` is what was built.

use std::collections::BTreeSet;

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;

use crate::finding::Finding;
use crate::repository::Repository;

/// One crate of ours. Dependencies for tests and build scripts count like any other.
struct Layer {
    name: &'static str,
    may: &'static [&'static str],
    because: &'static str,
}

/// Every crate there is or will be.
const LAYERS: &[Layer] = &[
    Layer {
        name: "heddle-model",
        may: &[],
        because: "the domain is pure",
    },
    Layer {
        name: "heddle-ephemeral",
        may: &["heddle-model"],
        because: "what may be lost knows nothing that may not be",
    },
    Layer {
        name: "heddle-egress",
        may: &["heddle-model"],
        because: "it calls where it is told, and knows nothing of what is said",
    },
    Layer {
        name: "heddle-oidc",
        may: &["heddle-model", "heddle-egress"],
        because: "it says whom a provider vouches for, and knows nobody here",
    },
    Layer {
        name: "heddle-bench",
        may: &[],
        because: "it drives any control plane over the wire",
    },
    Layer {
        name: "xtask",
        may: &[],
        because: "it judges the repository and must build without it",
    },
    Layer {
        name: "heddle-client",
        may: &[],
        because: "it is made from the document, as a customer's client would be",
    },
    Layer {
        name: "heddle",
        may: &[
            "heddle-client",
            "heddle-model",
            "heddle-translate",
            "heddle-agent",
        ],
        because: "the command line speaks to the API, validates offline, and is the agent of a host",
    },
    Layer {
        name: "heddle-identity",
        may: &[],
        because: "messages have no behaviour",
    },
    Layer {
        name: "heddle-agent",
        may: &["heddle-identity", "heddle-model"],
        because: "it runs on customers' hosts and speaks to a server over the wire only",
    },
    Layer {
        name: "heddle-store",
        may: &["heddle-model", "heddle-evidence"],
        because: "it knows Postgres and the domain",
    },
    Layer {
        name: "heddle-translate",
        may: &["heddle-model", "heddle-evidence"],
        because: "translation is pure",
    },
    Layer {
        name: "heddle-ca",
        may: &["heddle-model"],
        because: "it asks for what it needs by its own traits",
    },
    Layer {
        name: "heddle-xds-server",
        may: &[
            "heddle-model",
            "heddle-translate",
            "heddle-identity",
            "heddle-evidence",
        ],
        because: "it asks for what it needs by its own traits and never sees Postgres",
    },
    Layer {
        name: "heddle-api",
        may: &[
            "heddle-model",
            "heddle-egress",
            "heddle-ephemeral",
            "heddle-oidc",
            "heddle-store",
            "heddle-translate",
        ],
        because: "it renders, but does not serve, what proxies get",
    },
    Layer {
        name: "heddle-jobs",
        may: &["heddle-model", "heddle-store"],
        because: "reconcilers look at rows only",
    },
    Layer {
        name: "heddled",
        may: &[
            "heddle-model",
            "heddle-ephemeral",
            "heddle-egress",
            "heddle-oidc",
            "heddle-store",
            "heddle-translate",
            "heddle-ca",
            "heddle-xds-server",
            "heddle-api",
            "heddle-jobs",
        ],
        because: "it wires the roles; benches and tests are not among them",
    },
    Layer {
        name: "heddle-evidence",
        may: &[],
        because: "long tests of any crate leave what they measured",
    },
    Layer {
        name: "heddle-tests",
        may: &[
            "heddle",
            "heddle-evidence",
            "heddle-client",
            "heddle-model",
            "heddle-ephemeral",
            "heddle-egress",
            "heddle-oidc",
            "heddle-store",
            "heddle-translate",
            "heddle-ca",
            "heddle-identity",
            "heddle-agent",
            "heddle-xds-server",
            "heddle-api",
            "heddle-jobs",
            "heddled",
        ],
        because: "it sees everything, and only who harms a whole Heddle on purpose depends on its harness",
    },
    Layer {
        name: "heddle-chaos",
        may: &["heddle-bench", "heddle-tests", "heddle-evidence"],
        because: "it puts the harness of the tests under the load of the benchmarks",
    },
];

/// Packages of others that only some of our crates may name.
const RESERVED: &[(&str, &[&str], &str)] = &[
    (
        "redis",
        &["heddle-ephemeral", "heddle-tests"],
        "what lies in Redis may be lost, and one crate sees to it that this harms nobody",
    ),
    (
        "sqlx",
        &[
            "heddle-store",
            "heddle-tests",
            "heddle-bench",
            "heddle-chaos",
        ],
        "every query of the product stands in the store; a benchmark compares with bare ones, and oracles look behind it",
    ),
    (
        "axum",
        &["heddle-api", "heddled", "heddle-tests"],
        "HTTP is the business of the API and of the wiring",
    ),
];

/// A crate of the workspace with the names of what it depends on.
#[derive(Debug)]
struct Crate {
    name: String,
    dependencies: BTreeSet<String>,
}

/// Compares what the workspace declares with the table.
///
/// # Errors
/// `cargo metadata` fails.
pub(crate) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    let metadata = MetadataCommand::new()
        .manifest_path(repository.root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("run cargo metadata")?;
    let crates: Vec<Crate> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| Crate {
            name: package.name.to_string(),
            dependencies: package
                .dependencies
                .iter()
                .map(|dependency| dependency.name.clone())
                .collect(),
        })
        .collect();
    Ok(judge(&crates))
}

fn judge(crates: &[Crate]) -> Vec<Finding> {
    let ours: BTreeSet<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let mut findings = Vec::new();
    for one in crates {
        let name = one.name.as_str();
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
            let message = "rule `listed`: the table in xtask/src/layers.rs does not know this crate; add a line that \
                           says what it may depend on";
            findings.push(Finding::error(name, message));
            continue;
        };
        for dependency in &one.dependencies {
            let dependency = dependency.as_str();
            if ours.contains(dependency) && !layer.may.contains(&dependency) {
                findings.push(Finding::error(
                    name,
                    format!(
                        "rule `layers`: may not depend on {dependency}: {}",
                        layer.because
                    ),
                ));
            }
            for (package, holders, because) in RESERVED {
                if *package == dependency && !holders.contains(&name) {
                    findings.push(Finding::error(
                        name,
                        format!("rule `reserved`: may not depend on {package}: {because}"),
                    ));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, dependencies: &[&str]) -> Crate {
        Crate {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(|d| (*d).to_owned()).collect(),
        }
    }

    #[test]
    fn what_the_table_allows_is_good() {
        let crates = [
            one("heddle-model", &["serde"]),
            one("heddle-store", &["heddle-model", "sqlx"]),
            one("heddled", &["heddle-model", "heddle-store", "axum"]),
        ];
        assert_eq!(judge(&crates), []);
    }

    #[test]
    fn each_rule_is_named_when_it_is_broken() {
        let crates = [
            one("heddle-model", &["heddle-store"]),
            one("heddle-store", &["heddle-tests"]),
            one("heddle-translate", &["sqlx"]),
            one("heddle-xds-server", &["axum"]),
            one("heddle-tests", &[]),
            one("heddle-extra", &[]),
        ];
        let found: Vec<String> = judge(&crates)
            .iter()
            .map(|finding| {
                assert!(finding.fatal);
                let rule = finding.message.split('`').nth(1).unwrap();
                format!("{} {rule}", finding.place)
            })
            .collect();
        assert_eq!(
            found,
            [
                "heddle-model layers",
                "heddle-store layers",
                "heddle-translate reserved",
                "heddle-xds-server reserved",
                "heddle-extra listed",
            ]
        );
    }

    #[test]
    fn the_table_has_no_circle() {
        // Whoever may depend on a crate stands after it in some order: take away what nothing left may need.
        let mut left: Vec<&Layer> = LAYERS.iter().collect();
        while !left.is_empty() {
            let before = left.len();
            let names: BTreeSet<&str> = left.iter().map(|layer| layer.name).collect();
            left.retain(|layer| layer.may.iter().any(|name| names.contains(name)));
            assert!(left.len() < before, "{names:?}");
        }
    }
}
