//! The pages for operators, executed as they stand, one after the other in one shell: a PostgreSQL with passwords, a Redis, servers
//! and Envoys, all real.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use heddle_tests::{BarePostgres, EnvoyVersion, Redis, Yard, heddle, heddled, repository};
use tokio::process::Command;

use crate::docs;

const PAGES: [&str; 3] = [
    "docs/guides/operate.md",
    "docs/operations.md",
    "docs/alerts.md",
];
const PATIENCE: Duration = Duration::from_secs(300);
/// What the pages say may be taken on this machine.
const PORTS: [&str; 12] = [
    "18080", "18000", "18081", "18001", "18082", "18002", "15101", "15102", "15103", "15301",
    "15001", "15303",
];

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

fn shell(script: &str, folder: &Path, postgres: &BarePostgres, redis: &Redis) -> Command {
    let tools = repository().join(".tools");
    let envoy = EnvoyVersion::Newest.binary();
    let beside = [heddled(), heddle(), envoy].map(|file| file.parent().unwrap().to_owned());
    let path = std::env::var_os("PATH").unwrap();
    let folders = beside.into_iter().chain([tools]);
    let folders = folders.chain(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("HOME", folder)
        .env("HEDDLE_CONFIG_DIR", folder.join("config"))
        .env("DEPLOY", repository().join("deploy"))
        .env("REDIS", redis.url().replace("://:", "://default:"))
        .envs(postgres.environment())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_for_operators_do_what_they_show() {
    let (postgres, redis) = tokio::join!(BarePostgres::start(), Redis::start());
    let yard = Yard::new();
    let pages = PAGES.map(read).join("\n");
    // Whatever stands in a block is a command or what one prints.
    for fence in pages.lines().filter(|line| line.starts_with("```")) {
        assert!(["```bash", "```text", "```"].contains(&fence), "{fence}");
    }
    let pages = docs::placed(&pages, &PORTS, &["127.0.0.21"]);
    let steps = docs::steps(&pages);
    assert!(steps.len() > 40, "{}", steps.len());
    let run = docs::answers(&steps, |script| {
        shell(script, yard.path(), &postgres, &redis)
    });
    let answers = tokio::time::timeout(PATIENCE, run).await;
    let answers = answers.expect("the pages come to an end");
    for (step, answer) in steps.iter().zip(&answers) {
        let there: Vec<String> = answer.lines().map(docs::words).collect();
        let shown = step.shown.as_ref().map(|(_, shown)| shown.as_str());
        if let Some(line) = docs::missing(shown.unwrap_or_default(), &there) {
            panic!("{}\nshows no `{line}`:\n{answer}", step.command);
        }
    }
}

/// Commands that stand in a sentence: what the program is told, up to where it is about something.
fn mentioned(page: &str) -> Vec<Vec<String>> {
    let mut fenced = false;
    let prose = page.lines().filter(|line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    let quoted = prose.flat_map(|line| line.split('`').skip(1).step_by(2));
    let words = quoted.map(|text| text.split(' ').map(ToOwned::to_owned).collect());
    words
        .filter(|words: &Vec<String>| {
            words.len() > 1 && ["heddle", "heddled"].contains(&words[0].as_str())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_mentioned_exists_with_its_flags() {
    let mut seen = 0;
    for page in PAGES {
        for words in mentioned(&read(page)) {
            let program = if words[0] == "heddle" {
                heddle()
            } else {
                heddled()
            };
            let plain = |word: &&String| {
                word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !word.starts_with('-')
            };
            let commands = words[1..].iter().take_while(plain);
            let help = Command::new(program).args(commands).arg("--help").output();
            let help = help.await.unwrap();
            let text = String::from_utf8_lossy(&help.stdout).into_owned();
            assert!(help.status.success(), "{page}: {words:?}");
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(text.contains(flag.as_str()), "{page}: {words:?}: {flag}");
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn every_alert_has_an_entry_that_it_leads_to_and_every_entry_an_alert() {
    // Name to severity and where it leads.
    let mut alerts: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut name = String::new();
    for line in read("deploy/prometheus/heddle.rules.yaml").lines() {
        let line = line.trim();
        if let Some(alert) = line.strip_prefix("- alert: ") {
            alert.clone_into(&mut name);
        } else if let Some(labels) = line.strip_prefix("labels: {severity: ") {
            alerts.entry(name.clone()).or_default().0 = labels.trim_end_matches('}').to_owned();
        } else if let Some(runbook) = line.strip_prefix("runbook: ") {
            alerts.entry(name.clone()).or_default().1 = runbook.to_owned();
        }
    }
    assert!(alerts.len() > 10, "{alerts:?}");
    let page = read("docs/alerts.md");
    let sections = page.split("\n## ").skip(1);
    let entries: BTreeMap<String, (String, String)> = sections
        .map(|section| {
            let (name, text) = section.split_once("\n\n").unwrap();
            let severity = text.split('`').nth(1).unwrap_or_default();
            let leads = format!("docs/alerts.md#{}", name.to_lowercase());
            (name.to_owned(), (severity.to_owned(), leads))
        })
        .collect();
    assert_eq!(alerts, entries);
}
