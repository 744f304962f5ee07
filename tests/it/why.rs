//! Why a call was denied, on real Envoys: what an Envoy wrote about a 403 leads to the rule, its author and its revision, also
//! after the rule was changed or deleted, and in no mesh but its own.

use std::time::Duration;

use heddle_tests::{Api, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, until_some};
use serde_json::{Value, json};

const CHECKS: &str = "/meshes/shop/access/checks";
const RULES: &str = "/meshes/shop/services/payments/access-rules";
const SOON: Duration = Duration::from_secs(20);

/// Calls until the called service's Envoy has written a line about a call of this path that ended so; the line as it wrote it.
async fn line(
    from: &Workload,
    to: &Workload,
    path: &str,
    wanted: &dyn Fn(&Value) -> bool,
) -> String {
    until_some(&format!("a line about {path}"), SOON, async || {
        let _ = from.call("payments", path).await;
        let output = to.envoy.output();
        let ours = |line: &&str| {
            serde_json::from_str::<Value>(line).is_ok_and(|line| {
                line["direction"] == "inbound" && line["path"] == path && wanted(&line)
            })
        };
        output.lines().find(ours).map(ToOwned::to_owned)
    })
    .await
}

fn refused(line: &Value) -> bool {
    line["response_code"] == 403
}

async fn ask(api: &Api, question: Value) -> Value {
    api.post(CHECKS, question).await.expect(200).json
}

async fn read(api: &Api, log: &str) -> Value {
    ask(api, json!({"log": log})).await
}

/// What the history says of a revision is what the answer says of it.
async fn assert_written(api: &Api, told: &Value, revision: &Value) {
    assert_eq!(told["revision"], *revision, "{told}");
    let path = format!("/meshes/shop/revisions/{revision}");
    let made = api.get(&path).await.expect(200).json;
    assert_eq!(told["author"]["actor"], made["author"]["actor"]);
    assert_eq!(told["author"]["token"], made["author"]["token"]);
    assert_eq!(told["at"], made["created_at"]);
}

async fn why(envoy: EnvoyVersion) {
    let stack = Stack::start(ServerOptions::default()).await;
    let services = ["frontend", "payments"];
    let api = stack.mesh("acme", "shop", json!({}), &services).await;
    let rival = stack.mesh("rival", "shop", json!({}), &services).await;
    let start = async |service, proxy| {
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        Workload::start(&stack, &api, &spec).await
    };
    let frontend = start("frontend", "frontend-1").await;
    let payments = start("payments", "payments-1").await;
    for workload in [&frontend, &payments] {
        workload.ready(&api, "shop").await;
    }

    // Nobody said anything.
    let nobody = line(&frontend, &payments, "/nobody", &refused).await;
    let told = read(&api, &nobody).await;
    assert_eq!(
        (&told["allowed"], &told["because"]),
        (&json!(false), &json!("default"))
    );
    assert_eq!(told["rule"], Value::Null);

    let put = async |name: &str, spec: Value| {
        let reply = api.put(&format!("{RULES}/{name}"), spec).await;
        assert!(reply.status < 300, "{}", reply.text);
        reply.json["meta"]["revision"].clone()
    };
    let all = json!({"action": "allow", "from": [{"service": "frontend"}]});
    let _ = put("all", all).await;
    let later =
        json!({"action": "deny", "report_only": true, "to": [{"paths": [{"prefix": "/later"}]}]});
    let _ = put("later", later).await;
    let deny = json!({"action": "deny", "to": [{"paths": [{"exact": "/admin"}]}]});
    let written = put("no-admin", deny.clone()).await;

    // The line of a 403, and its details alone, lead to the rule.
    let denied = line(&frontend, &payments, "/admin", &|line| {
        let details = line["response_code_details"].as_str().unwrap_or_default();
        refused(line) && details.contains("matched_policy[ar_")
    })
    .await;
    let details: Value = serde_json::from_str(&denied).unwrap();
    let details = details["response_code_details"]
        .as_str()
        .unwrap()
        .to_owned();
    for log in [&denied, &details] {
        let told = read(&api, log).await;
        assert_eq!(
            (&told["allowed"], &told["because"]),
            (&json!(false), &json!("rule"))
        );
        let rule = &told["rule"];
        assert_eq!(rule["path"], "services/payments/access-rules/no-admin");
        assert_eq!((&rule["spec"], &rule["state"]), (&deny, &json!("current")));
        assert_eq!(
            (&rule["action"], &rule["changed"]),
            (&json!("deny"), &Value::Null)
        );
        assert_written(&api, &rule["written"], &written).await;
    }
    // One that only reports is told, and that it stopped nothing.
    let reported = line(&frontend, &payments, "/later", &|line| {
        line["response_code"] == 200 && line["would_deny"].is_string()
    })
    .await;
    let told = read(&api, &reported).await;
    assert_eq!(
        (&told["allowed"], &told["because"]),
        (&json!(true), &json!("passed"))
    );
    assert_eq!(told["would_deny"]["name"], "later");
    assert_eq!(told["would_deny"]["report_only"], true);

    // What is thought of is decided as these Envoys did.
    for (path, allowed, decides, would_deny) in [
        ("/admin", false, "no-admin", Value::Null),
        ("/x/../ADMIN/", false, "no-admin", Value::Null),
        ("/later", true, "all", json!("later")),
    ] {
        let from = json!({"service": "frontend"});
        let told = ask(
            &api,
            json!({"call": {"from": from, "service": "payments", "path": path}}),
        )
        .await;
        assert_eq!(told["allowed"], allowed, "{path}: {told}");
        assert_eq!(told["rule"]["name"], decides, "{path}: {told}");
        assert_eq!(told["would_deny"]["name"], would_deny, "{path}: {told}");
    }
    let stranger =
        json!({"call": {"from": {"spiffe": "spiffe://other.example/app"}, "service": "payments"}});
    let told = ask(&api, stranger).await;
    assert_eq!(
        (&told["allowed"], &told["because"]),
        (&json!(false), &json!("default"))
    );

    rules_that_changed(&api, &denied, &details, (&deny, &written)).await;
    nobody_elses_rules(&api, &rival, &denied).await;
}

