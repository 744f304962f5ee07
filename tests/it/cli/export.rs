//! `export`: what was declared, so that it declares the same again somewhere else.

use heddle_tests::{ServerOptions, Stack};
use serde_json::json;

use super::{run, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_makes_the_same_again_in_another_organisation() {
    let stack = Stack::start(ServerOptions::default()).await;
    let spec = json!({"labels": {"tier": "1"}, "defaults": {"timeout": "5s"}, "deletion_protection": false});
    let api = stack
        .mesh("acme", "shop", spec, &["payments", "checkout"])
        .await;
    let first = api.get("/meshes/shop").await.json["status"]["revision"].to_string();
    let services = "/meshes/shop/services";
    let profile = json!({"settings": {"timeout": "3s"}});
    let _ = api
        .put("/meshes/shop/profiles/backend", profile)
        .await
        .expect(201);
    for (path, body) in [
        (
            "payments/routes/all",
            json!({"priority": 100, "backends": [{"version": "v1"}],
                   "match": [{"path": {"prefix": "/v1"}, "headers": [{"name": "x", "exact": "${a} \"b\""}]}]}),
        ),
        (
            "payments/routes/all/split",
            json!({"weights": [{"version": "v1", "weight": 9}, {"version": "v2", "weight": 1}]}),
        ),
        (
            "payments/access-rules/may",
            json!({"action": "allow", "from": [{"service": "checkout"}], "reason": "PAY-1"}),
        ),
    ] {
        let _ = api
            .put(&format!("{services}/{path}"), body)
            .await
            .expect(201);
    }
    let refer = json!({"profile": "backend", "labels": {"team": "pay"}});
    let _ = api
        .patch(&format!("{services}/payments"), refer)
        .await
        .expect(200);
    let other = json!({"display_name": "Empty"});
    let _ = api.put("/meshes/empty", other).await.expect(201);

    let globex = stack.server.org("globex").await;
    let url = stack.server.url();
    let folder = tempfile::tempdir().unwrap();
    let heddle = async |script: &str, token: &str| {
        // An empty variable is none.
        let script =
            format!("export HEDDLE_SERVER={url} HEDDLE_ORG= HEDDLE_MESH=\nset -e\n{script}");
        let output = run(&script, folder.path(), &url, token).await;
        let said = text(&output.stderr);
        (output.status.code().unwrap(), text(&output.stdout), said)
    };
    let (code, nothing, said) = heddle("heddle export", &globex.token).await;
    assert_eq!((code, nothing.as_str()), (0, ""));
    assert!(said.contains("There are no meshes."), "{said}");

    let (code, all, said) = heddle("heddle export | tee all.yaml", &api.token).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Mesh shop: revision"), "{said}");
    let kinds: Vec<&str> = all
        .lines()
        .filter_map(|line| line.strip_prefix("kind: "))
        .collect();
    assert_eq!(
        kinds,
        [
            "mesh",
            "mesh",
            "profile",
            "service",
            "service",
            "route",
            "split",
            "access_rule"
        ]
    );
    for told in ["meta:", "status:", "uid:"] {
        assert!(!all.contains(told), "{all}");
    }
    // It says what is there already.
    let (code, differs, said) = heddle("heddle diff -f all.yaml", &api.token).await;
    assert_eq!((code, differs.as_str()), (0, ""), "{said}");
    // And makes it where nothing was.
    let (code, _, said) = heddle("heddle apply -f all.yaml", &globex.token).await;
    assert_eq!(code, 0, "{said}");
    let (_, again, _) = heddle("heddle export", &globex.token).await;
    assert_eq!(all, again);

    // One mesh, as it was.
    let script = format!("heddle export shop --revision {first} | grep -c ^kind:");
    let (_, few, _) = heddle(&script, &api.token).await;
    assert_eq!(few, "3\n");
    let (code, _, said) = heddle("heddle export --revision 1", &api.token).await;
    assert!(code == 2 && said.contains("name that"), "{said}");
    let (code, _, said) = heddle("heddle export nowhere", &api.token).await;
    assert!(code == 3 && said.contains("HED-2003"), "{said}");
    // What Terraform does with it is shown by the tests of its provider.
    let (code, hcl, said) = heddle("heddle export shop -o hcl", &api.token).await;
    assert_eq!(code, 0, "{said}");
    for line in [
        "  id = \"acme/shop/payments/all\"",
        "resource \"heddle_split\" \"shop_payments_all\" {",
        "  from    = [{ service = heddle_service.shop_checkout.name }]",
        "  profile = heddle_profile.shop_backend.name",
    ] {
        assert!(hcl.contains(line), "{line} is not in\n{hcl}");
    }
    assert!(hcl.contains(r#"exact = "$${a} \"b\"""#), "{hcl}");
}
