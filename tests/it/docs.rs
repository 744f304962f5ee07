//! The pages that show commands: each is executed as it stands, and what it shows is what happens.

use std::process::Stdio;

use heddle_tests::{
    Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, free_port, heddle, repository,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// A command of a page and the answer that follows it, if one is shown.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) shown: Option<(String, String)>,
}

/// The fenced blocks of a page: `bash` is executed, whatever else follows it is its answer.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = block.join("\n");
        match (language, steps.last_mut()) {
            ("bash", _) => steps.push(Step {
                command: block,
                shown: None,
            }),
            (other, Some(step)) => {
                assert!(step.shown.is_none(), "two answers to one command:\n{block}");
                step.shown = Some((other.to_owned(), block));
            }
            (_, None) => panic!("an answer to no command:\n{block}"),
        }
    }
    steps
}

/// A line with one space between its words.
pub(crate) fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first shown line that is not there, below the one before; `...` may be anything.
pub(crate) fn missing(shown: &str, there: &[String]) -> Option<String> {
    let mut lines = there.iter();
    for wanted in shown.lines().map(words) {
        let fits = |line: &String| {
            let mut rest = line.as_str();
            wanted.split("...").all(|part| match rest.find(part) {
                Some(at) => {
                    rest = &rest[at + part.len()..];
                    true
                }
                None => false,
            })
        };
        if !wanted.is_empty() && !lines.any(fits) {
            return Some(wanted);
        }
    }
    None
}

/// What a page says may be taken on this machine: its ports, of five digits each, and its addresses are replaced by free ones.
pub(crate) fn placed(page: &str, ports: &[&str], addresses: &[&str]) -> String {
    let mut page = page.to_owned();
    for port in ports {
        assert!(page.contains(port), "{port}");
        page = page.replace(port, &free_port().to_string());
    }
    let network = std::process::id() % 200 + 16;
    for address in addresses {
        let last = address.rsplit('.').next().unwrap();
        page = page.replace(address, &format!("127.{network}.254.{last}"));
    }
    page
}

/// Where an answer differs from what is shown of it: what is shown must be there, `"..."` may be anything.
fn difference(at: &str, shown: &Value, actual: &Value) -> Option<String> {
    match (shown, actual) {
        (Value::String(any), other) if any == "..." && !other.is_null() => None,
        (Value::Object(shown), Value::Object(actual)) => shown.iter().find_map(|(key, value)| {
            difference(
                &format!("{at}/{key}"),
                value,
                actual.get(key).unwrap_or(&Value::Null),
            )
        }),
        (Value::Array(shown), Value::Array(actual)) if shown.len() == actual.len() => {
            let pairs = shown.iter().zip(actual).enumerate();
            pairs
                .into_iter()
                .find_map(|(i, (shown, actual))| difference(&format!("{at}/{i}"), shown, actual))
        }
        (shown, actual) => {
            (shown != actual).then(|| format!("{at}: {shown} is shown, {actual} came"))
        }
    }
}

