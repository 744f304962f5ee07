//! `describe`: one page, or one document, with everything that concerns an object.

use heddle_tests::{EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec};
use serde_json::{Value, json};

use super::{run, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_comes_with_everything_that_concerns_it() {
    let stack = Stack::start(ServerOptions::default()).await;
    let spec = json!({"access_default": "deny", "defaults": {"timeout": "5s"}});
    let api = stack
        .mesh("acme", "shop", spec, &["payments", "checkout", "ledger"])
        .await;
    let services = "/meshes/shop/services";
    for (path, body) in [
        (
            "payments/routes/all",
            json!({"priority": 100, "backends": [{"version": "v1"}]}),
        ),
        (
            "payments/routes/all/split",
            json!({"weights": [{"version": "v1", "weight": 9}, {"version": "v2", "weight": 1}]}),
        ),
        (
            "payments/access-rules/may",
            json!({"action": "allow", "from": [{"service": "checkout"}], "reason": "PAY-1"}),
        ),
        (
            "ledger/access-rules/no",
            json!({"action": "deny", "from": [{"service": "payments"}]}),
        ),
        (
            "checkout/access-rules/other",
            json!({"action": "allow", "from": [{"service": "ledger"}]}),
        ),
    ] {
        let _ = api
            .put(&format!("{services}/{path}"), body)
            .await
            .expect(201);
    }
    let retries = json!({"defaults": {"retries": {"attempts": 4}}});
    let _ = api
        .patch(&format!("{services}/payments"), retries)
        .await
        .expect(200);
    let mtls = json!({"mtls": "permissive"});
    let _ = api
        .patch(&format!("{services}/payments"), mtls)
        .await
        .expect(200);
    let spec = WorkloadSpec::of_shop("payments", "payments-1", EnvoyVersion::Newest);
    let workload = Workload::start(&stack, &api, &spec).await;
    workload.ready(&api, "shop").await;
    let url = stack.server.url();
    let folder = tempfile::tempdir().unwrap();
    let heddle = async |script: &str, token: &str| {
        let script = format!("export HEDDLE_SERVER={url} HEDDLE_MESH=shop\n{script}");
        let output = run(&script, folder.path(), &url, token).await;
        let code = output.status.code().unwrap();
        (code, text(&output.stdout), text(&output.stderr))
    };
    let (code, shown, said) = heddle("heddle describe service payments -o json", &api.token).await;
    assert_eq!(code, 0, "{said}");
    let document: Value = serde_json::from_str(&shown).unwrap();
    let object = api.get(&format!("{services}/payments")).await.expect(200);
    assert_eq!(document["object"], object.json);
    let effective = api
        .get(&format!("{services}/payments/effective"))
        .await
        .expect(200);
    assert_eq!(document["effective"], effective.json["items"]);
    assert_eq!(document["mtls"], effective.json["mtls"]);
    assert_eq!(document["routes"][0]["split"]["weights"][1]["weight"], 1);
    assert_eq!(document["access"]["default"], "deny");
    assert_eq!(document["access"]["rules"][0]["name"], "may");
    assert_eq!(document["access"]["as_caller"].as_array().unwrap().len(), 1);
    assert_eq!(document["access"]["as_caller"][0]["name"], "no");
    assert_eq!(document["proxies"][0]["state"], "ready");
    assert!(document["findings"].is_array());
    let (code, yaml, _) = heddle("heddle describe service payments -o yaml", &api.token).await;
    assert!(code == 0 && yaml.contains("as_caller:"), "{yaml}");

    let (code, page, _) = heddle("heddle describe service payments", &api.token).await;
    assert_eq!(code, 0);
    let squeezed: Vec<String> = page
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "service payments of mesh shop",
        "ports http:8080",
        "retries.attempts 4 service payments",
        "timeout 5s mesh shop",
        "http permissive service",
        "100 all every request v1=9,v2=1",
        "allow may checkout every request PAY-1",
        "deny (default) everybody else every request -",
        "deny ledger no -",
        "Findings",
    ] {
        assert!(squeezed.iter().any(|one| one == line), "{line}\n{page}");
    }
    assert!(
        squeezed
            .iter()
            .any(|line| line.starts_with("payments-1 payments v1 ready")),
        "{page}"
    );
    // Nobody says anything about this one, so neither does the page. `off` is a word and not a flag.
    let (_, plain, _) = heddle("heddle describe service ledger", &api.token).await;
    assert!(!plain.contains("Mutual TLS"), "{plain}");
    let new = "heddle apply -f - <<'END'\n{kind: service, name: open, mtls: off, ports: [{name: http, port: 1, protocol: http}]}\nEND\n";
    let script = format!("{new}heddle describe service open; heddle get service open -o yaml");
    let (code, shown, said) = heddle(&script, &api.token).await;
    assert!(code == 0 && shown.contains("mtls: off"), "{shown} {said}");
    let line = shown.lines().find(|line| line.trim().starts_with("http "));
    let line = line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(line.as_deref(), Some("http off service"), "{shown}");
    let (_, wide, _) = heddle("heddle describe service payments -o wide", &api.token).await;
    assert!(wide.lines().count() > page.lines().count() + 3, "{wide}");
    for (script, says) in [
        (
            "heddle describe route payments/all",
            "route payments/all of mesh shop",
        ),
        ("heddle describe split payments/all", "v1=9,v2=1"),
        ("heddle describe rule payments/may", "PAY-1"),
        ("heddle describe mesh shop", "checkout"),
        ("heddle describe proxy payments-1", "ready"),
        ("heddle describe revision 1", "added=1"),
        ("heddle describe join-token payments-1", "payments"),
    ] {
        let (code, shown, said) = heddle(script, &api.token).await;
        assert!(code == 0 && shown.contains(says), "{script}: {shown}{said}");
    }
    assert_eq!(
        heddle("heddle describe service none", &api.token).await.0,
        3
    );
    assert_eq!(heddle("heddle describe route none", &api.token).await.0, 2);
    assert_eq!(heddle("heddle describe service payments", "").await.0, 4);

    // Whoever may not see proxies sees the rest.
    let body = json!({"name": "reader"});
    let _ = api.post("/service-accounts", body).await.expect(201);
    let role = json!({"role": "viewer", "service_account": "reader"});
    let _ = api.post("/role-bindings", role).await.expect(201);
    let body = json!({"name": "narrow", "service_account": "reader", "scopes": ["config:read", "meshes:read"]});
    let narrow = api.post("/tokens", body).await.expect(201);
    let secret = narrow.json["secret"].as_str().unwrap();
    let (code, shown, said) = heddle("heddle describe service payments -o json", secret).await;
    assert!(code == 0 && said.contains("proxies:read"), "{said}");
    let document: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(document["proxies"], Value::Null);
}