/// The line is about the rule as it was; the details, which say no time, about what it was last.
async fn rules_that_changed(
    api: &Api,
    denied: &str,
    details: &str,
    (deny, written): (&Value, &Value),
) {
    let rule = format!("{RULES}/no-admin");
    let closed = json!({"action": "deny", "to": [{"paths": [{"exact": "/closed"}]}]});
    let changed = api.put(&rule, closed.clone()).await.expect(200).json["meta"]["revision"].clone();
    let told = read(api, denied).await;
    assert_eq!(
        (&told["rule"]["spec"], &told["rule"]["state"]),
        (deny, &json!("changed"))
    );
    assert_written(api, &told["rule"]["written"], written).await;
    assert_written(api, &told["rule"]["changed"], &changed).await;
    let told = read(api, details).await;
    assert_eq!(
        (&told["rule"]["spec"], &told["rule"]["state"]),
        (&closed, &json!("current"))
    );

    let _ = api.delete(&rule).await.expect(204);
    let revision = api
        .get("/meshes/shop/revisions?limit=1")
        .await
        .expect(200)
        .json["items"][0]["revision"]
        .clone();
    for (log, spec, by) in [(denied, deny, written), (details, &closed, &changed)] {
        let told = read(api, log).await;
        assert_eq!(
            (&told["rule"]["spec"], &told["rule"]["state"]),
            (spec, &json!("deleted"))
        );
        assert_eq!(told["rule"]["name"], "no-admin");
        assert_written(api, &told["rule"]["written"], by).await;
        assert_written(api, &told["rule"]["changed"], &revision).await;
    }
    // Nothing of all this was a change.
    assert_eq!(read(api, denied).await["revision"], revision);
}

/// Another organisation's mesh of the same name, and another mesh of the same organisation, never had the rule.
async fn nobody_elses_rules(api: &Api, rival: &Api, denied: &str) {
    let body = json!({"log": denied});
    let unknown = vec![(String::from("/log"), String::from("HED-1010"))];
    let reply = rival.post(CHECKS, body.clone()).await.expect(422);
    assert_eq!(reply.violations(), unknown);
    assert!(!reply.text.contains("no-admin"), "{}", reply.text);
    let _ = rival
        .at_org("acme")
        .post(CHECKS, body.clone())
        .await
        .expect(404);
    let _ = api.put("/meshes/other", json!({})).await.expect(201);
    let reply = api
        .post("/meshes/other/access/checks", body)
        .await
        .expect(422);
    assert_eq!(reply.violations(), unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_403_leads_to_its_rule_on_the_newest_envoy() {
    why(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_403_leads_to_its_rule_on_the_oldest_envoy() {
    why(EnvoyVersion::Oldest).await;
}
