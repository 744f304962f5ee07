//! Rights that are lost while a write waits: it is undone, whatever it was.

use std::time::Duration;

use heddle_tests::{Api, Postgres, Reply, Server, ServerOptions, Stack, until};
use reqwest::Method;
use serde_json::{Value, json};

const MESH: &str = "/meshes/shop";

/// What a caller tries, by a name that fits an object.
const WRITES: [&str; 5] = ["put", "patch", "delete", "apply", "rollback"];

fn service(port: u16) -> Value {
    json!({"ports": [{"name": "http", "port": port, "protocol": "http"}]})
}

async fn write(api: &Api, which: &str) -> Reply {
    let payments = format!("{MESH}/services/payments");
    match which {
        "put" => api.put(&payments, service(81)).await,
        "patch" => api.patch(&payments, json!({"display_name": "x"})).await,
        "delete" => api.call(Method::DELETE, &payments, None).await,
        "apply" => {
            let mut one = service(82);
            one["kind"] = json!("service");
            one["name"] = json!("applied");
            let body = json!({"mode": "apply", "resources": [one]});
            api.post(&format!("{MESH}/apply"), body).await
        }
        _ => {
            let body = json!({"to_revision": 2});
            api.post(&format!("{MESH}/rollbacks"), body).await
        }
    }
}

/// The token of a service account that operates the mesh, and the role that it has there.
async fn account(api: &Api, name: &str) -> (Api, String) {
    let path = "/service-accounts";
    let _ = api.post(path, json!({"name": name})).await.expect(201);
    let role = json!({"service_account": name, "role": "operator", "mesh": "shop"});
    let bound = api.post("/role-bindings", role).await.expect(201);
    let body = json!({"name": name, "service_account": name});
    let made = api.post("/tokens", body).await.expect(201);
    let token = api.with_token(made.json["secret"].as_str().unwrap());
    (
        token,
        bound.json["meta"]["uid"].as_str().unwrap().to_owned(),
    )
}

/// The session of a member who operates the mesh, and its identifier.
async fn session(server: &Server, api: &Api) -> (Api, String) {
    let email = "ada@example.com";
    let made = server
        .admin(&[
            "member", "create", "--org", "acme", "--email", email, "--role", "operator", "--json",
        ])
        .await;
    let body = json!({"org": "acme", "email": email, "password": made["password"]});
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    let signed = api.with_token("");
    let signed = signed
        .raw(Method::POST, "/v1/sessions", &headers, body)
        .await;
    let signed = signed.expect(201).json;
    let id = signed["session"]["uid"].as_str().unwrap().to_owned();
    (api.with_token(signed["access_token"].as_str().unwrap()), id)
}

/// Every row that a write to a mesh leaves, as text, but for those of the audit log.
async fn configuration(postgres: &Postgres) -> String {
    let mut all = String::new();
    for table in ["meshes", "resources", "revisions"] {
        let rows =
            format!("select string_agg(t::text, E'\\n' order by t::text) from heddle.{table} t");
        let rows: Option<String> = sqlx::query_scalar(&rows)
            .fetch_one(&mut postgres.inspect().await)
            .await
            .unwrap();
        all.push_str(&rows.unwrap_or_default());
    }
    all
}

async fn waiting(postgres: &Postgres, wanted: i64) {
    let mut seen = postgres.inspect().await;
    until("they wait", Duration::from_secs(20), async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity \
             where usename = 'heddle_server' and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut seen)
        .await
        .unwrap();
        waiting == wanted
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_z11_a_right_that_is_lost_while_a_write_waits_is_not_used() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let _ = api
        .put(&format!("{MESH}/services/payments"), service(8081))
        .await
        .expect(200);
    let (by_token, _) = account(&api, "by-token").await;
    let (by_role, role) = account(&api, "by-role").await;
    let (by_session, session) = session(&stack.server, &api).await;
    let (untouched, _) = account(&api, "untouched").await;
    let before = configuration(&stack.postgres).await;

    let mut other = stack.postgres.inspect().await;
    let mut held = sqlx::Connection::begin(&mut other).await.unwrap();
    sqlx::query("select from heddle.meshes for no key update")
        .execute(&mut *held)
        .await
        .unwrap();
    let mut writes = Vec::new();
    for (caller, status) in [(&by_token, 401), (&by_role, 403), (&by_session, 401)] {
        for which in WRITES {
            let caller = caller.clone();
            let sent = tokio::spawn(async move { write(&caller, which).await });
            writes.push((which, status, sent));
        }
    }
    waiting(&stack.postgres, 15).await;
    // They know of nothing of this, and whoever loses nothing waits for nothing else.
    let lost = [
        String::from("/tokens/by-token"),
        format!("/role-bindings/{role}"),
        format!("/sessions/{session}"),
    ];
    for path in lost {
        let gone = api.call(Method::DELETE, &path, None).await;
        assert_eq!(gone.status, 204, "{path}: {}", gone.text);
    }
    held.rollback().await.unwrap();
    for (which, status, sent) in writes {
        let refused = sent.await.unwrap();
        assert_eq!(refused.status, status, "{which}: {}", refused.text);
        if status == 401 {
            assert_eq!(refused.json["code"], "HED-2001", "{which}");
            assert!(refused.header("www-authenticate").is_some(), "{which}");
        } else {
            assert_eq!(refused.json["permission"], "config:write", "{which}");
        }
    }
    assert_eq!(configuration(&stack.postgres).await, before);
    // It was the loss that undid them.
    let done = write(&untouched, "put").await.expect(200);
    assert_eq!(done.json["ports"][0]["port"], 81);
}
