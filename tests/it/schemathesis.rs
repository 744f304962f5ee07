//! The API tested by its own document: requests that fit it and requests that do not, one after the other along its
//! links, every answer held against what the document promises.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heddle_tests::{
    Api, IdentityProvider, Server, ServerOptions, Stack, XdsClient, evidence, node, repository,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

/// The methods of operations that write.
const WRITES: [&str; 4] = ["post", "put", "patch", "delete"];

/// The mesh that Envoys keep joining. Its name is known to the hooks.
const KEPT: &str = "/meshes/kept";

/// The connection to the provider that is there. Its name is known to the hooks.
const CONNECTION: &str = "workforce";

const PASSWORD: &str = "correct horse battery staple";

/// How many minutes it may take until every operation was accepted once.
const MINUTES: u64 = 3;

/// What the examples of the document name, so that they meet something, and what the hooks hand out.
async fn seed(api: &Api) {
    let service = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    for (mesh, services) in [
        ("prod", &["payments", "checkout"][..]),
        ("kept", &["payments"]),
    ] {
        let _ = api
            .put(&format!("/meshes/{mesh}"), json!({}))
            .await
            .expect(201);
        for name in services {
            let path = format!("/meshes/{mesh}/services/{name}");
            let _ = api.put(&path, service.clone()).await.expect(201);
        }
    }
}

/// The member for whom the tool calls, and what it must not take away from itself.
struct Keeper {
    api: Api,
    own: String,
}

/// An owner who signed in, made a token, and connected a provider.
async fn keeper(server: &Server, provider: &mut IdentityProvider) -> Keeper {
    let script = server.org("acme").await;
    let email = "keeper@example.com";
    let made = server
        .admin(&[
            "member", "create", "--org", "acme", "--email", email, "--role", "owner", "--json",
        ])
        .await;
    let body = json!({"org": "acme", "email": email, "password": made["password"]});
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    let signed = script
        .raw(Method::POST, "/v1/sessions", &headers, body)
        .await;
    let signed = signed.expect(201).json;
    let session = script.with_token(signed["access_token"].as_str().unwrap());
    let change = json!({"current_password": made["password"], "new_password": PASSWORD});
    let _ = session.post("/password-changes", change).await.expect(204);
    let token = session.post("/tokens", json!({"name": "own-token"})).await;
    let token = token.expect(201).json;
    let bound = session.get(&format!("/role-bindings?member={email}")).await;
    let api = script.with_token(token["secret"].as_str().unwrap());
    seed(&api).await;
    let body = provider.connection(CONNECTION);
    let connected = api.post("/sso-connections", body).await.expect(201).json;
    let back = connected["redirect_uri"].as_str().unwrap();
    provider.start(&[back]).await;
    let own = [
        &connected["meta"]["uid"],
        &token["meta"]["uid"],
        &signed["member"]["uid"],
        &bound.expect(200).json["items"][0]["meta"]["uid"],
    ];
    let own = own.map(|uid| uid.as_str().unwrap());
    // An address may say the mesh's name or its id.
    let kept = api.get(KEPT).await.expect(200).json;
    let kept = kept["meta"]["uid"].as_str().unwrap();
    Keeper {
        own: format!(
            "own-token,{email},kept,{kept},{CONNECTION},{}",
            own.join(",")
        ),
        api,
    }
}

