//! `heddle agent`: certificates for a key that never leaves its host, and what applications and Envoys get of them there.

mod calls;
mod handed_out;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use heddle_tests::{Agent, ServerOptions, Stack, until};
use serde_json::json;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(20);

/// A stack with the mesh `shop`, its services, and leaves that live so long.
async fn shop(leaf_lifetime: &str) -> (Stack, heddle_tests::Api) {
    let options = ServerOptions {
        leaf_lifetime: leaf_lifetime.to_owned(),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let services = ["payments", "ledger"];
    let api = stack.mesh("acme", "shop", json!({}), &services).await;
    (stack, api)
}

/// What `openssl` says of a certificate in a file: its serial and its names.
async fn openssl(arguments: &[&str], folder: &Path) -> (bool, String) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

async fn serial(agent: &Agent) -> String {
    let folder = agent.folder.join("identity");
    openssl(&["x509", "-noout", "-serial", "-in", "svid.pem"], &folder)
        .await
        .1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s57_an_outage_of_half_a_life_ends_nothing_also_for_an_agent_that_starts_in_it() {
    let (mut stack, api) = shop("20s").await;
    let mut agent = Agent::start(&stack.server, &api, stack.directory.path(), "payments").await;
    let first = serial(&agent).await;
    until("it is replaced at half of its life", SOON, async || {
        serial(&agent).await != first
    })
    .await;
    let folder = agent.folder.join("identity");
    let key = std::fs::metadata(agent.file("key.pem")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.permissions());
    assert_eq!(mode & 0o777, 0o600);

    stack.server.kill().await;
    let last = serial(&agent).await;
    let verify = [
        "verify",
        "-CAfile",
        "bundle.pem",
        "-untrusted",
        "svid.pem",
        "svid.pem",
    ];
    let lives = Duration::from_secs(8);
    let since = std::time::Instant::now();
    agent.kill().await;
    agent.start_again().await;
    while since.elapsed() < lives {
        let (good, said) = openssl(&verify, &folder).await;
        assert!(good, "{said}");
        assert_eq!(serial(&agent).await, last);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let given = calls::svid(&agent.socket()).await.unwrap();
    assert_eq!(
        given.svids.len(),
        1,
        "a new agent goes on with what was there"
    );
    stack.server.start_again().await;
    until("it is replaced once the server is back", SOON, async || {
        serial(&agent).await != last
    })
    .await;
    let (good, said) = openssl(&verify, &folder).await;
    assert!(good, "{said}");
    assert!(
        agent.log().contains("no new certificate yet"),
        "{}",
        agent.log()
    );
    agent.stop().await;
    assert!(!agent.socket().exists(), "it takes its socket away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c17_c18_a_revoked_agent_hands_out_nothing_more_until_it_is_trusted_again() {
    let (stack, api) = shop("24h").await;
    let agent = Agent::start(&stack.server, &api, stack.directory.path(), "payments").await;
    let mut watching = calls::follow(&agent.socket()).await;
    assert_eq!(watching.message().await.unwrap().unwrap().svids.len(), 1);
    let body = json!({"proxy": "payments-agent", "reason": "a test"});
    let made = api.post("/meshes/shop/revocations", body).await;
    let made = made.expect(201).json["meta"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let end = tokio::time::timeout(SOON, watching.message())
        .await
        .unwrap();
    let end = end.unwrap_err();
    assert_eq!(end.code(), tonic::Code::PermissionDenied, "{end}");
    assert!(agent.log().contains("HED-3006"), "{}", agent.log());
    let body = api
        .delete(&format!("/meshes/shop/revocations/{made}"))
        .await;
    let _ = body.expect(204);
    until("it is trusted again", SOON, async || {
        calls::svid(&agent.socket()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_at_the_start_is_said_and_ends_it() {
    let (mut stack, api) = shop("24h").await;
    let agent = Agent::start(&stack.server, &api, stack.directory.path(), "payments").await;
    let other = Agent::new(&stack.server, &api, stack.directory.path(), "ledger").await;
    let run = async |change: &dyn Fn(&mut Command)| {
        let mut command = other.command();
        change(&mut command);
        let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(SOON, run).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let once = |command: &mut Command| {
        command.arg("--once");
    };
    let socket = agent.socket();
    let (code, said) = run(&|command| {
        command.arg("--socket").arg(&socket);
    })
    .await;
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("another process serves on"), "{said}");

    let file = other.folder.join("xds-ca.pem");
    let (code, said) = run(&|command| {
        command.arg("--socket").arg(&file);
    })
    .await;
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("exists and is no socket"), "{said}");

    let good = std::fs::read_to_string(other.folder.join("token")).unwrap();
    for (token, exit, sentence) in [
        ("hdlj_nothing", 4, "HED-3001"),
        ("", 1, "holds no join token"),
        ("a\u{1}b", 1, "the join token is no plain text"),
    ] {
        std::fs::write(other.folder.join("token"), token).unwrap();
        let (code, said) = run(&once).await;
        assert_eq!(code, Some(exit), "{said}");
        assert!(said.contains(sentence), "{said}");
    }
    std::fs::write(other.folder.join("token"), &good).unwrap();
    let ca = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "nothing").unwrap();
    let (code, said) = run(&once).await;
    assert_eq!(code, Some(1), "{said}");
    std::fs::write(&file, ca).unwrap();
    // Somebody else's token, which names another service.
    let foreign = std::fs::read_to_string(agent.folder.join("token")).unwrap();
    std::fs::write(other.folder.join("token"), foreign).unwrap();
    let (code, said) = run(&once).await;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("HED-3004"), "{said}");
    std::fs::write(other.folder.join("token"), &good).unwrap();
    let (code, said) = run(&once).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(other.file("key.pem").exists());
    stack.server.kill().await;
    let (code, said) = run(&once).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot be reached"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s52_a_rotation_waits_for_an_agent_and_goes_on_once_it_has_followed() {
    let (stack, api) = shop("24h").await;
    let agent = Agent::start(&stack.server, &api, stack.directory.path(), "payments").await;
    let roots = || std::fs::read_to_string(agent.file("bundle.pem")).unwrap();
    let (before, first) = (roots(), serial(&agent).await);
    let body = json!({"what": "root", "mode": "planned", "replace_over": "1s"});
    let made = api.post("/meshes/shop/rotations", body).await.expect(201);
    let path = made.json["meta"]["uid"].as_str().unwrap().to_owned();
    let path = format!("/meshes/shop/rotations/{path}");
    let patience = Duration::from_secs(120);
    until("the rotation has ended", patience, async || {
        api.get(&path).await.expect(200).json["state"] == "removed"
    })
    .await;
    until("only the new root is trusted", SOON, async || {
        let now = roots();
        now != before && now.matches("BEGIN").count() == 1
    })
    .await;
    assert_ne!(serial(&agent).await, first);
    let verify = [
        "verify",
        "-CAfile",
        "bundle.pem",
        "-untrusted",
        "svid.pem",
        "svid.pem",
    ];
    let (good, said) = openssl(&verify, &agent.folder.join("identity")).await;
    assert!(good, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s52_a_rotation_waits_until_the_files_have_what_the_agent_was_told() {
    let (stack, api) = shop("24h").await;
    let agent = Agent::start(&stack.server, &api, stack.directory.path(), "payments").await;
    let folder = agent.folder.join("identity");
    let aside = agent.folder.join("aside");
    // Root or not, nobody writes into a file.
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let body = json!({"what": "root", "mode": "planned", "replace_over": "1s"});
    let made = api.post("/meshes/shop/rotations", body).await.expect(201);
    let path = made.json["meta"]["uid"].as_str().unwrap().to_owned();
    let path = format!("/meshes/shop/rotations/{path}");
    let state = async || api.get(&path).await.expect(200).json["state"].clone();
    until("it is told and cannot write", SOON, async || {
        agent.log().contains("the files are not current")
    })
    .await;
    // Longer than it takes to say what is held.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(state().await, "published");
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    until("the rotation goes on", SOON, async || {
        state().await != "published"
    })
    .await;
    let roots = std::fs::read_to_string(agent.file("bundle.pem")).unwrap();
    assert_eq!(roots.matches("BEGIN").count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_goes_on_with_another_token_once_its_file_is_replaced() {
    let (stack, api) = shop("20s").await;
    let agent = Agent::start(&stack.server, &api, stack.directory.path(), "payments").await;
    let body = json!({"name": "another", "service": "payments"});
    let made = api.post("/meshes/shop/join-tokens", body).await.expect(201);
    let token = made.json["secret"].as_str().unwrap();
    std::fs::write(agent.folder.join("token"), token).unwrap();
    // By the token of before it is still here, and its name is not free.
    until("it is refused", SOON, async || {
        agent.log().contains("no new certificate yet")
    })
    .await;
    let last = serial(&agent).await;
    let minute = Duration::from_secs(120);
    until("it has one by the new token", minute, async || {
        serial(&agent).await != last
    })
    .await;
    assert!(calls::svid(&agent.socket()).await.is_ok());
}
