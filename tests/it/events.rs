//! What happens in a mesh, as it happens: nothing left out, nothing twice, and no longer than the credential holds.

use std::time::{Duration, Instant};

use heddle_tests::{Api, Random, ServerOptions, Stack, XdsClient, node, until};
use reqwest::Response;
use serde_json::{Value, json};

const SSE: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";

/// A stream as its client reads it.
struct Stream {
    response: Response,
    rest: String,
}

impl Stream {
    async fn open(stack: &Stack, api: &Api, query: &str, accept: &str) -> Self {
        let url = format!(
            "{}/v1/orgs/acme/meshes/shop/events{query}",
            stack.server.url()
        );
        let request = reqwest::Client::new().get(url).bearer_auth(&api.token);
        let response = request.header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], accept);
        Self {
            response,
            rest: String::new(),
        }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((line, rest)) = self.rest.split_once('\n') {
                let line = line.strip_prefix("data: ").unwrap_or(line).to_owned();
                self.rest = rest.to_owned();
                if line.starts_with('{') {
                    return Some(serde_json::from_str(&line).unwrap());
                }
            }
            let more = tokio::time::timeout(Duration::from_secs(30), self.response.chunk());
            let more = more.await.expect("something comes, or it ends").unwrap()?;
            self.rest.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    /// The next event that is meant.
    async fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("no {what}"));
            if is(&event) {
                return event;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "no {what}");
        }
    }
}

/// Everything that there is, as lines.
async fn all(api: &Api, query: &str) -> Vec<Value> {
    let reply = api
        .get(&format!("/meshes/shop/events{query}"))
        .await
        .expect(200);
    assert_eq!(reply.content_type, LINES);
    let lines = reply.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn topics(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["topic"].as_str().unwrap())
        .collect()
}

async fn write(api: &Api, n: usize) {
    let labels = json!({"access_default": "allow", "labels": {"n": n.to_string()}});
    let _ = api.put("/meshes/shop", labels).await.expect(200);
}

async fn token(api: &Api) -> String {
    let body = json!({"name": "t", "service": "payments", "reusable": true});
    let token = api.post("/meshes/shop/join-tokens", body).await.expect(201);
    token.json["secret"].as_str().unwrap().to_owned()
}

