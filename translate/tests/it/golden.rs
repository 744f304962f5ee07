//! Whole outputs, reviewed as YAML and accepted by real Envoys. `HEDDLE_ACCEPT_GOLDEN=1` writes what came out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use heddle_translate::{Origin, Output};
use serde_json::{Value, json};

use crate::case::Case;
use crate::envoy::{Identity, assert_accepted, static_bootstrap};
use crate::protos;

pub(crate) fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn origin(origin: &Origin) -> String {
    let Origin {
        kind,
        name,
        pointer,
        revision,
        within,
        ..
    } = origin;
    let mut text = format!("{} {name}@{revision}", kind.as_str());
    if !pointer.is_empty() {
        text.push_str(&format!(" {pointer}"));
    }
    if !within.is_empty() {
        text.push_str(&format!(" -> {within}"));
    }
    text
}

fn render(output: &Output) -> String {
    let resource = |resource: &heddle_translate::Resource| {
        let mut value = json!({"kind": resource.kind.short_name(), "name": resource.name});
        if let Some((kind, name)) = &resource.child {
            value["child"] = json!(format!("{kind} {name}"));
        }
        if !resource.needs.is_empty() {
            let needs = resource.needs.iter();
            value["needs"] = needs
                .map(|(kind, name)| json!(format!("{kind} {name}")))
                .collect();
        }
        value["origins"] = resource.origins.iter().map(origin).collect();
        value["resource"] = protos::json(resource);
        value
    };
    let diagnostics: Vec<String> = output
        .diagnostics
        .iter()
        .map(|one| format!("{}: {}", origin(&one.origin), one.message))
        .collect();
    let resources: Vec<Value> = output.resources.iter().map(resource).collect();
    let document = json!({"diagnostics": diagnostics, "resources": resources});
    serde_yaml_ng::to_string(&document).unwrap()
}

#[test]
fn goldens() {
    let accept = std::env::var_os("HEDDLE_ACCEPT_GOLDEN").is_some();
    let mut differing = Vec::new();
    for case in cases() {
        let rendered = render(&Case::read(&case.join("in.yaml")).translate());
        let path = case.join("out.yaml");
        if accept {
            std::fs::write(&path, &rendered).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_ref() != Some(&rendered) {
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            let (line, (want, got)) = expected
                .lines()
                .chain(std::iter::repeat("<end>"))
                .zip(rendered.lines().chain(["<end>"]))
                .enumerate()
                .find(|(_, (want, got))| want != got)
                .unwrap_or((0, ("", "")));
            differing.push(format!(
                "{} line {}: want {want:?}, got {got:?}",
                path.display(),
                line + 1
            ));
        }
    }
    assert!(
        differing.is_empty(),
        "{differing:#?}\nHEDDLE_ACCEPT_GOLDEN=1 writes what came out"
    );
}

#[test]
fn every_folder_is_a_case_and_has_nothing_else_in_it() {
    for case in cases() {
        let files: BTreeSet<String> = std::fs::read_dir(&case)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let wanted = BTreeSet::from(["in.yaml".to_owned(), "out.yaml".to_owned()]);
        assert_eq!(files, wanted, "{}", case.display());
    }
}

#[test]
fn envoy_accepts_every_golden() {
    for case in cases() {
        let given = Case::read(&case.join("in.yaml"));
        let identity = Identity::of_service(given.view.service.as_str());
        let bootstrap = static_bootstrap(&given.translate().resources, &identity);
        assert_accepted(&case.display().to_string(), &bootstrap);
    }
}
