//! Quotas and usage, from outside: what is refused and how, what an operator may say, and what is counted.

use std::time::Duration;

use heddle_tests::{
    Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, heddle, heddled, until,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

fn service() -> Value {
    json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]})
}

async fn with(quotas: &str) -> Stack {
    let options = ServerOptions {
        quotas: Some(quotas.to_owned()),
        ..ServerOptions::default()
    };
    Stack::start(options).await
}

async fn quota(api: &Api, quota: &str) -> Value {
    let usage = api.get("/usage").await.expect(200).json;
    let quotas = usage["quotas"].as_array().unwrap();
    let found = quotas.iter().find(|one| one["quota"] == quota);
    found.unwrap().clone()
}

async fn admin(stack: &Stack, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(heddled());
    command.args(["admin", "quota"]).args(args);
    command.env("DATABASE_URL", stack.postgres.server_url());
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d08_whoever_would_have_too_many_is_told_and_exactly_as_many_are_made() {
    let stack = with("services=9 meshes=1").await;
    let api = stack.server.org("acme").await;
    let rival = stack.server.org("rival").await;
    for api in [&api, &rival] {
        let _ = api.put("/meshes/prod", json!({})).await.expect(201);
    }
    for n in 0..8 {
        let path = format!("/meshes/prod/services/s{n}");
        let _ = api.put(&path, service()).await.expect(201);
    }
    let other = stack.server.beside().await;
    let there = other.caller("acme", &api.token);
    let puts = (0..50).map(|n| {
        let api = if n % 2 == 0 { &api } else { &there };
        async move {
            api.put(&format!("/meshes/prod/services/t{n}"), service())
                .await
        }
    });
    let replies = futures::future::join_all(puts).await;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        let refused = reply.expect(429);
        assert_eq!(refused.json["code"], "HED-2029", "{}", refused.text);
        assert_eq!(
            refused.json["detail"],
            "the organisation has 9 services and may have 9: there is no room for 1 more"
        );
        let met = json!([{"quota": "services", "limit": 9, "used": 9, "wanted": 1}]);
        assert_eq!(refused.json["limits"], met);
        // It does not go away by waiting.
        assert!(refused.retry_after.is_none());
    }
    let _ = api.put("/meshes/test", json!({})).await.expect(429);
    // What is there can be changed and deleted, and others have what they have.
    let changed = json!({"ports": [{"name": "http", "port": 8081, "protocol": "http"}]});
    let _ = api
        .put("/meshes/prod/services/s0", changed)
        .await
        .expect(200);
    let tried = "/meshes/prod/services/new?dry_run=true";
    let _ = api.put(tried, service()).await.expect(429);
    let _ = rival
        .put("/meshes/prod/services/s0", service())
        .await
        .expect(201);
    let _ = api.delete("/meshes/prod/services/s0").await.expect(204);
    let _ = api.put(tried, service()).await.expect(201);
    let _ = api
        .put("/meshes/prod/services/new", service())
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_is_too_large_is_told_all_of_it_and_changes_nothing() {
    let stack = with("services=3 profiles=1 routes=1").await;
    let api = stack.server.org("acme").await;
    let _ = api.put("/meshes/prod", json!({})).await.expect(201);
    let _ = api
        .put("/meshes/prod/services/old", service())
        .await
        .expect(201);
    let ports = &service()["ports"];
    let bundle = json!({"resources": [
        {"kind": "profile", "name": "p0", "settings": {}},
        {"kind": "service", "name": "s0", "ports": ports},
        {"kind": "service", "name": "old", "ports": ports},
        {"kind": "profile", "name": "p1", "settings": {}},
        {"kind": "service", "name": "s1", "ports": ports},
        {"kind": "service", "name": "s2", "ports": ports},
        {"kind": "route", "service": "s0", "name": "all", "priority": 1, "backends": [{"version": "v1"}]},
    ]});
    for path in ["/meshes/prod/apply?dry_run=true", "/meshes/prod/apply"] {
        let refused = api.post(path, bundle.clone()).await.expect(429);
        let errors = refused.json["errors"].as_array().unwrap();
        let told: Vec<_> = errors
            .iter()
            .map(|one| {
                (
                    one["pointer"].as_str().unwrap(),
                    one["detail"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "/resources/3",
                    "the organisation has 0 profiles and may have 1: there is no room for 2 more"
                ),
                (
                    "/resources/5",
                    "the organisation has 1 services and may have 3: there is no room for 3 more"
                ),
            ]
        );
        assert!(errors.iter().all(|one| one["code"] == "HED-2029"));
        assert_eq!(refused.json["limits"].as_array().unwrap().len(), 2);
    }
    assert_eq!(quota(&api, "services").await["used"], 1);
    let revisions = api.get("/meshes/prod/revisions").await.expect(200);
    assert_eq!(revisions.json["items"][0]["revision"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_runs_the_server_says_how_much_an_organisation_may_have() {
    let stack = with("services=2").await;
    let api = stack.server.org("acme").await;
    let _ = api.put("/meshes/prod", json!({})).await.expect(201);
    for n in 0..2 {
        let path = format!("/meshes/prod/services/s{n}");
        let _ = api.put(&path, service()).await.expect(201);
    }
    let shown = json!({"quota": "services", "used": 2, "limit": 2, "own_limit": false});
    assert_eq!(quota(&api, "services").await, shown);
    let (done, said) = admin(&stack, &["set", "--org", "acme", "services", "1"]).await;
    assert!(done, "{said}");
    assert_eq!(said, "acme may have 1 services, and has 2\n");
    let shown = json!({"quota": "services", "used": 2, "limit": 1, "own_limit": true});
    assert_eq!(quota(&api, "services").await, shown);
    let _ = api
        .put("/meshes/prod/services/s2", service())
        .await
        .expect(429);
    // The organisation sees who said so.
    let log = api
        .get("/audit-log?kind=org&action=replace")
        .await
        .expect(200);
    let entry = &log.json["items"][0];
    assert_eq!(entry["actor"], "installation admin", "{}", log.text);
    assert_eq!(entry["after"]["quota"], "services");
    assert_eq!(entry["after"]["limit"], 1);
    let (done, said) = admin(
        &stack,
        &["set", "--org", "acme", "services", "unlimited", "--json"],
    )
    .await;
    assert!(done, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["limit"], Value::Null);
    let _ = api
        .put("/meshes/prod/services/s2", service())
        .await
        .expect(201);
    let (done, listed) = admin(&stack, &["list", "--org", "acme"]).await;
    assert!(done && listed.contains("services"), "{listed}");
    let line = listed
        .lines()
        .find(|line| line.starts_with("services"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        words,
        ["services", "3", "unlimited", "this", "organisation"]
    );

    for (args, why) in [
        (
            ["set", "--org", "acme", "bananas", "1"],
            "there is no quota \"bananas\"",
        ),
        (
            ["set", "--org", "acme", "services", "-1"],
            "unexpected argument",
        ),
        (
            ["set", "--org", "acme", "services", "many"],
            "a limit is a whole number",
        ),
        (
            ["set", "--org", "nobody", "services", "1"],
            "there is no organisation nobody",
        ),
    ] {
        let (done, said) = admin(&stack, &args).await;
        assert!(!done && said.contains(why), "{args:?}: {said}");
    }
    let mut command = Command::new(heddled());
    command.args(["migrate", "--quotas", "services=1 bananas=2"]);
    command.env("DATABASE_URL", stack.postgres.server_url());
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("bananas"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_used_is_counted_by_the_day_also_over_a_stop() {
    let mut stack = with("proxies=1").await;
    let api = stack.server.org("acme").await;
    let rival = stack.server.org("rival").await;
    let _ = api.put("/meshes/prod", json!({})).await.expect(201);
    let _ = api
        .put("/meshes/prod/services/payments", service())
        .await
        .expect(201);
    let today = async |api: &Api| {
        let usage = api.get("/usage?days=1").await.expect(200).json;
        let days = usage["days"].as_array().unwrap().clone();
        assert_eq!(days.len(), 1);
        days[0].clone()
    };
    let spec = WorkloadSpec {
        mesh: "prod",
        service: "payments",
        version: "v1",
        proxy: "one",
        envoy: EnvoyVersion::Newest,
    };
    let workload = Workload::start(&stack, &api, &spec).await;
    workload.ready(&api, "prod").await;
    until(
        "the proxy is counted",
        Duration::from_secs(30),
        async || {
            let day = today(&api).await;
            let counted = |what: &str| day[what].as_u64().unwrap();
            counted("pushes") > 0 && counted("proxy_seconds") > 1 && counted("certificates") == 1
        },
    )
    .await;
    assert_eq!(quota(&api, "proxies").await["used"], 1);
    let before = today(&api).await["requests"].as_u64().unwrap();
    for _ in 0..20 {
        let _ = api.get("/meshes").await.expect(200);
    }
    // What was not written yet is written at the end.
    stack.server.stop().await;
    stack.server.start_again().await;
    assert!(today(&api).await["requests"].as_u64().unwrap() >= before + 20);
    let nothing = json!({
        "day": today(&rival).await["day"], "requests": 0, "pushes": 0, "certificates": 0,
        "requested_certificates": 0, "proxy_seconds": 0,
    });
    let mut theirs = today(&rival).await;
    theirs["requests"] = json!(0);
    assert_eq!(theirs, nothing);
    drop(workload);

    let mut command = Command::new(heddle());
    command.args(["usage", "--days", "2"]);
    command.env("HEDDLE_CONFIG_DIR", stack.directory.path().join("config"));
    command.env("HEDDLE_SERVER", stack.server.url());
    command
        .env("HEDDLE_ORG", "acme")
        .env("HEDDLE_TOKEN", &api.token);
    let output = command.output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("QUOTA"), "{said}");
    assert!(
        said.contains("\nproxies                1      1\n"),
        "{said}"
    );
    assert_eq!(
        said.lines().filter(|line| line.starts_with("20")).count(),
        2
    );
    let _ = api.get("/usage?days=0").await.expect(400);
    let _ = api
        .raw(Method::GET, "/v1/orgs/rival/usage", &[], Vec::new())
        .await
        .expect(404);
}
