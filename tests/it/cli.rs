//! The command line against the real server: its page, every example of its help, the first hour in a terminal, signing in, and
//! every way that it ends.

mod credentials;
mod examples;
mod export;
mod follow;
mod history;
mod look;
mod walk;

use std::path::Path;
use std::process::{Output, Stdio};

use heddle_tests::{Api, ServerOptions, Stack, heddle, repository};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::docs;

/// A shell in a folder of its own, where `heddle` is the program under test.
pub(crate) fn shell(script: &str, folder: &Path, server: &str, token: &str) -> Command {
    let mut command = Command::new("bash");
    let program = heddle();
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var_os("PATH").unwrap().to_string_lossy()
    );
    command
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .env("HEDDLE", server)
        .env("HEDDLE_CONFIG_DIR", folder.join("config"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for name in [
        "HEDDLE_SERVER",
        "HEDDLE_ORG",
        "HEDDLE_MESH",
        "HEDDLE_TOKEN_FILE",
        "HEDDLE_TOKEN",
    ] {
        command.env_remove(name);
    }
    if !token.is_empty() {
        command.env("HEDDLE_TOKEN", token);
    }
    command
}

async fn run(script: &str, folder: &Path, server: &str, token: &str) -> Output {
    shell(script, folder, server, token).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_page_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let page = std::fs::read_to_string(repository().join("docs/cli.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let command = |script: &str| shell(script, folder.path(), &stack.server.url(), &api.token);
    docs::execute(&page, command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_as_its_help_says() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "prod", json!({}), &["payments"]).await;
    let viewer = stack.server.token("acme", "viewer").await;
    let url = stack.server.url();
    let folder = tempfile::tempdir().unwrap();
    let place = format!("export HEDDLE_SERVER={url} HEDDLE_MESH=prod\n");
    let wrong = "heddle apply -f - <<'END'\nkind: service\nname: ok\nports: [{name: http, port: 80, protocol: http}]\n---\n\
                 kind: service\nname: bad\nports: [{name: http, port: 0, protocol: http}]\nx: 1\nEND";
    let cases: &[(&str, &str, i32, &[&str])] = &[
        (
            "heddle get service none",
            &api.token,
            3,
            &["there is no such object", "HED-2003"],
        ),
        (
            "heddle get services",
            "",
            4,
            &["you are not signed in", "heddle login"],
        ),
        (
            "heddle get services",
            "heddle_pat_none",
            4,
            &["heddle login"],
        ),
        (
            "heddle delete service payments",
            &viewer.token,
            4,
            &["config:write"],
        ),
        (
            "heddle delete mesh prod",
            &api.token,
            5,
            &["HED-2007", "deletion_protection"],
        ),
        (
            "heddle delete service payments --if-match '\"x\"'",
            &api.token,
            5,
            &["HED-2012"],
        ),
        (
            "heddle get services --filter 'nope = 1'",
            &api.token,
            6,
            &["HED-1014"],
        ),
        (
            wrong,
            &api.token,
            6,
            &[
                "standard input#2 (service bad) /ports/0/port",
                "standard input#2 (service bad) /x: there is no field `x` here [HED-1002]",
                "request: ",
            ],
        ),
        ("heddle api GET v1", &api.token, 2, &["begins with a slash"]),
        (
            "heddle --server http://127.0.0.1:1 get meshes",
            &api.token,
            1,
            &["cannot be reached"],
        ),
    ];
    for (script, token, code, says) in cases {
        let output = run(&format!("{place}{script}"), folder.path(), &url, token).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{script}: {said}");
        for one in *says {
            assert!(said.contains(one), "{script}: {one}: {said}");
        }
        assert!(
            output.stdout.is_empty(),
            "{script}: {}",
            text(&output.stdout)
        );
    }
    // Nothing of what was refused is there.
    let listed = api.get("/meshes/prod/services").await.expect(200);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 1);
    // Pages are put together; what is printed is what the API says.
    for n in 0..7 {
        let body = json!({"ports": [{"name": "http", "port": 80, "protocol": "http"}]});
        let _ = api
            .put(&format!("/meshes/prod/services/s{n}"), body)
            .await
            .expect(201);
    }
    let output = run(
        &format!("{place}heddle get services -o json --limit 3"),
        folder.path(),
        &url,
        &api.token,
    )
    .await;
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = api.get("/meshes/prod/services/payments").await.expect(200);
    assert_eq!(shown["items"][0], first.json);
    assert_eq!(shown["items"].as_array().unwrap().len(), 3);
}

/// Ada, a member with this role, with her own session.
async fn signed_in_as(stack: &Stack, role: &str) -> Api {
    let server = &stack.server;
    let script = server.org("acme").await;
    let args = [
        "member",
        "create",
        "--org",
        "acme",
        "--email",
        "ada@example.com",
        "--role",
        role,
        "--json",
    ];
    let made = server.admin(&args).await;
    let body = json!({"org": "acme", "email": "ada@example.com", "password": made["password"]});
    let headers = [("content-type", "application/json")];
    let anyone = script.with_token("");
    let reply = anyone
        .raw(
            Method::POST,
            "/v1/sessions",
            &headers,
            body.to_string().into_bytes(),
        )
        .await
        .expect(201);
    script.with_token(reply.json["access_token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a17_people_sign_in_by_a_code_and_out_again() {
    let stack = Stack::start(ServerOptions::default()).await;
    let ada = signed_in_as(&stack, "owner").await;
    let url = stack.server.url();
    let folder = tempfile::tempdir().unwrap();
    let script = format!("heddle login --server {url} --mesh prod");
    let mut child = shell(&script, folder.path(), &url, "")
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let code = loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("it says where to go");
        said.push_str(&line);
        if let Some((_, code)) = line.split_once("/console/device?code=") {
            break code.to_owned();
        }
    };
    let path = format!("/device-authorizations/{code}");
    let seen = ada.get(&path).await.expect(200);
    assert!(
        seen.json["client"]
            .as_str()
            .unwrap()
            .starts_with("heddle on ")
    );
    let _ = ada
        .post(&format!("{path}/approvals"), json!({}))
        .await
        .expect(201);
    let status = child.wait().await.unwrap();
    while let Some(line) = lines.next_line().await.unwrap() {
        said.push_str(&line);
    }
    assert!(
        status.success() && said.contains("You are ada@example.com of acme."),
        "{said}"
    );

    let me = run(
        "heddle whoami && heddle context list",
        folder.path(),
        &url,
        "",
    )
    .await;
    let me = text(&me.stdout);
    assert!(
        me.contains("ada@example.com") && me.contains(&url) && me.contains("prod"),
        "{me}"
    );
    // The session is shown to no other server.
    let elsewhere = run(
        "heddle whoami --server http://127.0.0.1:1",
        folder.path(),
        &url,
        "",
    )
    .await;
    assert_eq!(elsewhere.status.code(), Some(1));
    // A token that is about to end is replaced, by whichever of several commands comes first.
    let file = folder.path().join("config/sessions.toml");
    let kept = std::fs::read_to_string(&file).unwrap();
    let year = kept
        .split("expires_at = \"")
        .nth(1)
        .unwrap()
        .get(..4)
        .unwrap();
    let stale = kept.replace(&format!("expires_at = \"{year}"), "expires_at = \"2001");
    std::fs::write(&file, stale).unwrap();
    let many = "for i in 1 2 3 4 5 6; do heddle whoami -o name & done; wait";
    let output = run(many, folder.path(), &url, "").await;
    let said = text(&output.stdout);
    assert_eq!(
        said.matches("ada@example.com").count(),
        6,
        "{said}{}",
        text(&output.stderr)
    );

    let out = run("heddle logout && heddle whoami", folder.path(), &url, "").await;
    assert_eq!(out.status.code(), Some(4), "{}", text(&out.stderr));
    let sessions = ada.get("/sessions").await.expect(200);
    assert_eq!(sessions.json["items"].as_array().unwrap().len(), 1);
}
