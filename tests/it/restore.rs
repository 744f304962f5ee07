//! A database is backed up, everything dies, and what is restored goes on: Envoys, certificates, writes.

mod guide;
mod long;
mod written;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use heddle_tests::{
    EnvoyVersion, Outcome, Postgres, Server, ServerOptions, Smtp, Stack, Traffic, Workload,
    WorkloadSpec, heddled, until,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::identity::identity;

/// `heddled backup` or `heddled restore`, told nothing by the environment of the test.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(heddled());
    command
        .args(args)
        .env_remove("DATABASE_URL")
        .kill_on_drop(true);
    command
}

async fn run(args: &[&str]) -> Output {
    command(args).output().await.unwrap()
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A backup of a stack's database, as JSON says it.
pub(crate) async fn back_up(postgres: &Postgres, to: &Path) -> Value {
    let data = text(postgres.data());
    let output = run(&["backup", "--to", text(to), "--data-dir", data, "--json"]).await;
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Restores with the sealing key of the stack, and further flags; what it says.
pub(crate) async fn restore(stack: &Stack, from: &Path, data: &Path, flags: &[&str]) -> Value {
    let key = stack.directory.path().join("sealing.key");
    let args = [
        "restore",
        "--from",
        text(from),
        "--data-dir",
        text(data),
        "--sealing-key-file",
        text(&key),
        "--json",
    ];
    let output = run(&[&args[..], flags].concat()).await;
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Starts the server of a stack, which was killed, on a data directory that was restored.
pub(crate) async fn go_on(stack: &mut Stack, data: &Path) {
    stack.postgres = Postgres::start_in(data).await;
    stack.server.set_database(&stack.postgres);
    stack.server.start_again().await;
}

async fn clusters(workload: &Workload) -> String {
    workload.envoy.admin("/clusters").await
}

/// Every file below a directory.
fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![below.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// How many files below a directory hold these bytes, as they are.
async fn holding(below: &Path, bytes: &[u8]) -> usize {
    let each = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
    let pattern: String = each.collect();
    let flags = ["--recursive", "--files-with-matches", "--text"];
    let found = Command::new("grep")
        .args(flags)
        .args(["--perl-regexp", &pattern])
        .arg(below)
        .env("LC_ALL", "C")
        .output()
        .await
        .unwrap();
    assert!(found.stderr.is_empty(), "{}", said(&found));
    found.stdout.split(|byte| *byte == b'\n').count() - 1
}

async fn service(server: &heddle_tests::Api, name: &str) {
    let body = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let path = format!("/meshes/shop/services/{name}");
    let _ = server.put(&path, body).await.expect(201);
}

/// Rows of the audit log that say that something was restored, or not sent for it.
async fn noted(api: &heddle_tests::Api, query: &str) -> Vec<Value> {
    let page = api.get(&format!("/audit-log{query}")).await.expect(200);
    page.json["items"].as_array().unwrap().clone()
}

async fn chains_hold(server: &Server) {
    let args = ["audit", "verify", "--org", "acme", "--json"];
    let output = server.admin_output(&args).await;
    let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verified["broken"], json!([]), "{verified}");
    assert_eq!(verified["certificates"]["broken"], json!([]), "{verified}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f39_proxies_come_to_what_was_restored_without_a_failed_request() {
    // A mail server that is away: what is to be sent waits.
    let smtp = Smtp::planned();
    let mut stack = Stack::start(ServerOptions {
        mail: smtp.settings(),
        ..ServerOptions::default()
    })
    .await;
    let allow = json!({"access_default": "allow"});
    let api = stack
        .mesh("acme", "shop", allow, &["frontend", "payments"])
        .await;
    let _ = stack.server.org("empty").await;
    let mut workloads = Vec::new();
    for (service, proxy, envoy) in [
        ("frontend", "frontend-1", EnvoyVersion::Newest),
        ("payments", "payments-1", EnvoyVersion::Oldest),
    ] {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        workloads.push(Workload::start(&stack, &api, &spec).await);
    }
    let frontend = &workloads[0];
    for workload in &workloads {
        workload.ready(&api, "shop").await;
    }
    until("payments answers", Duration::from_secs(20), async || {
        frontend.call("payments", "/").await.0 == 200
    })
    .await;
    service(&api, "in-the-backup").await;
    let invited = json!({"email": "bea@example.com", "role": "viewer"});
    let _ = api.post("/invitations", invited).await.expect(201);
    let before = api.get("/meshes/shop").await.expect(200);

    let directory = stack.directory.path().to_owned();
    let backup = directory.join("backup");
    let made = back_up(&stack.postgres, &backup).await;
    assert_eq!(made["database"], "heddle");
    assert!(
        made["sealing_keys"][0]["sealed"].as_u64().unwrap() >= 2,
        "{made}"
    );
    let again = [
        "backup",
        "--to",
        text(&backup),
        "--data-dir",
        text(stack.postgres.data()),
    ];
    let again = run(&again).await;
    assert!(
        !again.status.success() && said(&again).contains("is not empty"),
        "{}",
        said(&again)
    );

    // What nobody will know of any more.
    service(&api, "after-the-backup").await;
    let rule = json!({"action": "deny", "to": [{"paths": [{"prefix": "/closed"}]}]});
    let path = "/meshes/shop/services/payments/access-rules/closed";
    let _ = api.put(path, rule).await.expect(201);
    until(
        "what is new is in force",
        Duration::from_secs(20),
        async || {
            frontend.call("payments", "/closed").await.0 == 403
                && clusters(frontend)
                    .await
                    .contains("heddle/after-the-backup/http")
        },
    )
    .await;
    let newer = api.get("/meshes/shop/revisions?limit=1").await.expect(200);
    let newer = newer.json["items"][0]["revision"].as_u64().unwrap();

    let url = format!("http://127.0.0.1:{}/", frontend.outbound_port);
    let traffic = Traffic::start(&url, "payments", 4, Duration::from_millis(10), "/version");
    stack.server.kill().await;
    stack.postgres.kill().await;

    let data = directory.join("restored");
    let done = restore(&stack, &backup, &data, &[]).await;
    assert_eq!(done["signed"], 1, "{done}");
    assert!(done["opened"].as_u64().unwrap() >= 2, "{done}");
    assert_eq!(done["mails_given_up"], 1, "{done}");
    assert_eq!(done["meshes"][0]["mesh"], "shop");
    let revision = done["meshes"][0]["revision"].as_u64().unwrap();
    assert!(
        revision.is_multiple_of(1_000_000) && revision > newer,
        "no revision is given twice: {revision}"
    );

    stack.server.set_mail(Vec::new());
    go_on(&mut stack, &data).await;
    let lost = json!({"to_revision": newer});
    let lost = api.post("/meshes/shop/rollbacks?dry_run=true", lost).await;
    assert_eq!(lost.expect(422).json["errors"][0]["code"], "HED-1005");
    until(
        "proxies come to what was restored",
        Duration::from_secs(60),
        async || {
            let clusters = clusters(frontend).await;
            clusters.contains("heddle/in-the-backup/http")
                && !clusters.contains("heddle/after-the-backup/http")
                && frontend.call("payments", "/closed").await.0 == 200
        },
    )
    .await;
    for workload in &workloads {
        workload.ready(&api, "shop").await;
    }
    let after = api.get("/meshes/shop").await.expect(200);
    assert_eq!(before.json["meta"]["uid"], after.json["meta"]["uid"]);

    // Writes and certificates go on, and arrive.
    service(&api, "after-the-restore").await;
    let made = api.get("/meshes/shop/revisions?limit=1").await.expect(200);
    assert_eq!(made.json["items"][0]["revision"], revision + 1);
    until(
        "a change made now arrives",
        Duration::from_secs(20),
        async || {
            clusters(frontend)
                .await
                .contains("heddle/after-the-restore/http")
        },
    )
    .await;
    let (chain, _) = identity(&stack.server, &api, "shop", "payments", "p-9").await;
    assert!(!chain.is_empty());

    let outcomes = traffic.stop().await;
    let failed = Outcome::failed(&outcomes);
    let first = failed.first();
    assert!(
        failed.is_empty(),
        "{} of {}: {first:?}",
        failed.len(),
        outcomes.len()
    );
    assert!(outcomes.len() > 500, "{}", outcomes.len());

    let restored = noted(&api, "?action=restore").await;
    let kinds: Vec<&Value> = restored.iter().map(|row| &row["kind"]).collect();
    assert_eq!(
        kinds,
        ["backup", "backup"],
        "the organisation and its mesh: {restored:?}"
    );
    let given_up = noted(&api, "?action=send&outcome=refused").await;
    assert_eq!(given_up.len(), 1, "{given_up:?}");
    chains_hold(&stack.server).await;
    let invitations = api.get("/invitations").await.expect(200);
    assert_eq!(invitations.json["items"][0]["delivery"], "failed");
    assert!(stack.server.mails().is_empty(), "nothing is sent twice");
    stack.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k05_a_backup_holds_no_sealing_key_and_is_nothing_without_it() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let _ = identity(&stack.server, &api, "shop", "payments", "p-1").await;
    let directory = stack.directory.path().to_owned();
    let backup = directory.join("backup");
    let made = back_up(&stack.postgres, &backup).await;
    let id = made["sealing_keys"][0]["id"].as_str().unwrap().to_owned();

    let secret = std::fs::read_to_string(directory.join("sealing.key")).unwrap();
    let bytes = hex::decode(secret.trim()).unwrap();
    assert!(files(&backup).len() > 100);
    let certificates = holding(&backup, b"BEGIN CERTIFICATE").await;
    assert!(certificates > 0, "a key would be found");
    let clear = b"PRIVATE KEY-----".as_slice();
    for key in [bytes.as_slice(), secret.trim().as_bytes(), clear] {
        assert_eq!(holding(&backup, key).await, 0);
    }
    stack.server.kill().await;
    stack.postgres.kill().await;

    let data = directory.join("restored");
    let from = [
        "restore",
        "--from",
        text(&backup),
        "--data-dir",
        text(&data),
    ];
    let without = said(&run(&from).await);
    assert!(without.contains("there is no sealing key"), "{without}");
    let other = directory.join("other.key");
    std::fs::write(&other, "5".repeat(64)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&other, mode).unwrap();
    let other = [&from[..], &["--sealing-key-file", text(&other)]].concat();
    let wrong = said(&run(&other).await);
    assert!(wrong.contains(&format!("the sealing key {id}")), "{wrong}");
    let nowhere = [
        "restore",
        "--from",
        text(&directory),
        "--data-dir",
        text(&data),
    ];
    let nowhere = said(&run(&nowhere).await);
    assert!(nowhere.contains("holds no backup"), "{nowhere}");
    assert!(!data.join("postgres").exists());

    // A backup in which a bit is another one is none.
    let base = backup.join("cluster/base");
    let table = files(&base)
        .into_iter()
        .max_by_key(|file| std::fs::metadata(file).unwrap().len());
    let table = table.unwrap();
    let whole = std::fs::read(&table).unwrap();
    let mut bent = whole.clone();
    bent[5000] ^= 1;
    std::fs::write(&table, &bent).unwrap();
    let key = directory.join("sealing.key");
    let right = ["--sealing-key-file", text(&key)];
    let bent = said(&run(&[&from[..], &right].concat()).await);
    assert!(bent.contains("the backup is not whole"), "{bent}");
    assert!(!data.join("postgres").exists());
    std::fs::write(&table, &whole).unwrap();

    let done = restore(&stack, &backup, &data, &[]).await;
    let twice = said(&run(&[&from[..], &right].concat()).await);
    assert!(twice.contains("there is a database in"), "{twice}");
    go_on(&mut stack, &data).await;
    let (chain, _) = identity(&stack.server, &api, "shop", "payments", "p-2").await;
    assert!(!chain.is_empty());
    // Again, for a database that came back by other means.
    stack.server.stop().await;
    let settled = stack
        .server
        .admin_as_owner(&["database", "restored", "--json"])
        .await;
    let revision = |answer: &Value| answer["meshes"][0]["revision"].as_u64().unwrap();
    assert!(
        revision(&settled) >= revision(&done) + 1_000_000,
        "{done} {settled}"
    );
    stack.server.start_again().await;
    chains_hold(&stack.server).await;
}
