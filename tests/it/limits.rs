//! How often a credential may call, at the API and with the command line.

use std::time::{Duration, Instant};

use heddle_tests::{Redis, Reply, ServerOptions, Stack, heddle};
use reqwest::Method;
use tokio::process::Command;

/// The values of a limit header by the names of its policies.
fn values(reply: &Reply, header: &str, key: &str) -> Vec<(String, u64)> {
    let text = reply.header(header).unwrap_or_default();
    let item = |item: &str| {
        let mut parts = item.trim().split(';');
        let name = parts.next()?.trim_matches('"').to_owned();
        let value = parts.find_map(|part| part.strip_prefix(key)?.strip_prefix('='))?;
        Some((name, value.parse().ok()?))
    };
    text.split(',').filter_map(item).collect()
}

fn limited(reads: u32, writes: u32) -> ServerOptions {
    ServerOptions {
        rates: Some((reads, writes)),
        ..ServerOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d06_whoever_calls_too_often_is_told_to_wait_and_nobody_else() {
    let stack = Stack::start(limited(1, 1)).await;
    let api = stack.server.org("acme").await;
    let viewer = stack.server.token("acme", "viewer").await;
    let first = api.get("/meshes").await.expect(200);
    let policy = [
        ("token-reads".to_owned(), 10),
        ("organisation-reads".to_owned(), 50_000),
    ];
    assert_eq!(values(&first, "ratelimit-policy", "q"), policy);
    assert_eq!(
        values(&first, "ratelimit-policy", "w"),
        [
            ("token-reads".to_owned(), 10),
            ("organisation-reads".to_owned(), 10)
        ]
    );
    assert_eq!(
        values(&first, "ratelimit", "r")[0],
        ("token-reads".to_owned(), 9)
    );

    // Reads and writes apart; a refused one is a problem like any other, and is refused before it is read.
    let mut refused = None;
    for n in 0..60 {
        let reply = api
            .put(&format!("/meshes/m{n}"), serde_json::json!({}))
            .await;
        if reply.status != 201 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused
        .expect("ten at once are all that there is")
        .expect(429);
    assert_eq!(refused.json["code"], "HED-2041", "{}", refused.text);
    assert_eq!(refused.content_type, "application/problem+json");
    let after: u64 = refused.retry_after.as_deref().unwrap().parse().unwrap();
    assert_eq!(after, 1);
    assert_eq!(
        values(&refused, "ratelimit", "r")[0],
        ("token-writes".to_owned(), 0)
    );
    assert!(refused.header("heddle-request-id").is_some());
    let _ = api.get("/meshes").await.expect(200);

    // Nobody else has less for it: not another token, not another organisation, not whoever has none.
    let rival = stack.server.org("rival").await;
    let _ = rival
        .put("/meshes/m", serde_json::json!({}))
        .await
        .expect(201);
    let seen = viewer.get("/meshes").await.expect(200);
    assert_eq!(values(&seen, "ratelimit", "r")[0].1, 9);
    let stranger = api.with_token("");
    let open = stranger
        .raw(Method::GET, "/v1/codes/HED-2041", &[], Vec::new())
        .await;
    assert!(open.expect(200).header("ratelimit").is_none());

    // Whoever waits as long as it was told is let through.
    tokio::time::sleep(Duration::from_secs(after)).await;
    let _ = api
        .put("/meshes/late", serde_json::json!({}))
        .await
        .expect(201);

    // The command line waits by itself.
    let refused = async || stack.server.metrics().await["heddle_api_rate_limited_total"];
    let mut waited = false;
    for _ in 0..20 {
        while api.get("/meshes").await.status == 200 {}
        let before = refused().await;
        let mut command = Command::new(heddle());
        command.args(["get", "meshes", "-o", "json"]);
        command.env("HEDDLE_CONFIG_DIR", stack.directory.path().join("config"));
        command.env("HEDDLE_SERVER", stack.server.url());
        command
            .env("HEDDLE_ORG", "acme")
            .env("HEDDLE_TOKEN", &api.token);
        let output = command.output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        // There may have been one again by the time it asked.
        waited |= refused().await > before;
        if waited {
            break;
        }
    }
    assert!(waited, "it was never refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d12_two_servers_count_together_while_redis_answers_and_each_its_share_otherwise() {
    let mut redis = Redis::start().await;
    let mut options = limited(4, 1000);
    options.redis_url = Some(redis.url());
    let stack = Stack::start(options).await;
    let other = stack.server.beside().await;
    let api = stack.server.org("acme").await;
    let there = other.caller("acme", &api.token);
    // Both servers must have noticed Redis and each other.
    for server in [&stack.server, &other] {
        heddle_tests::until("Redis is there", Duration::from_secs(10), async || {
            let metrics = server.metrics().await;
            let is = |name: &str, value| metrics.get(name) == Some(&value);
            is("heddle_redis_connected", 1.0) && is("heddle_servers", 2.0)
        })
        .await;
    }
    let spend = async || {
        let began = Instant::now();
        let (mut granted, mut refused) = (0, 0);
        while refused < 20 {
            for caller in [&api, &there] {
                match caller.get("/meshes").await.status {
                    200 => granted += 1,
                    429 => refused += 1,
                    other => panic!("{other}"),
                }
            }
        }
        (granted, began.elapsed().as_secs() * 4 + 4)
    };
    // Forty at once, and four grow back in each second.
    let (granted, grown) = spend().await;
    assert!(
        (40..=40 + grown).contains(&granted),
        "{granted} with {grown}"
    );
    redis.kill().await;
    let (granted, grown) = spend().await;
    // Each has half of it, and starts with all of that.
    assert!(
        (40..=40 + grown).contains(&granted),
        "{granted} with {grown}"
    );
}