#[test]
fn what_is_shown_of_an_answer_must_be_in_it() {
    let differs = |shown: &str, actual: &str| {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        difference("", &parse(shown), &parse(actual)).is_some()
    };
    assert!(!differs(
        r#"{"a": "...", "b": [1]}"#,
        r#"{"a": "x", "b": [1], "c": 2}"#
    ));
    assert!(differs(r#"{"a": "..."}"#, r#"{"b": 1}"#));
    assert!(differs(r#"{"a": 1}"#, r#"{"a": 2}"#));
    assert!(differs(r#"[1, 2]"#, r#"[1]"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ten_steps_do_what_they_show() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let page = std::fs::read_to_string(repository().join("docs/api.md")).unwrap();
    let chapters = page.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(chapters, 10);
    let steps = steps(&page);
    assert!(
        steps.len() > 12 && steps.iter().filter(|step| step.shown.is_some()).count() > 12,
        "{}",
        steps.len()
    );

    execute(&page, |script| bash(&stack, &api, script)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_to_tcp_services_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let path = repository().join("docs/guides/tcp-services.md");
    let page = std::fs::read_to_string(path).unwrap();
    let shown = steps(&page).iter().filter(|s| s.shown.is_some()).count();
    assert_eq!(shown, 4);
    execute(&page, |script| bash(&stack, &api, script)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_to_mutual_tls_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let services = ["payments", "checkout"];
    let api = stack.mesh("acme", "prod", json!({}), &services).await;
    let start = async |service, proxy| {
        let spec = WorkloadSpec {
            mesh: "prod",
            ..WorkloadSpec::of_shop(service, proxy, EnvoyVersion::Newest)
        };
        let workload = Workload::start(&stack, &api, &spec).await;
        workload.ready(&api, "prod").await;
        workload
    };
    let payments = start("payments", "payments-1").await;
    let checkout = start("checkout", "checkout-1").await;
    let path = repository().join("docs/guides/move-callers-to-mtls.md");
    let page = std::fs::read_to_string(path).unwrap();
    let shown = steps(&page).iter().filter(|s| s.shown.is_some()).count();
    assert_eq!(shown, 9);
    let page = page
        .replace(
            "127.0.0.1:15006",
            &format!("127.0.0.1:{}", payments.inbound_port),
        )
        .replace(
            "127.0.0.1:15001",
            &format!("127.0.0.1:{}", checkout.outbound_port),
        );
    execute(&page, |script| bash(&stack, &api, script)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_to_the_agent_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "prod", json!({}), &["payments"]).await;
    let path = repository().join("docs/guides/agent.md");
    let page = std::fs::read_to_string(path).unwrap();
    let shown = steps(&page).iter().filter(|s| s.shown.is_some()).count();
    assert_eq!(shown, 3);
    execute(&page, |script| with_heddle(bash(&stack, &api, script))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_to_certificates_by_request_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let services = ["payments", "checkout"];
    let api = stack.mesh("acme", "prod", json!({}), &services).await;
    let path = repository().join("docs/guides/certificates-by-request.md");
    let page = std::fs::read_to_string(path).unwrap();
    let shown = steps(&page).iter().filter(|s| s.shown.is_some()).count();
    assert_eq!(shown, 4);
    execute(&page, |script| with_heddle(bash(&stack, &api, script))).await;
}

/// With the command line where a shell finds it.
fn with_heddle(mut command: Command) -> Command {
    let own = heddle();
    let beside = own.parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(beside).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).unwrap());
    command
}

fn bash(stack: &Stack, api: &Api, script: &str) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .current_dir(stack.directory.path())
        .env("HEDDLE", stack.server.url())
        .env("TOKEN", &api.token)
        .stdin(Stdio::null());
    command
}

/// Executes commands in one shell, so that a later one can use what an earlier one has found; what each prints.
pub(crate) async fn answers(steps: &[Step], shell: impl FnOnce(&str) -> Command) -> Vec<String> {
    let mut script = String::from("set -euo pipefail\n");
    for step in steps {
        script.push_str(&step.command);
        script.push_str("\nprintf '\\n@@@@\\n'\n");
    }
    let output = shell(&script).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers: Vec<String> = said.split("\n@@@@\n").map(ToOwned::to_owned).collect();
    assert!(
        output.status.success(),
        "after {} steps: {}\n{}",
        answers.len() - 1,
        String::from_utf8_lossy(&output.stderr),
        steps[(answers.len() - 1).min(steps.len() - 1)].command
    );
    answers
}

/// Executes the commands of a page and holds what comes against what is shown.
pub(crate) async fn execute(page: &str, shell: impl FnOnce(&str) -> Command) {
    let steps = steps(page);
    let answers = answers(&steps, shell).await;
    for (step, answer) in steps.iter().zip(&answers) {
        let Some((kind, shown)) = &step.shown else {
            continue;
        };
        if kind == "json" {
            let actual: Value = serde_json::from_str(answer)
                .unwrap_or_else(|error| panic!("{error}: {answer}\n{}", step.command));
            let difference = difference("", &serde_json::from_str(shown).unwrap(), &actual);
            assert_eq!(difference, None, "{}\n{answer}", step.command);
        } else {
            assert!(
                answer.contains(shown.trim()),
                "{}\n{answer}\nis shown as\n{shown}",
                step.command
            );
        }
    }
}

/// Pages whose commands nobody executes, how many blocks of them there are, and why.
const NOT_EXECUTED: [(&str, usize, &str); 5] = [
    ("deploy/README.md", 2, "the root of a host, and a cluster"),
    (
        "docs/chaos.md",
        1,
        "three quarters of an hour; the program is executed by its own test",
    ),
    (
        "docs/guides/second-factors.md",
        4,
        "the authenticator of a person",
    ),
    (
        "docs/guides/single-sign-on.md",
        4,
        "an identity provider of somebody's own",
    ),
    (
        "docs/guides/webhooks.md",
        2,
        "a receiver of somebody's own; its program is executed",
    ),
];

/// Files with this ending below a folder of the repository.
fn files(below: &str, ending: &str) -> Vec<(String, String)> {
    let mut left = vec![repository().join(below)];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.to_str().unwrap().ends_with(ending) {
            let name = path.strip_prefix(repository()).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((name.to_str().unwrap().to_owned(), text));
        }
    }
    found
}

#[test]
fn every_page_with_commands_is_executed_or_it_is_said_why_not() {
    let tests: String = files("tests/it", ".rs")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let mut pages = files("docs", ".md");
    pages.extend(files("deploy", ".md"));
    let mut not_executed = Vec::new();
    for (name, text) in &pages {
        let blocks = |language: &str| {
            let fence = format!("```{language}");
            text.lines().filter(|line| line.trim() == fence).count()
        };
        if blocks("bash") > 0 {
            let read = format!("\"{name}\"");
            assert!(tests.contains(&read), "{name}: no test reads it");
        }
        let others: usize = ["sh", "shell", "console"].into_iter().map(blocks).sum();
        if others > 0 {
            not_executed.push((name.as_str(), others));
        }
    }
    not_executed.sort_unstable();
    let known: Vec<_> = NOT_EXECUTED.map(|(page, blocks, _)| (page, blocks)).into();
    assert_eq!(not_executed, known);
}
