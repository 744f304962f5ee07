//! A program without a browser is let in: what it sees, what the member sees, and every other way that it can end.

use heddle_tests::{Api, Reply, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};

const ASK: &str = "/v1/device-authorizations";
const TOKENS: &str = "/v1/device-authorizations/tokens";

async fn post(api: &Api, path: &str, body: Value) -> Reply {
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    api.raw(Method::POST, path, &headers, body).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A member of an organisation, signed in.
async fn member(stack: &Stack, org: &str, role: &str) -> Api {
    let server = &stack.server;
    let script = server.org(org).await;
    let email = format!("ada@{org}.example.com");
    let args = [
        "member", "create", "--org", org, "--email", &email, "--role", role, "--json",
    ];
    let made = server.admin(&args).await;
    let body = json!({"org": org, "email": email, "password": made["password"]});
    let signed = post(&script.with_token(""), "/v1/sessions", body).await;
    script.with_token(text(&signed.expect(201).json["access_token"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a17_a_device_is_let_in_by_a_member() {
    let stack = Stack::start(ServerOptions::default()).await;
    let ada = member(&stack, "acme", "developer").await;
    let rival = member(&stack, "rival", "owner").await;
    let anyone = ada.with_token("");

    let scopes = json!(["meshes:read", "config:read", "account:read"]);
    let body = json!({"client": "heddle on build-7", "scopes": scopes});
    let asked = post(&anyone, ASK, body).await.expect(201);
    assert_eq!(asked.header("cache-control"), Some("no-store"));
    let page = format!("{}/console/device", stack.server.url());
    let code = text(&asked.json["user_code"]);
    assert_eq!(asked.json["verification_uri"], page.as_str());
    assert_eq!(
        asked.json["verification_uri_complete"],
        format!("{page}?code={code}")
    );
    assert_eq!(asked.json["interval"], 5);
    // Whoever asks may name any host: it stands in no link.
    let headers = [
        ("content-type", "application/json"),
        ("host", "evil.example"),
    ];
    let body = json!({"client": "x"}).to_string().into_bytes();
    let poisoned = anyone.raw(Method::POST, ASK, &headers, body).await;
    let poisoned = poisoned.expect(201).json;
    assert_eq!(poisoned["verification_uri"], page.as_str());
    let seconds = asked.json["expires_in"].as_u64().unwrap();
    assert!((590..=600).contains(&seconds), "{seconds}");
    let device = json!({"device_code": asked.json["device_code"]});
    let told = post(&anyone, TOKENS, device.clone()).await.expect(400);
    assert_eq!(told.json["error"], "authorization_pending");
    assert_eq!(told.json["code"], "HED-2030");
    let told = post(&anyone, TOKENS, device.clone()).await.expect(400);
    assert_eq!(told.json["error"], "slow_down");
    assert_eq!(told.json["interval"], 10);

    // The member sees who asks for what; an API token sees nothing.
    let item = format!("/device-authorizations/{code}");
    let seen = ada.get(&item).await.expect(200);
    assert_eq!(seen.json["client"], "heddle on build-7");
    assert_eq!(seen.json["address"], "127.0.0.1");
    assert_eq!(seen.json["scopes"], scopes);
    assert_eq!(seen.json["state"], "pending");
    assert!(!seen.text.contains(code), "{}", seen.text);
    let machine = stack.server.token("acme", "admin").await;
    let refused = machine.get(&item).await.expect(403);
    assert_eq!(refused.json["code"], "HED-2016");
    let approvals = format!("{item}/approvals");
    assert_eq!(
        machine.post(&approvals, json!({})).await.expect(403).json["code"],
        "HED-2016"
    );
    // Tried, and nothing came of it.
    let tried = ada
        .post(&format!("{approvals}?dry_run=true"), json!({}))
        .await;
    assert_eq!(tried.expect(201).json["state"], "approved");
    assert_eq!(ada.get(&item).await.json["state"], "pending");

    let key = [("idempotency-key", "let in")];
    let body = || Some(json!({}));
    for replayed in [None, Some("true")] {
        let done = ada.with(Method::POST, &approvals, &key, body()).await;
        let done = done.expect(201);
        assert_eq!(done.header("idempotency-replayed"), replayed);
    }
    assert_eq!(ada.get(&item).await.json["state"], "approved");
    let again = format!("{item}/denials");
    let _ = ada.post(&again, json!({})).await.expect(404);
    // Another organisation cannot turn it around.
    let _ = rival.post(&again, json!({})).await.expect(404);
    let signed = post(&anyone, TOKENS, device.clone()).await.expect(201);
    assert_eq!(signed.json["org"]["name"], "acme");
    let used = post(&anyone, TOKENS, device).await.expect(400);
    assert_eq!(used.json["error"], "invalid_grant");

    // It does what it asked for, and no more; the member sees it and ends it.
    let tool = anyone.with_token(text(&signed.json["access_token"]));
    let _ = tool.get("/meshes").await.expect(200);
    let refused = tool.delete("/sessions/current").await.expect(403);
    assert_eq!(refused.json["permission"], "account:manage");
    let session = text(&signed.json["session"]["uid"]);
    let row = ada.get(&format!("/sessions/{session}")).await.expect(200);
    assert_eq!(row.json["method"], "device");
    assert_eq!(row.json["scopes"], scopes);
    let _ = ada
        .delete(&format!("/sessions/{session}"))
        .await
        .expect(204);
    let _ = tool.get("/meshes").await.expect(401);

    // What is not let in.
    let asked = post(&anyone, ASK, json!({"client": "other"}))
        .await
        .expect(201);
    let code = text(&asked.json["user_code"]);
    let _ = ada
        .post(&format!("/device-authorizations/{code}/denials"), json!({}))
        .await
        .expect(201);
    let device = json!({"device_code": asked.json["device_code"]});
    let told = post(&anyone, TOKENS, device).await.expect(400);
    assert_eq!(told.json["error"], "access_denied");
    let none = json!({"device_code": "heddle_dev_none"});
    let told = post(&anyone, TOKENS, none).await.expect(400);
    assert_eq!(told.json["error"], "invalid_grant");

    // What cannot be asked for.
    let wrong =
        json!({"client": "", "scopes": ["config:write", "config:write", "world:rule"], "x": 1});
    let refused = post(&anyone, ASK, wrong).await.expect(422);
    assert!(refused.violations().len() >= 2, "{}", refused.text);
    let wrong =
        json!({"client": "a\u{7}b", "scopes": ["config:write", "config:write", "world:rule"]});
    let refused = post(&anyone, ASK, wrong).await.expect(422);
    let pointers: Vec<_> = refused.violations().into_iter().map(|(at, _)| at).collect();
    assert_eq!(pointers, ["/client", "/scopes/1", "/scopes/2"]);

    // Guesses are counted for each member.
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let reply = rival.get("/device-authorizations/BBBB-BBBB").await;
        assert!(reply.status == 404 || reply.retry_after.is_some());
        statuses.push(reply.status);
    }
    assert_eq!(statuses[..10], [404; 10]);
    assert_eq!(statuses[11], 429);
    let _ = ada
        .get("/device-authorizations/BBBB-BBBB")
        .await
        .expect(404);
    // The codes are in no log.
    let log = stack.server.log();
    for secret in ["device_code", "access_token"] {
        for reply in [&asked, &signed] {
            let secret = reply.json[secret].as_str();
            assert!(secret.is_none_or(|secret| !log.contains(secret)));
        }
    }
}
