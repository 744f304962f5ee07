//! People sign in: from the first owner, made on the command line, to the end of a session; and what they may ask about
//! themselves.

use std::time::Duration;

use heddle_tests::{Api, Reply, ServerOptions, Stack, until};
use reqwest::Method;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery staple";

async fn post(api: &Api, path: &str, body: Value) -> Reply {
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    api.raw(Method::POST, path, &headers, body).await
}

async fn sign_in(api: &Api, email: &str, password: &str) -> Reply {
    let body = json!({"org": "acme", "email": email, "password": password});
    post(api, "/v1/sessions", body).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a09_a10_people_sign_in_and_out() {
    let stack = Stack::start(ServerOptions::default()).await;
    let server = &stack.server;
    let script = server.org("acme").await;
    let made = server
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
    let anyone = script.with_token("");
    let signed = sign_in(&anyone, "ADA@example.com", text(&made["password"]))
        .await
        .expect(201);
    let ada = script.with_token(text(&signed.json["access_token"]));
    let me = ada
        .raw(Method::GET, "/v1/whoami", &[], Vec::new())
        .await
        .expect(200);
    assert_eq!(me.json["principal"]["email"], "ada@example.com");
    assert_eq!(me.json["role"], "owner");
    assert_eq!(me.json["session"]["uid"], signed.json["session"]["uid"]);

    // A member with a role at one mesh: what it may do where, and that the other mesh does not exist for it.
    for mesh in ["one", "two"] {
        let _ = ada
            .put(&format!("/meshes/{mesh}"), json!({}))
            .await
            .expect(201);
    }
    let bea = ada
        .post("/members", json!({"email": "bea@example.com"}))
        .await
        .expect(201);
    let body = json!({"member": "bea@example.com", "role": "developer", "mesh": "one"});
    let _ = ada.post("/role-bindings", body).await.expect(201);
    let initial = text(&bea.json["initial_password"]);
    let signed = sign_in(&anyone, "bea@example.com", initial)
        .await
        .expect(201);
    let bea = script.with_token(text(&signed.json["access_token"]));
    let me = bea
        .raw(Method::GET, "/v1/whoami", &[], Vec::new())
        .await
        .expect(200);
    let at_one: Vec<&str> = me.json["meshes"]["one"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    assert!(at_one.contains(&"config:write") && !at_one.contains(&"meshes:write"));
    assert_eq!(me.json["meshes"].as_object().unwrap().len(), 1);
    let listed = bea.get("/meshes").await.expect(200);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 1);
    let service = json!({"ports": [{"name": "http", "port": 80, "protocol": "http"}]});
    let _ = bea
        .put("/meshes/one/services/s", service.clone())
        .await
        .expect(201);
    let refused = bea.put("/meshes/one", json!({})).await.expect(403);
    assert_eq!(refused.json["permission"], "meshes:write");
    let mut bodies = Vec::new();
    for mesh in ["two", "nowhere"] {
        let path = format!("/meshes/{mesh}/services/s");
        let mut absent = bea.put(&path, service.clone()).await.expect(404).json;
        for field in ["instance", "request_id"] {
            absent.as_object_mut().unwrap().remove(field);
        }
        bodies.push(absent);
    }
    assert_eq!(bodies[0], bodies[1]);
    let checks = json!({"checks": [
        {"permission": "config:write", "mesh": "one"}, {"permission": "config:write", "mesh": "two"},
        {"permission": "config:write"}, {"permission": "members:read"},
    ]});
    let asked = bea.post("/permissions/check", checks).await.expect(200);
    let results = asked.json["results"].as_array().unwrap();
    let allowed: Vec<bool> = results
        .iter()
        .map(|r| r["allowed"].as_bool().unwrap())
        .collect();
    assert_eq!(allowed, [true, false, false, false]);

    // Her own token, narrowed; it is hers, so it goes with her role.
    let body =
        json!({"name": "laptop", "scopes": ["config:read", "account:read"], "expires_in": "1h"});
    let token = bea.post("/tokens", body).await.expect(201);
    let laptop = script.with_token(text(&token.json["secret"]));
    let _ = laptop.get("/meshes/one/services").await.expect(200);
    let _ = laptop
        .put("/meshes/one/services/s", service)
        .await
        .expect(403);
    until(
        "the use of the token is noted",
        Duration::from_secs(10),
        async || {
            let seen = bea.get("/tokens/laptop").await.expect(200);
            seen.json["meta"]["last_used_at"].is_string()
        },
    )
    .await;
    let never = json!({"name": "ever", "never_expires": true});
    let _ = bea.post("/tokens", never).await.expect(422);

    // The session goes on with another token, and ends with the next request once it is ended.
    let body = json!({"refresh_token": signed.json["refresh_token"]});
    let next = post(&anyone, "/v1/sessions/refreshes", body.clone())
        .await
        .expect(201);
    let bea = script.with_token(text(&next.json["access_token"]));
    let change = json!({"current_password": initial, "new_password": PASSWORD});
    let _ = bea.post("/password-changes", change).await.expect(204);
    let sessions = ada
        .get("/sessions?member=bea@example.com")
        .await
        .expect(200);
    assert_eq!(sessions.json["items"].as_array().unwrap().len(), 1);
    let session = text(&next.json["session"]["uid"]);
    let _ = ada
        .delete(&format!("/sessions/{session}"))
        .await
        .expect(204);
    let _ = bea.get("/meshes").await.expect(401);
    let _ = post(&anyone, "/v1/sessions/refreshes", body)
        .await
        .expect(401);

    // Another key signs; what the one before it signed lives on.
    let rotated = server.admin_text(&["session-keys", "rotate"]).await;
    assert!(rotated.contains("sk_"), "{rotated}");
    let _ = ada.get("/meshes").await.expect(200);
    let _ = sign_in(&anyone, "bea@example.com", PASSWORD)
        .await
        .expect(201);

    // Guesses: the same answer for whoever exists and whoever does not, then a wait that says how long.
    for email in ["bea@example.com", "nobody@example.com"] {
        let mut statuses = Vec::new();
        for _ in 0..7 {
            let reply = sign_in(&anyone, email, "guess").await;
            assert!(
                reply.status == 401 || reply.retry_after.is_some(),
                "{}",
                reply.text
            );
            statuses.push(reply.status);
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 429], "{email}");
    }
    // Nothing of it is in the log.
    let log = server.log();
    for secret in [
        PASSWORD,
        initial,
        text(&signed.json["access_token"]),
        text(&signed.json["refresh_token"]),
    ] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_w08_an_old_session_is_told_to_sign_in_again() {
    let stack = Stack::start(ServerOptions::default()).await;
    let script = stack.server.org("acme").await;
    let added = json!({"email": "ada@example.com", "role": "owner"});
    let made = script.post("/members", added).await.expect(201);
    let anyone = script.with_token("");
    let password = text(&made.json["initial_password"]);
    let signed = sign_in(&anyone, "ada@example.com", password).await;
    let ada = script.with_token(text(&signed.expect(201).json["access_token"]));
    let unprotected = json!({"deletion_protection": false});
    let _ = ada.put("/meshes/shop", unprotected).await.expect(201);
    let mut database = stack.postgres.inspect().await;
    let age = "update heddle.sessions set created_at = created_at - interval '5 minutes 1 second'";
    sqlx::query(age).execute(&mut database).await.unwrap();
    let refused = ada.delete("/meshes/shop").await.expect(401);
    assert_eq!(refused.json["code"], "HED-2036");
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.ends_with("error=\"insufficient_user_authentication\", max_age=\"300\""),
        "{challenge}"
    );
    let token = json!({"name": "spare"});
    let refused = ada.post("/tokens", token).await.expect(401);
    assert_eq!(refused.json["code"], "HED-2036");
    // The session is as good as before for everything else.
    let _ = ada.get("/meshes/shop").await.expect(200);
    let signed = sign_in(&anyone, "ada@example.com", password).await;
    let again = script.with_token(text(&signed.expect(201).json["access_token"]));
    let _ = again.delete("/meshes/shop").await.expect(204);
}
