//! What the program says about itself: no command lacks an example, and none of it needs a server.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::process::{Command, Output};

fn heddle(arguments: &[String]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_heddle"))
        .args(arguments)
        .env_clear()
        .env("HEDDLE_CONFIG_DIR", folder.path())
        .output()
        .unwrap()
}

/// Every command and subcommand, with its help.
fn pages(path: &[String], all: &mut Vec<(Vec<String>, String)>) {
    let mut arguments = path.to_vec();
    arguments.push(String::from("--help"));
    let help = String::from_utf8(heddle(&arguments).stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in commands.take_while(|line| !line.is_empty()) {
        // A description that is longer than a line goes on further to the right.
        let name = line
            .strip_prefix("  ")
            .filter(|rest| !rest.starts_with(' '));
        let name = name.and_then(|rest| rest.split_whitespace().next());
        if let Some(name) = name.filter(|name| *name != "help") {
            let mut below = path.to_vec();
            below.push(name.to_owned());
            pages(&below, all);
        }
    }
    all.push((path.to_vec(), help));
}

#[test]
fn every_command_has_an_example() {
    let mut all = Vec::new();
    pages(&[], &mut all);
    assert!(all.len() > 12, "{}", all.len());
    let example = |help: &str| {
        let after = help.lines().skip_while(|line| *line != "Examples:");
        after.skip(1).any(|line| line.contains("heddle "))
    };
    let without = all.iter().filter(|(_, help)| !example(help));
    let without: Vec<_> = without.map(|(path, _)| path.join(" ")).collect();
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn what_makes_no_sense_is_said_without_a_server() {
    let words = |line: &str| {
        line.split_whitespace()
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    for (line, code, says) in [
        ("", 2, "Usage"),
        ("frobnicate", 2, "unrecognized"),
        ("get", 2, "KIND"),
        ("get teapots", 2, "there is no kind `teapots`"),
        ("get services", 2, "which mesh?"),
        ("get meshes", 2, "which server?"),
        (
            "get meshes --server localhost:1",
            2,
            "is not the address of a server",
        ),
        (
            "get route all -m prod --server http://localhost:1",
            2,
            "SERVICE/NAME",
        ),
        (
            "get splits -m prod --server http://localhost:1",
            2,
            "SERVICE/ROUTE",
        ),
        (
            "get meshes --server http://127.0.0.1:1",
            1,
            "cannot be reached",
        ),
        ("get meshes --context none", 3, "there is no context `none`"),
        (
            "whoami --token-file /nowhere --server http://localhost:1",
            4,
            "there is no file",
        ),
        ("explain HED-9999", 3, "there is no code"),
        (
            "apply -f /nowhere --server http://localhost:1",
            1,
            "/nowhere",
        ),
        (
            "apply -f /dev/null --server http://localhost:1",
            2,
            "describe nothing",
        ),
        ("apply -f /dev/null --sync", 2, "--manager"),
        ("logout", 2, "which context?"),
    ] {
        let output = heddle(&words(line));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
        assert!(output.stdout.is_empty(), "{line}");
    }
    let explained = heddle(&words("explain hed-1002"));
    assert!(String::from_utf8_lossy(&explained.stdout).contains("Unknown field"));
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = heddle(&words(&format!("completion {shell}")));
        assert!(script.stdout.len() > 1000, "{shell}");
    }
}
