//! What `make run` starts, used as the person in front of it would: the printed lines in a shell, a killed
//! process here and there, and the same command again.

use std::path::Path;
use std::time::{Duration, Instant};

use heddle_tests::{Child, EnvoyVersion, Outcome, Traffic, free_ports, heddled, until, until_some};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::Command;

struct Demo {
    supervisor: Child,
    ready: Value,
}

impl Demo {
    async fn start(directory: &Path, ports: [u16; 2]) -> Self {
        let ready = directory.join("ready.json");
        let mut command = Command::new(heddled());
        command.args(["up", "--demo", "--stop-with-parent"]);
        command
            .arg("--data-dir")
            .arg(directory.join("data"))
            .arg("--ready-file")
            .arg(&ready);
        command.arg("--envoy").arg(EnvoyVersion::Newest.binary());
        command.args(["--api-listen", &format!("127.0.0.1:{}", ports[0])]);
        command.args(["--xds-listen", &format!("127.0.0.1:{}", ports[1])]);
        command.env_remove("DATABASE_URL");
        let mut supervisor = Child::start(&mut command, &directory.join("up.log"));
        let ready = until_some("the demo serves", Duration::from_secs(120), async || {
            assert!(!supervisor.has_ended(), "{}", supervisor.output());
            serde_json::from_slice(&std::fs::read(&ready).ok()?).ok()
        })
        .await;
        Self { supervisor, ready }
    }

    fn pid(&self, name: &str) -> i32 {
        self.ready["pids"][name]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok())
            .unwrap()
    }

    fn text(&self, field: &str) -> &str {
        self.ready[field].as_str().unwrap()
    }

    /// The printed line that follows a printed sentence.
    fn printed(&self, after: &str) -> String {
        let output = self.supervisor.output();
        let (_, rest) = output
            .rsplit_once(after)
            .unwrap_or_else(|| panic!("{after:?} is not printed:\n{output}"));
        rest.lines().nth(1).unwrap().trim().to_owned()
    }
}

async fn shell(line: &str) -> String {
    assert!(line.starts_with("curl "), "{line}");
    let output = Command::new("sh")
        .args(["-c", line])
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Who signs in with what the ready file says has a role.
async fn signs_in(ready: &Value) {
    let (api, member) = (ready["api"].as_str().unwrap(), &ready["member"]);
    let body = serde_json::json!({
        "org": ready["org"], "email": member["email"], "password": member["password"],
    });
    let client = reqwest::Client::new();
    let answer = client.post(format!("{api}/v1/sessions")).json(&body).send();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 201);
    let answer: Value = answer.json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let who = client.get(format!("{api}/v1/whoami")).bearer_auth(token);
    let who: Value = who.send().await.unwrap().json().await.unwrap();
    assert_eq!(who["role"], "owner", "{who}");
}

async fn version(frontend: &str) -> (u16, String) {
    let Ok(response) = reqwest::get(frontend).await else {
        return (0, String::new());
    };
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    (
        status,
        body["payments"]["version"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    )
}

fn alive(pid: i32) -> bool {
    // Signal 0 only asks. A zombie counts as gone: nobody can serve from one.
    kill(Pid::from_raw(pid), None).is_ok()
        && std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
        })
}

