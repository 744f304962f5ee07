//! Members, service accounts, roles, tokens and passwords by POST: sent twice with one `Idempotency-Key` it is done once,
//! and what is shown once is not shown again; with `dry_run` it is not done at all.

use std::time::Duration;

use heddle_tests::{Api, Reply, ServerOptions, Stack, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bad_input::dump;

const PASSWORD: &str = "correct horse battery staple";
const SECRETS: [&str; 2] = ["secret", "initial_password"];

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Reply {
    let headers = [("idempotency-key", key)];
    api.with(Method::POST, path, &headers, Some(body.clone()))
        .await
}

/// An owner who signed in, with the password that was chosen at first.
async fn owner(stack: &Stack) -> Api {
    let made = stack
        .server
        .admin(&[
            "member",
            "create",
            "--org",
            "acme",
            "--email",
            "ada@example.com",
            "--role",
            "owner",
            "--json",
        ])
        .await;
    let anyone = stack.server.caller("acme", "");
    let body = json!({"org": "acme", "email": "ada@example.com", "password": made["password"]});
    let headers = [("content-type", "application/json")];
    let bytes = body.to_string().into_bytes();
    let signed = anyone
        .raw(Method::POST, "/v1/sessions", &headers, bytes)
        .await
        .expect(201);
    let ada = anyone.with_token(signed.json["access_token"].as_str().unwrap());
    let change = json!({"current_password": made["password"], "new_password": PASSWORD});
    let _ = ada.post("/password-changes", change).await.expect(204);
    ada
}

/// What is in the database once no mail waits there: sending one is nobody's request.
async fn settled(stack: &Stack) -> String {
    let mut database = stack.postgres.inspect().await;
    until("no mail waits", Duration::from_secs(20), async || {
        let waiting = sqlx::query_scalar("select exists (select from heddle.mail_turns)");
        let waiting: bool = waiting.fetch_one(&mut database).await.unwrap();
        !waiting
    })
    .await;
    dump(stack).await
}

/// Takes out what is shown once; whether there was any.
fn without_secrets(mut answer: Value) -> (Value, bool) {
    let map = answer.as_object_mut().unwrap();
    let shown = SECRETS.map(|name| map.remove(name).is_some());
    (answer, shown.contains(&true))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_people_and_secrets_is_done_once_for_a_key() {
    let stack = Stack::start(ServerOptions::default()).await;
    let _ = stack.server.org("acme").await;
    let ada = owner(&stack).await;
    let posts = [
        ("/members", json!({"email": "bea@example.com"}), true),
        ("/members/bea@example.com/password-resets", json!({}), true),
        ("/service-accounts", json!({"name": "deployer"}), false),
        (
            "/role-bindings",
            json!({"role": "viewer", "service_account": "deployer"}),
            false,
        ),
        ("/tokens", json!({"name": "laptop"}), true),
        ("/tokens/laptop/rotations", json!({}), true),
    ];
    for (path, body, secret) in posts {
        // Trying it leaves nothing behind and shows no secret, and does not use the key up.
        let before = settled(&stack).await;
        let tried = post(&ada, &format!("{path}?dry_run=true"), path, &body)
            .await
            .expect(201);
        assert_eq!(tried.header("heddle-dry-run"), Some("true"), "{path}");
        assert!(!without_secrets(tried.json).1, "{path} shows a secret");
        assert_eq!(settled(&stack).await, before, "{path} was done");

        let first = post(&ada, path, path, &body).await.expect(201);
        assert_eq!(first.header("idempotency-replayed"), None);
        let (shown, had_secret) = without_secrets(first.json);
        assert_eq!(had_secret, secret, "{path}");
        let before = settled(&stack).await;
        let again = post(&ada, path, path, &body).await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(
            again.header("heddle-secret-withheld"),
            secret.then_some("true"),
            "{path}"
        );
        assert_eq!(again.json, shown, "{path}");
        assert_eq!(again.location, first.location);
        assert_eq!(settled(&stack).await, before, "{path} was done twice");

        // The same key for something else is a mistake.
        let mut other = body.clone();
        other["x"] = json!(1);
        let refused = post(&ada, path, path, &other).await.expect(422);
        assert_ne!(refused.json["code"], "HED-2024", "the body is judged first");
        let elsewhere = post(&ada, "/service-accounts", path, &json!({"name": "other"})).await;
        if path != "/service-accounts" {
            assert_eq!(elsewhere.status, 422, "{}", elsewhere.text);
            assert_eq!(elsewhere.json["code"], "HED-2024");
        }
    }
    let kept: String =
        sqlx::query_scalar("select string_agg(body, '') from heddle.idempotent_answers")
            .fetch_one(&mut stack.postgres.inspect().await)
            .await
            .unwrap();
    assert!(
        !SECRETS
            .iter()
            .any(|name| kept.contains(&format!("\"{name}\""))),
        "{kept}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_changed_once_for_a_key() {
    let stack = Stack::start(ServerOptions::default()).await;
    let _ = stack.server.org("acme").await;
    let ada = owner(&stack).await;
    let path = "/password-changes";
    let change = json!({"current_password": PASSWORD, "new_password": "another long password"});
    let before = settled(&stack).await;
    let tried = post(&ada, &format!("{path}?dry_run=true"), "a", &change).await;
    assert_eq!(tried.expect(204).header("heddle-dry-run"), Some("true"));
    assert_eq!(settled(&stack).await, before);
    let _ = post(&ada, path, "a", &change).await.expect(204);
    let before = settled(&stack).await;
    // The same again would be a wrong password by now.
    let again = post(&ada, path, "a", &change).await.expect(204);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let _ = post(&ada, path, "b", &change).await.expect(422);
    assert_eq!(settled(&stack).await, before);
}
