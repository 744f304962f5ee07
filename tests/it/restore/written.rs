//! What was written after a backup, up to the moment when everything died.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use heddle_tests::{Child, ServerOptions, Stack, kill_at_once, until};
use serde_json::{Value, json};

use super::{chains_hold, command, go_on, restore, service, text};
use crate::identity::identity;

/// What may be lost.
const LOST_AT_MOST: Duration = Duration::from_secs(5);

async fn services(api: &heddle_tests::Api) -> BTreeSet<String> {
    let page = api.get("/meshes/shop/services?limit=500").await.expect(200);
    let items = page.json["items"].as_array().unwrap();
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_followed_is_there_up_to_the_kill_and_up_to_a_moment_before() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let directory = stack.directory.path().to_owned();
    let (backup, wal) = (directory.join("backup"), directory.join("wal"));
    let mut follow = command(&[
        "backup",
        "--to",
        text(&backup),
        "--follow",
        "--wal",
        text(&wal),
    ]);
    follow.args(["--data-dir", text(stack.postgres.data())]);
    let mut follow = Child::start(&mut follow, &directory.join("follow.log"));
    until("the backup is made", Duration::from_secs(60), async || {
        assert!(!follow.has_ended(), "{}", follow.output());
        backup.join("heddle-backup.json").exists()
    })
    .await;

    let (mut written, mut halfway) = (Vec::new(), None);
    for n in 0..60 {
        let name = format!("later-{n}");
        service(&api, &name).await;
        written.push((name, Instant::now()));
        if n == 29 {
            // By the clock that the database writes by.
            let now: String = sqlx::query_scalar(
                "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
            )
            .fetch_one(&mut stack.postgres.inspect().await)
            .await
            .unwrap();
            halfway = Some(now);
        }
    }
    let killed = Instant::now();
    assert!(kill_at_once(stack.postgres.pid));
    stack.postgres.kill().await;
    stack.server.kill().await;
    follow.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = follow.wait(Duration::from_secs(20)).await;
    assert!(ended.success(), "{}", follow.output());

    let last = directory.join("to-the-end");
    let done = restore(&stack, &backup, &last, &["--wal", text(&wal)]).await;
    go_on(&mut stack, &last).await;
    let there = services(&api).await;
    let lost: Vec<_> = written
        .iter()
        .filter(|(name, _)| !there.contains(name))
        .collect();
    let longest = lost
        .iter()
        .map(|(_, at)| killed - *at)
        .max()
        .unwrap_or_default();
    assert!(longest < LOST_AT_MOST, "{lost:?}");
    assert!(there.contains("later-0"), "{done}");
    let (chain, _) = identity(&stack.server, &api, "shop", "payments", "p-1").await;
    assert!(!chain.is_empty());
    chains_hold(&stack.server).await;

    stack.server.stop().await;
    stack.postgres.kill().await;
    let between = directory.join("to-the-middle");
    let until = halfway.unwrap();
    let flags = ["--wal", text(&wal), "--until", until.as_str()];
    let _ = restore(&stack, &backup, &between, &flags).await;
    go_on(&mut stack, &between).await;
    let there = services(&api).await;
    assert!(
        there.contains("later-29") && !there.contains("later-30"),
        "{there:?}"
    );
    service(&api, "later-30").await;
}