/// Every process below one.
fn descendants(root: i32) -> Vec<i32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((_, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        if let Some(parent) = rest
            .split_whitespace()
            .nth(1)
            .and_then(|p| p.parse::<i32>().ok())
        {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            parents
                .iter()
                .filter(|(_, p)| *p == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.split_off(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_does_what_it_prints_and_survives_what_it_promises() {
    let directory = tempfile::Builder::new()
        .prefix("heddle-demo-")
        .tempdir_in("/tmp")
        .unwrap();
    let ports = free_ports();
    let mut demo = Demo::start(directory.path(), ports).await;
    let frontend = demo.text("frontend").to_owned();
    assert_eq!(demo.ready["proxies"].as_array().unwrap().len(), 4);
    let console = reqwest::get(demo.text("console")).await.unwrap();
    let kind = console.headers()["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(console.text().await.unwrap().contains("<title>Heddle"));
    let member = demo.ready["member"].clone();
    let password = member["password"].as_str().unwrap();
    assert!(demo.supervisor.output().contains(password));
    signs_in(&demo.ready).await;
    let answer: Value =
        serde_json::from_str(&shell(&demo.printed("What the shop answers:")).await).unwrap();
    assert!(answer["payments"]["version"].is_string(), "{answer}");

    // The canary.
    let traffic = Traffic::start(
        &frontend,
        "frontend",
        4,
        Duration::from_millis(3),
        "/payments/version",
    );
    until("traffic flows", Duration::from_secs(20), async || {
        traffic.count() > 300
    })
    .await;
    let _ = shell(&demo.printed("Shift the canary, all of payments to v2:")).await;
    let answered = Instant::now();
    let live = "Is it live? How many of the Envoys have the newest revision, and who is missing, for three seconds:";
    let told = shell(&demo.printed(live)).await;
    let told = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told: Vec<Value> = told.filter(|event| event["topic"] == "rollout").collect();
    let last = &told.last().unwrap()["rollout"];
    assert_eq!(last["done"], true, "{told:?}");
    assert_eq!((&last["target"], &last["offline"]), (&4.into(), &0.into()));
    let acked = last["acked"].as_u64().unwrap();
    assert!(acked >= 1, "{last}");
    assert_eq!(last["skipped"], 4 - acked, "{last}");
    until("some seconds later", Duration::from_secs(20), async || {
        answered.elapsed() > Duration::from_secs(3)
    })
    .await;
    let outcomes = traffic.stop().await;
    let failed = Outcome::failed(&outcomes);
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        outcomes.len(),
        failed.first()
    );
    let (before, after): (Vec<_>, Vec<_>) = outcomes
        .into_iter()
        .partition(|o| o.sent < answered + Duration::from_secs(1));
    assert!(Outcome::versions(&before).contains_key("v1"));
    assert_eq!(Outcome::versions(&after).keys().collect::<Vec<_>>(), ["v2"]);

    // The denial, and the rule's name in the Envoy's access log.
    let rule: Value = serde_json::from_str(
        &shell(&demo.printed("Deny a caller, checkout may not call payments any more:")).await,
    )
    .unwrap();
    let id = rule["meta"]["uid"].as_str().unwrap().to_owned();
    until(
        "answers turn into 403",
        Duration::from_secs(5),
        async || version(&frontend).await.0 == 403,
    )
    .await;
    let log = directory.path().join("data/logs/payments-v2.log");
    until(
        "the access log names the rule",
        Duration::from_secs(10),
        async || {
            std::fs::read_to_string(&log)
                .is_ok_and(|log| log.contains(&format!("rbac_access_denied_matched_policy[{id}]")))
        },
    )
    .await;
    let _ = shell(&demo.printed("and allow it again:")).await;
    until("answers are back", Duration::from_secs(5), async || {
        version(&frontend).await.0 == 200
    })
    .await;

    // A killed server and a killed database are restarted while traffic flows.
    for name in ["server", "postgres"] {
        let traffic = Traffic::start(
            &frontend,
            "frontend",
            2,
            Duration::from_millis(5),
            "/payments/version",
        );
        let old = demo.pid(name);
        kill(Pid::from_raw(old), Signal::SIGKILL).unwrap();
        let ready = directory.path().join("ready.json");
        demo.ready = until_some(
            &format!("a new {name}"),
            Duration::from_secs(60),
            async || {
                let now: Value = serde_json::from_slice(&std::fs::read(&ready).ok()?).ok()?;
                (now["pids"][name].is_i64() && now["pids"][name] != old).then_some(now)
            },
        )
        .await;
        until("the API is ready", Duration::from_secs(60), async || {
            let url = format!("{}/readyz", demo.text("api"));
            reqwest::get(url)
                .await
                .is_ok_and(|r| r.status().is_success())
        })
        .await;
        let outcomes = traffic.stop().await;
        let failed = Outcome::failed(&outcomes);
        assert!(
            failed.is_empty(),
            "{name} killed: {} of {} failed: {:?}",
            failed.len(),
            outcomes.len(),
            failed.first()
        );
    }

    // A killed supervisor takes everything with it within 5 seconds.
    let supervisor = demo.supervisor.pid().unwrap();
    let children = descendants(supervisor);
    assert!(children.len() >= 10, "{children:?}");
    demo.supervisor.kill().await;
    until("everything has ended", Duration::from_secs(5), async || {
        !children.iter().any(|pid| alive(*pid))
    })
    .await;

    // The same command again: the same state.
    let mut demo = Demo::start(directory.path(), ports).await;
    assert_eq!(demo.text("frontend"), frontend);
    until(
        "it answers as before",
        Duration::from_secs(20),
        async || version(&frontend).await == (200, String::from("v2")),
    )
    .await;
    assert_eq!(demo.ready["member"], member);
    signs_in(&demo.ready).await;
    let children = descendants(demo.supervisor.pid().unwrap());
    demo.supervisor.signal(Signal::SIGTERM);
    let status = demo.supervisor.wait(Duration::from_secs(30)).await;
    assert!(status.success(), "{status}: {}", demo.supervisor.output());
    let left: Vec<_> = children.into_iter().filter(|pid| alive(*pid)).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
