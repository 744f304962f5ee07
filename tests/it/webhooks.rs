//! Webhooks: a server that calls, and somebody who answers as it likes.

mod guide;

use std::collections::BTreeMap;
use std::time::Duration;

use heddle_tests::{Api, Hostile, ServerOptions, Stack, until, until_some};
use serde_json::{Value, json};

/// How long what comes soon may take: longer than a server that was killed has a webhook to itself.
const SOON: Duration = Duration::from_secs(40);

/// A server, and somebody whom it may call.
struct Scene {
    stack: Stack,
    other: Hostile,
    api: Api,
}

/// A message that arrived.
#[derive(Debug, Clone)]
struct Message {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Message {
    fn parse(request: &str) -> Self {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let headers = head.lines().skip(1).map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Scene {
    async fn start() -> Self {
        let other = Hostile::start().await;
        let options = ServerOptions {
            egress: other.settings(),
            ..ServerOptions::default()
        };
        let stack = Stack::start(options).await;
        let api = stack.server.org("acme").await;
        Self { stack, other, api }
    }

    /// A webhook at a path of its own: its secret.
    async fn webhook(&self, name: &str, topics: &[&str]) -> String {
        let url = format!("{}/{name}", self.other.url());
        let body = json!({"name": name, "url": url, "topics": topics});
        let made = self.api.post("/webhooks", body).await.expect(201);
        assert_eq!(made.header("cache-control"), Some("no-store"));
        made.json["secret"].as_str().unwrap().to_owned()
    }

    fn arrived(&self, name: &str) -> Vec<Message> {
        let asked = self.other.asked(&format!("/{name}"));
        asked.iter().map(|one| Message::parse(one)).collect()
    }

    async fn ping(&self, name: &str) -> String {
        let path = format!("/webhooks/{name}/pings");
        let sent = self.api.post(&path, json!({})).await.expect(202);
        sent.json["meta"]["uid"].as_str().unwrap().to_owned()
    }

    async fn delivery(&self, name: &str, message: &str) -> Value {
        let path = format!("/webhooks/{name}/deliveries/{message}");
        self.api.get(&path).await.expect(200).json
    }

    /// Waits until that became of a message.
    async fn becomes(&self, name: &str, message: &str, state: &str) -> Value {
        until_some(&format!("{message} is {state}"), SOON, async || {
            let one = self.delivery(name, message).await;
            (one["state"] == state).then_some(one)
        })
        .await
    }

    /// Waits until a message was tried, and not taken.
    async fn fails(&self, name: &str, message: &str) -> Value {
        until_some(&format!("{message} was tried"), SOON, async || {
            let one = self.delivery(name, message).await;
            one["last_try"]["error"].is_string().then_some(one)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k07_a_webhook_is_told_what_happens_and_can_verify_it() {
    let scene = Scene::start().await;
    scene.other.say("/all", 200, "thank you");
    let secret = scene.webhook("all", &["revision", "audit"]).await;
    assert!(
        secret.starts_with("whsec_"),
        "the form of Standard Webhooks"
    );
    let _ = scene.api.put("/meshes/prod", json!({})).await.expect(201);
    let service = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let path = "/meshes/prod/services/payments";
    let _ = scene.api.put(path, service).await.expect(201);
    let revision = until_some("revision 2 arrives", SOON, async || {
        let arrived = scene.arrived("all");
        let second = |one: &Message| one.json()["data"]["revision"]["revision"] == 2;
        arrived.into_iter().find(second)
    })
    .await;
    let said = revision.json();
    assert_eq!(said["type"], "revision");
    assert_eq!(said["data"]["org"], "acme");
    assert_eq!(said["data"]["mesh"]["name"], "prod");
    let history = scene.api.get("/meshes/prod/revisions").await.expect(200);
    assert_eq!(said["data"]["revision"], history.json["items"][0]);
    assert_eq!(revision.headers["content-type"], "application/json");
    let audited = until_some("the row of the audit log arrives", SOON, async || {
        let arrived = scene.arrived("all");
        let made = |one: &Message| one.json()["data"]["audit"]["name"] == "payments";
        arrived.into_iter().find(made)
    })
    .await;
    let log = scene.api.get("/audit-log?kind=service").await.expect(200);
    assert_eq!(audited.json()["data"]["audit"], log.json["items"][0]);
    for message in scene.arrived("all") {
        guide::verified(&message, &secret).await;
        let forged = Message {
            body: message.body.replace("acme", "evil"),
            ..message.clone()
        };
        guide::refused(&forged, &secret, "wrong signature").await;
    }
    // What was replayed later is too old, whoever signed it.
    let mut old = scene.arrived("all").remove(0);
    old.headers
        .insert("webhook-timestamp".to_owned(), "1700000000".to_owned());
    guide::refused(&old, &secret, "too old").await;

    // With two secrets, whoever knows either is content.
    let rotated = scene
        .api
        .post("/webhooks/all/rotations", json!({"overlap": "1h"}));
    let rotated = rotated.await.expect(201).json;
    let next = rotated["secret"].as_str().unwrap();
    assert!(rotated["meta"]["previous_secret_until"].is_string());
    let message = scene.ping("all").await;
    scene.becomes("all", &message, "delivered").await;
    let both = scene.arrived("all").pop().unwrap();
    assert_eq!(both.headers["webhook-signature"].split(' ').count(), 2);
    guide::verified(&both, &secret).await;
    guide::verified(&both, next).await;
    let listed = scene.api.get("/webhooks").await.expect(200);
    assert!(!listed.text.contains("whsec_"), "{}", listed.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_taken_comes_again_also_after_the_server_was_killed() {
    let mut scene = Scene::start().await;
    scene.other.say("/flaky", 500, "not today");
    let secret = scene.webhook("flaky", &["revision"]).await;
    let message = scene.ping("flaky").await;
    let failed = scene.fails("flaky", &message).await;
    assert_eq!(failed["state"], "pending");
    assert_eq!(failed["last_try"]["status"], 500);
    assert_eq!(failed["last_try"]["response"], "not today");
    assert!(failed["next_at"].is_string());
    scene.stack.server.kill().await;
    let before = scene.arrived("flaky").len();
    scene.other.say("/flaky", 204, "");
    scene.stack.server.start_again().await;
    let taken = scene.becomes("flaky", &message, "delivered").await;
    assert_eq!(taken["last_try"]["status"], 204);
    let arrived = scene.arrived("flaky");
    assert!(arrived.len() > before);
    // The same message at another time, and signed for that.
    assert!(arrived.iter().all(|one| one.id() == message));
    let (first, last) = (&arrived[0], &arrived[arrived.len() - 1]);
    assert_eq!(first.body, last.body);
    assert_ne!(
        first.headers["webhook-timestamp"],
        last.headers["webhook-timestamp"]
    );
    guide::verified(last, &secret).await;
    // Somebody wants it once more.
    let path = format!("/webhooks/flaky/deliveries/{message}/sendings");
    let _ = scene.api.post(&path, json!({})).await.expect(202);
    until("it arrives once more", SOON, async || {
        scene.arrived("flaky").len() == arrived.len() + 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_it_calls_leaves_the_call_to_another_one() {
    let mut scene = Scene::start().await;
    let other = scene.stack.server.beside().await;
    scene.other.hang("/slow");
    let _ = scene.webhook("slow", &["revision"]).await;
    // The one that has the webhook is the one that is killed.
    other.freeze();
    let message = scene.ping("slow").await;
    until("it is called", SOON, async || {
        !scene.arrived("slow").is_empty()
    })
    .await;
    scene.stack.server.kill().await;
    other.thaw();
    scene.other.say("/slow", 200, "");
    let api = other.caller("acme", &scene.api.token);
    let path = format!("/webhooks/slow/deliveries/{message}");
    until("the other one sends it", SOON, async || {
        api.get(&path).await.expect(200).json["state"] == "delivered"
    })
    .await;
    assert!(scene.arrived("slow").iter().all(|one| one.id() == message));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d11_whoever_does_not_answer_keeps_nobody_waiting() {
    let scene = Scene::start().await;
    scene.other.hang("/hanging");
    scene.other.say("/quick", 200, "");
    let _ = scene.webhook("hanging", &["revision"]).await;
    let _ = scene.webhook("quick", &["revision"]).await;
    for _ in 0..5 {
        scene.ping("hanging").await;
    }
    until("it is called", SOON, async || {
        !scene.arrived("hanging").is_empty()
    })
    .await;
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        let message = scene.ping("quick").await;
        scene.becomes("quick", &message, "delivered").await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let slow = scene
        .api
        .get("/webhooks/hanging/deliveries")
        .await
        .expect(200);
    assert!(!slow.text.contains("delivered"), "{}", slow.text);
    let listed = slow.json["items"].as_array().unwrap();
    let first = listed.last().unwrap()["meta"]["uid"].as_str().unwrap();
    let failed = scene.fails("hanging", first).await;
    assert_eq!(
        failed["last_try"]["error"],
        "no complete answer within 5 seconds"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_one_sends_each_message() {
    let scene = Scene::start().await;
    let _other = scene.stack.server.beside().await;
    scene.other.say("/once", 200, "");
    let _ = scene.webhook("once", &["revision"]).await;
    let mut sent = Vec::new();
    for _ in 0..40 {
        sent.push(scene.ping("once").await);
    }
    for message in &sent {
        scene.becomes("once", message, "delivered").await;
    }
    let mut arrived: Vec<_> = scene
        .arrived("once")
        .iter()
        .map(|one| one.id().to_owned())
        .collect();
    // In the order in which they came to be, as their identifiers are.
    assert!(sent.is_sorted());
    assert_eq!(arrived, sent);
    arrived.dedup();
    assert_eq!(arrived.len(), sent.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_i11_no_webhook_leads_into_our_own_network() {
    let scene = Scene::start().await;
    // Where it is allowed to call, no redirect leads anywhere else.
    scene.other.say("/elsewhere", 200, "");
    let to = format!(
        "HTTP/1.1 302 X\r\nlocation: {}/elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        scene.other.url()
    );
    scene.other.say_bytes("/redirected", to.into_bytes());
    let _ = scene.webhook("redirected", &["revision"]).await;
    let message = scene.ping("redirected").await;
    let failed = scene.fails("redirected", &message).await;
    assert_eq!(failed["last_try"]["error"], "redirects are not followed");
    assert!(scene.arrived("elsewhere").is_empty());

    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let port = scene.other.port();
    for url in [
        format!("https://127.0.0.1:{port}/private"),
        format!("https://2130706433:{port}/private"),
        format!("https://0x7f.1:{port}/private"),
        format!("https://[::1]:{port}/private"),
        format!("https://[::ffff:127.0.0.1]:{port}/private"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/".to_owned(),
        format!("http://127.0.0.1:{port}/private"),
        "file:///etc/passwd".to_owned(),
        "https://a@example.com/".to_owned(),
    ] {
        let body = json!({"name": "private", "url": url, "topics": ["revision"]});
        let refused = api.post("/webhooks", body).await.expect(422);
        assert_eq!(refused.json["errors"][0]["pointer"], "/url", "{url}");
        assert_eq!(refused.json["errors"].as_array().unwrap().len(), 1, "{url}");
    }
    // A name is judged when it is called, by what it stands for then.
    let url = format!("https://localhost:{port}/private");
    let body = json!({"name": "private", "url": url, "topics": ["revision"]});
    let _ = api.post("/webhooks", body).await.expect(201);
    let sent = api.post("/webhooks/private/pings", json!({})).await;
    let sent = sent.expect(202).json["meta"]["uid"].clone();
    let path = format!("/webhooks/private/deliveries/{}", sent.as_str().unwrap());
    let failed = until_some("it was tried", SOON, async || {
        let one = api.get(&path).await.expect(200).json;
        one["last_try"]["error"].is_string().then_some(one)
    })
    .await;
    assert_eq!(
        failed["last_try"]["error"],
        "not called: its address is not one of the public internet"
    );
    assert!(scene.arrived("private").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_says_that_it_is_gone_is_called_no_more() {
    let scene = Scene::start().await;
    let email = "ada@example.com";
    let args = [
        "member", "create", "--org", "acme", "--email", email, "--role", "owner", "--json",
    ];
    let _ = scene.stack.server.admin(&args).await;
    scene.other.say("/gone", 410, "");
    let _ = scene.webhook("gone", &["revision"]).await;
    let message = scene.ping("gone").await;
    scene.becomes("gone", &message, "failed").await;
    let shown = scene.api.get("/webhooks/gone").await.expect(200).json;
    assert_eq!(shown["enabled"], false);
    assert_eq!(shown["disabled_because"], "gone");
    let refused = scene.api.post("/webhooks/gone/pings", json!({})).await;
    assert_eq!(refused.expect(409).json["code"], "HED-2110");
    let mail = scene.stack.server.mail_to(email, 0).await;
    assert!(
        mail.subject.contains("gone") && mail.text.contains("410"),
        "{}",
        mail.whole
    );
    assert!(mail.text.contains("/console/webhooks"), "{}", mail.whole);
    let patched = scene
        .api
        .patch("/webhooks/gone", json!({"enabled": true}))
        .await
        .expect(200);
    assert_eq!(patched.json["disabled_because"], Value::Null);
    scene.other.say("/gone", 200, "");
    let message = scene.ping("gone").await;
    scene.becomes("gone", &message, "delivered").await;
    // What was deleted is told nothing, not even what waits for it.
    scene.other.say("/gone", 500, "");
    let message = scene.ping("gone").await;
    scene.fails("gone", &message).await;
    let _ = scene.api.delete("/webhooks/gone").await.expect(204);
    let before = scene.arrived("gone").len();
    // Another one that failed later has come again: by then, this one would have as well.
    scene.other.say("/witness", 500, "");
    let _ = scene.webhook("witness", &["revision"]).await;
    let message = scene.ping("witness").await;
    scene.fails("witness", &message).await;
    until("the witness comes again", SOON, async || {
        scene.arrived("witness").len() > 1
    })
    .await;
    assert_eq!(scene.arrived("gone").len(), before);
}
