//! `events -f`: over lost connections and restarts, without loss or doubles, to a clean end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use heddle_tests::{Api, ServerOptions, Stack, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{heddle, run, text};

/// The program itself, so that a signal meets it and nobody else; both outputs in files.
fn follow(folder: &Path, url: &str, token: &str, name: &str, args: &[&str]) -> Child {
    let file = |end: &str| std::fs::File::create(folder.join(format!("{name}.{end}"))).unwrap();
    let mut command = Command::new(heddle());
    command
        .args(["events", "-f", "-o", "json"])
        .args(args)
        .env("HEDDLE_CONFIG_DIR", folder.join("config"))
        .env("HEDDLE_SERVER", url)
        .env("HEDDLE_MESH", "shop")
        .env("HEDDLE_TOKEN", token)
        .env_remove("HEDDLE_ORG")
        .stdin(Stdio::null())
        .stdout(file("out"))
        .stderr(file("err"))
        .kill_on_drop(true);
    command.spawn().unwrap()
}

/// What it has told so far: whole lines, each JSON.
fn told(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.out"))).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn revisions(events: &[Value]) -> Vec<u64> {
    let number = |event: &Value| event["revision"]["revision"].as_u64();
    events.iter().filter_map(number).collect()
}

fn audited(events: &[Value]) -> Vec<u64> {
    let number = |event: &Value| event["audit"]["chain"]["seq"].as_u64();
    events.iter().filter_map(number).collect()
}

async fn write(api: &Api, n: u64) {
    let labels = json!({"access_default": "allow", "labels": {"n": n.to_string()}});
    let _ = api.put("/meshes/shop", labels).await.expect(200);
}

/// Waits for the end of a program.
async fn ended(child: &mut Child) -> Option<i32> {
    let status = tokio::time::timeout(Duration::from_secs(15), child.wait()).await;
    status.expect("it ends").unwrap().code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_followed_over_a_restart_and_end_cleanly() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", open, &["payments"]).await;
    let viewer = stack.server.token("acme", "viewer").await;
    let url = stack.server.url();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let args = ["--topic", "revision,audit", "--after", "0-0-0"];
    let mut whole = follow(folder, &url, &api.token, "whole", &args);
    let mut ending = follow(
        folder,
        &url,
        &viewer.token,
        "ending",
        &["--topic", "revision"],
    );
    for n in 3..=40 {
        write(&api, n).await;
    }
    until("they are told", Duration::from_secs(20), async || {
        revisions(&told(folder, "whole")).last() == Some(&40)
    })
    .await;
    stack.server.kill().await;
    until("it says so", Duration::from_secs(10), async || {
        let said = std::fs::read_to_string(folder.join("whole.err")).unwrap();
        said.contains("The connection is lost")
    })
    .await;
    stack.server.start_again().await;
    for n in 41..=60 {
        write(&api, n).await;
    }
    until("all are told", Duration::from_secs(30), async || {
        let events = told(folder, "whole");
        revisions(&events).last() == Some(&60) && audited(&events).len() >= 60
    })
    .await;
    let events = told(folder, "whole");
    assert_eq!(revisions(&events), (1..=60).collect::<Vec<u64>>());
    let rows = audited(&events);
    assert_eq!(rows, (1..=rows.len() as u64).collect::<Vec<u64>>());

    // A right that is lost ends it.
    let started = revisions(&told(folder, "ending"));
    assert!(
        started.windows(2).all(|two| two[0] + 1 == two[1]),
        "{started:?}"
    );
    let _ = api.delete("/tokens/test-viewer").await.expect(204);
    assert_eq!(ended(&mut ending).await, Some(4));
    // ctrl-C is no failure, and nothing is cut in half.
    let pid = Pid::from_raw(i32::try_from(whole.id().unwrap()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(ended(&mut whole).await, Some(0));
    let text_of = std::fs::read_to_string(folder.join("whole.out")).unwrap();
    assert!(text_of.ends_with('\n'));

    // Without -f it ends by itself; a reader that has enough is no failure; a limit counts what is told.
    let place = format!("export HEDDLE_SERVER={url} HEDDLE_MESH=shop\nset -o pipefail\n");
    for (script, lines) in [
        ("heddle events --topic revision -o json", 60),
        ("heddle events --topic revision --limit 7", 7),
        (
            "heddle events -f --topic revision --after 0-0-0 --limit 5 -o name",
            5,
        ),
    ] {
        let output = run(&format!("{place}{script}"), folder, &url, &api.token).await;
        let said = text(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
        assert_eq!(text(&output.stdout).lines().count(), lines, "{script}");
    }
    let after = events[9]["id"].as_str().unwrap();
    let script = format!("{place}heddle events --topic revision,audit --after {after} -o json");
    let output = run(&script, folder, &url, &api.token).await;
    let rest: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Nothing is missed and nothing comes twice. Which topic comes first, where both have something new, is for nobody to say.
    assert_eq!(revisions(&rest), revisions(&events[10..]));
    assert!(audited(&rest).starts_with(&audited(&events[10..])));
    for (script, code) in [
        ("heddle events --topic nonsense", 2),
        ("heddle events --after nonsense", 2),
        ("heddle events -m none", 3),
        ("HEDDLE_TOKEN= heddle events -f", 4),
    ] {
        let output = run(&format!("{place}{script}"), folder, &url, &api.token).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{script}: {}",
            text(&output.stderr)
        );
    }
}