/// Envoys that keep joining: what is forgotten is replaced by a new one.
async fn join(server: &Server, api: &Api, stop: Arc<AtomicBool>) {
    let mut next = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let listed = api.get(&format!("{KEPT}/proxies?limit=500")).await.json;
        let present = listed["items"].as_array().map_or(0, Vec::len);
        if present < 8 {
            next += 1;
            let name = format!("joining-{next}");
            let token = api
                .post(
                    &format!("{KEPT}/join-tokens"),
                    json!({"name": name, "service": "payments", "reusable": true}),
                )
                .await;
            if let Some(secret) = token.json["secret"].as_str() {
                for i in 0..8 {
                    let node = node(&format!("{name}-{i}"), "payments");
                    if let Ok(mut client) = XdsClient::connect(server, secret, node).await {
                        let _ = client.drain(Duration::from_millis(50)).await;
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// How often each writing operation of the document was answered with 2xx, as the hooks counted the tool's own requests.
fn accepted(counts: &Path) -> BTreeMap<String, u64> {
    let read = |path: &Path| -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let document = read(&repository().join("api/openapi.json"));
    let counted = read(counts);
    let mut accepted = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in WRITES
            .into_iter()
            .filter(|method| item.get(method).is_some())
        {
            let label = format!("{} {path}", method.to_uppercase());
            let count = counted[format!("{label} 2xx")].as_u64().unwrap_or(0);
            accepted.insert(label, count);
        }
    }
    accepted
}

/// Runs the tool for this long and returns what each writing operation accepted. `only`: of which operations; none means all.
async fn run(seconds: u32, seed_number: u64, only: &[String]) -> (BTreeMap<String, u64>, String) {
    let tool = repository().join(".tools/schemathesis/bin/schemathesis");
    assert!(
        tool.exists(),
        "no {}: run `scripts/setup --test` first",
        tool.display()
    );
    let mut provider = IdentityProvider::planned();
    let options = ServerOptions {
        egress: provider.settings(),
        quotas: Some("sso_connections=unlimited webhooks=unlimited".to_owned()),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let Keeper { api, own } = keeper(&stack.server, &mut provider).await;
    let stop = Arc::new(AtomicBool::new(false));
    let counts = stack.directory.path().join("counts.json");
    let child = Command::new(tool)
        .arg("--config-file")
        .arg(repository().join("tests/schemathesis/schemathesis.toml"))
        .args([
            "run",
            "--checks",
            "all",
            "--continue-on-failure",
            "--max-time",
        ])
        .arg(seconds.to_string())
        .arg("--seed")
        .arg(seed_number.to_string())
        .args(only.iter().flat_map(|name| ["--include-name", name]))
        // Links from one operation to another need both.
        .args((!only.is_empty()).then_some("--phases=examples,coverage,fuzzing"))
        .arg(format!("{}/v1/openapi.json", stack.server.url()))
        .env(
            "SCHEMATHESIS_HOOKS",
            repository().join("tests/schemathesis/hooks.py"),
        )
        .env("HEDDLE_URL", stack.server.url())
        .env("HEDDLE_TOKEN", &api.token)
        .env("HEDDLE_OWN", own)
        .env("HEDDLE_PASSWORD", PASSWORD)
        .env("HEDDLE_MAIL", stack.server.mail_dir())
        .env("HEDDLE_SEED", seed_number.to_string())
        .env("HEDDLE_COUNTS", &counts)
        .env("HEDDLE_PROVIDER_CA", provider.authority())
        .env("PYTHONPATH", repository().join("tests/schemathesis"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_COLOR", "1")
        // Where it keeps what it found: with this run's other files, not in the repository.
        .current_dir(stack.directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let stopping = Arc::clone(&stop);
    let tested = async move {
        let output = child.await.unwrap();
        stopping.store(true, Ordering::Relaxed);
        output
    };
    let (output, ()) = tokio::join!(tested, join(&stack.server, &api, stop));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // What failed inside stands in the log alone.
    let log = stack.server.log();
    let failed: Vec<_> = log
        .lines()
        .filter(|line| line.contains("request failed"))
        .collect();
    assert!(
        output.status.success(),
        "{said}\n{}\n{failed:#?}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metrics = stack.server.metrics().await;
    let failures: Vec<_> = metrics
        .keys()
        .filter(|key| key.contains("status=\"5"))
        .collect();
    assert!(failures.is_empty(), "{failures:?}");
    (accepted(&counts), said)
}

/// The operations that were accepted less often than that.
fn rare(accepted: &BTreeMap<String, u64>, least: u64) -> Vec<String> {
    let rare = accepted.iter().filter(|(_, count)| **count < least);
    rare.map(|(operation, _)| operation.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_keeps_its_promises_for_a_minute() {
    // Every run is the same one, unless somebody looks for more.
    let seed = std::env::var_os("HEDDLE_TEST_SEED");
    let seed = seed.map_or(4, |seed| seed.to_str().unwrap().parse().unwrap());
    let (accepted, said) = run(60, seed, &[]).await;
    assert!(said.contains("Stateful"), "{said}");
    // How much is tried in a minute is up to the machine: what it did not come to has another one to itself.
    let mut missing = rare(&accepted, 1);
    for minute in 1..MINUTES {
        if missing.is_empty() {
            return;
        }
        let (more, _) = run(60, seed + minute, &missing).await;
        missing.retain(|operation| more[operation] == 0);
    }
    assert!(missing.is_empty(), "never accepted: {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes"]
async fn the_document_keeps_its_promises_for_ten_minutes() {
    let seed = u64::from(std::process::id());
    let (accepted, said) = run(600, seed, &[]).await;
    let cases = said
        .lines()
        .map(str::trim)
        .find(|line| line.contains(" generated") && line.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or_default()
        .to_owned();
    evidence(
        "schemathesis",
        seed,
        json!({"test_cases": cases, "accepted_writes": accepted}),
    );
    let rare = rare(&accepted, 20);
    assert!(rare.is_empty(), "accepted fewer than 20 times: {rare:?}");
}