async fn shop(stack: &Stack) -> Api {
    let open = json!({"access_default": "allow"});
    stack.mesh("acme", "shop", open, &["payments"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_misses_nothing_and_hears_nothing_twice() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    // More than is read in one go, while somebody reads in pieces of any size.
    let writer = api.clone();
    let writing = tokio::spawn(async move {
        for n in 0..150 {
            write(&writer, n).await;
        }
    });
    let mut random = Random::new(20_261_126);
    let mut after = String::from("0-0-0");
    let (mut revisions, mut audited) = (Vec::new(), Vec::new());
    while revisions.last() != Some(&152) || audited.len() < 152 {
        let limit = 1 + random.below(40);
        let query = format!("?topic=revision,audit&wait=2s&limit={limit}&after={after}");
        let mut stream = Stream::open(&stack, &api, &query, SSE).await;
        while let Some(event) = stream.next().await {
            if let Some(id) = event["id"].as_str() {
                id.clone_into(&mut after);
            }
            revisions.extend(event["revision"]["revision"].as_u64());
            audited.extend(event["audit"]["chain"]["seq"].as_u64());
            // Now and then the connection breaks.
            if random.below(30) == 0 {
                break;
            }
        }
    }
    writing.await.unwrap();
    assert_eq!(revisions, (1..=152).collect::<Vec<u64>>());
    assert_eq!(audited, (1..=audited.len() as u64).collect::<Vec<u64>>());

    // The same at once, as lines that end; and from the end on nothing.
    let events = all(&api, "?topic=revision&after=0-0-0").await;
    let numbers: Vec<u64> = events
        .iter()
        .filter_map(|e| e["revision"]["revision"].as_u64())
        .collect();
    assert_eq!(numbers, revisions);
    let last = events.last().unwrap();
    assert_eq!(
        (&last["topic"], &last["reason"]),
        (&json!("end"), &json!("time"))
    );
    let id = last["id"].as_str().unwrap();
    assert_eq!(
        topics(&all(&api, &format!("?topic=revision&after={id}")).await),
        ["end"]
    );
    assert_eq!(
        topics(&all(&api, "?topic=revision").await),
        ["position", "end"]
    );
    // What a browser had last counts more than the address.
    let path = "/v1/orgs/acme/meshes/shop/events?topic=revision&after=0-0-0";
    let headers = [("last-event-id", id)];
    let reply = api
        .raw(reqwest::Method::GET, path, &headers, Vec::new())
        .await;
    assert_eq!(reply.expect(200).text.lines().count(), 1);
    // An id from elsewhere: it goes on from here.
    let events = all(&api, "?topic=revision&after=999-0-0").await;
    assert_eq!(topics(&events), ["reset", "end"]);
    let events = all(&api, "?topic=revision&after=0-0-0&limit=3").await;
    assert_eq!(topics(&events), ["revision", "revision", "revision", "end"]);
    assert_eq!(events[3]["reason"], "limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_as_it_happens() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = shop(&stack).await;
    let secret = token(&api).await;
    let mut stream = Stream::open(&stack, &api, "?topic=revision,proxy,rollout,audit", SSE).await;
    assert_eq!(stream.next().await.unwrap()["topic"], "position");
    let first = stream.next().await.unwrap();
    assert_eq!(first["rollout"]["state"], "live", "{first}");

    let started = Instant::now();
    write(&api, 1).await;
    let event = stream.until("revision", |e| e["topic"] == "revision").await;
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    let revision = event["revision"]["revision"].as_u64().unwrap();
    assert_eq!(event["revision"]["summary"]["changed"], 1, "{event}");
    let event = stream.until("audit", |e| e["topic"] == "audit").await;
    assert_eq!(event["audit"]["revision"], json!(revision), "{event}");
    let event = stream.until("rollout", |e| e["topic"] == "rollout").await;
    assert_eq!(event["rollout"]["revision"], json!(revision), "{event}");

    let silent = XdsClient::connect(&stack.server, &secret, node("silent", "payments")).await;
    let event = stream
        .until("proxy", |e| e["proxy"]["state"] == "connecting")
        .await;
    assert_eq!(
        (&event["proxy"]["name"], &event["proxy"]["service"]),
        (&json!("silent"), &json!("payments"))
    );
    let event = stream
        .until("its rollout", |e| e["rollout"]["pending"] == 1)
        .await;
    assert_eq!(event["rollout"]["done"], json!(false), "{event}");
    drop(silent);
    let _ = stream
        .until("its end", |e| e["proxy"]["state"] == "offline")
        .await;
    let _ = api.delete("/meshes/shop/proxies/silent").await.expect(204);
    let _ = stream
        .until("that it is forgotten", |e| {
            e["proxy"]["state"] == "forgotten"
        })
        .await;
    let event = stream
        .until("the log of it", |e| e["audit"]["action"] == "forget")
        .await;
    // Without the audit log, and from before: a proxy that is gone is that and nothing else.
    let id = event["id"].as_str().unwrap().to_owned();
    let events = all(&api, "?topic=proxy&after=0-0-0").await;
    assert_eq!(topics(&events), ["proxy", "end"], "{events:?}");
    assert_eq!(events[0]["proxy"]["state"], "forgotten");
    assert_eq!(
        topics(&all(&api, &format!("?topic=proxy&after={id}")).await),
        ["end"]
    );

    // Who may not read the audit log is not told of it: by name it is refused, otherwise left out.
    let developer = stack.server.token("acme", "developer").await;
    let refused = developer
        .get("/meshes/shop/events?topic=revision,audit")
        .await
        .expect(403);
    assert_eq!(refused.json["permission"], "audit:read");
    let events = all(&developer, "?after=0-0-0").await;
    assert!(!topics(&events).contains(&"audit"), "{events:?}");
    assert!(topics(&events).contains(&"rollout"), "{events:?}");

    // A mesh that goes takes its streams along.
    let open = json!({"access_default": "allow", "deletion_protection": false});
    let _ = api.put("/meshes/shop", open).await.expect(200);
    let _ = api.delete("/meshes/shop").await.expect(204);
    let event = stream.until("the end", |e| e["topic"] == "end").await;
    assert_eq!(event["reason"], "gone");
    assert_eq!(stream.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_z10_streams_end_with_their_credential_and_with_the_server() {
    let options = ServerOptions {
        database_connections: 4,
        ..ServerOptions::default()
    };
    let mut stack = Stack::start(options).await;
    let api = shop(&stack).await;
    let viewer = stack.server.token("acme", "viewer").await;
    let body = json!({"name": "watcher"});
    let _ = api.post("/service-accounts", body).await.expect(201);
    let bound = json!({"role": "auditor", "service_account": "watcher"});
    let bound = api.post("/role-bindings", bound).await.expect(201);
    let body = json!({"name": "watcher", "service_account": "watcher"});
    let made = api.post("/tokens", body).await.expect(201);
    let watcher = api.with_token(made.json["secret"].as_str().unwrap());
    let mut revoked = Stream::open(&stack, &viewer, "", SSE).await;
    let mut unbound = Stream::open(&stack, &watcher, "?topic=audit&wait=600s", LINES).await;
    // One that never reads a word, and more to say than waits for it.
    let unread = Stream::open(&stack, &api, "?topic=revision,audit&after=0-0-0", SSE).await;

    let started = Instant::now();
    let _ = api.delete("/tokens/test-viewer").await.expect(204);
    let uid = bound.json["meta"]["uid"].as_str().unwrap();
    let _ = api
        .delete(&format!("/role-bindings/{uid}"))
        .await
        .expect(204);
    for stream in [&mut revoked, &mut unbound] {
        let event = stream.until("the end", |e| e["topic"] == "end").await;
        assert_eq!(event["reason"], "credential", "{event}");
        assert_eq!(stream.next().await, None);
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );

    // As many as there may be, and none of them holds a connection.
    let mut open = Vec::new();
    for _ in 0..31 {
        open.push(Stream::open(&stack, &api, "", SSE).await);
    }
    let refused = api.get("/meshes/shop/events").await.expect(429);
    assert_eq!(refused.json["code"], "HED-2035");
    stack.postgres.at_rest().await;
    write(&api, 1).await;
    for stream in &mut open {
        let _ = stream.until("revision", |e| e["topic"] == "revision").await;
    }
    // Those who go make room.
    drop(open.split_off(20));
    until("there is room", Duration::from_secs(10), async || {
        api.get("/meshes/shop/events").await.status == 200
    })
    .await;

    let started = Instant::now();
    stack.server.stop().await;
    assert!(
        started.elapsed() < Duration::from_secs(6),
        "{:?}",
        started.elapsed()
    );
    for stream in &mut open {
        let event = stream.until("the end", |e| e["topic"] == "end").await;
        assert_eq!(event["reason"], "stopping");
    }
    drop(unread);
}
