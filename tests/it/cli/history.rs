//! Revisions: read, compared, and gone back to, with a wait for the proxies.

use heddle_tests::{ServerOptions, Stack, XdsClient, node, until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::{run, text};

/// Runs a script and says how it ended: code, standard output, standard error.
struct Shell<'a> {
    stack: &'a Stack,
    folder: &'a std::path::Path,
    token: &'a str,
}

impl Shell<'_> {
    async fn run(&self, script: &str) -> (i32, String, String) {
        let url = self.stack.server.url();
        let script = format!("export HEDDLE_SERVER={url} HEDDLE_MESH=shop\n{script}");
        let output = run(&script, self.folder, &url, self.token).await;
        let code = output.status.code().unwrap();
        (code, text(&output.stdout), text(&output.stderr))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_read_compared_and_gone_back_to() {
    let stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", open, &["payments"]).await;
    let route = json!({"priority": 100, "backends": [{"version": "v1"}]});
    let _ = api
        .put("/meshes/shop/services/payments/routes/all", route)
        .await
        .expect(201);
    let weights = |v1: u32| json!({"weights": [{"version": "v1", "weight": v1}, {"version": "v2", "weight": 100 - v1}]});
    let split = "/meshes/shop/services/payments/routes/all/split";
    let _ = api.put(split, weights(90)).await.expect(201);
    let _ = api.put(split, weights(50)).await.expect(200);
    let folder = tempfile::tempdir().unwrap();
    let shell = Shell {
        stack: &stack,
        folder: folder.path(),
        token: &api.token,
    };

    // Revision 5 changed the split, line by line.
    let (code, shown, said) = shell.run("heddle revisions diff").await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        shown,
        "~ split payments/all\n    weights:\n  - - weight: 90\n  + - weight: 50\n      version: v1\n  \
         - - weight: 10\n  + - weight: 50\n      version: v2\n"
    );
    assert!(said.contains("Revision 5 against 4: 1 changed."), "{said}");
    let (code, shown, _) = shell
        .run("heddle revisions diff 5 --from 3 --exit-code -o json")
        .await;
    assert_eq!(code, 8);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let same = api
        .get("/meshes/shop/revisions/5/diff?from=3")
        .await
        .expect(200);
    assert_eq!(
        (&shown["from"], &shown["items"]),
        (&json!(3), &same.json["items"])
    );
    let (code, shown, _) = shell
        .run("heddle revisions diff 5 --from 5 --exit-code")
        .await;
    assert_eq!((code, shown.as_str()), (0, ""));
    let (code, shown, _) = shell.run("heddle revisions show 5").await;
    assert!(
        code == 0
            && shown.contains("changed  split payments/all")
            && shown.contains("Rollout:   live"),
        "{shown}"
    );
    let (code, shown, _) = shell.run("heddle revisions list --limit 2 -o name").await;
    assert_eq!((code, shown.as_str()), (0, "revision/5\nrevision/4\n"));
    let (code, _, said) = shell.run("heddle revisions show 99").await;
    assert_eq!(code, 3, "{said}");

    // Without a terminal nobody is asked, and nothing is done.
    let (code, shown, said) = shell.run("heddle revisions rollback 4").await;
    assert!(
        code == 2 && shown.is_empty() && said.contains("--yes"),
        "{said}"
    );
    let (code, shown, said) = shell.run("heddle revisions rollback 4 --dry-run").await;
    assert_eq!(code, 0, "{said}");
    assert!(
        shown.contains("- - weight: 50\n  + - weight: 90") && said.contains("Nothing was kept."),
        "{shown}{said}"
    );
    let newest = api.get("/meshes/shop/revisions?limit=1").await.expect(200);
    assert_eq!(newest.json["items"][0]["revision"], 5);

    // What was changed again since cannot be taken back alone: each place is named, and nothing is kept.
    let (code, shown, said) = shell.run("heddle revisions revert 4 --yes").await;
    assert!(
        code == 5 && shown.is_empty() && said.contains("HED-2018"),
        "{code} {said}"
    );
    let (code, shown, said) = shell
        .run("heddle revisions rollback 4 --yes --wait --message 'Too fast'")
        .await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        shown,
        "REVISION   BACK TO   ADDED   CHANGED   REMOVED\n6          4         0       1         0\n"
    );
    assert!(
        said.contains("Revision 6: live, and there are no proxies."),
        "{said}"
    );
    let made = api.get("/meshes/shop/revisions/6").await.expect(200);
    assert_eq!(
        (&made.json["rolled_back_to"], &made.json["message"]),
        (&json!(4), &json!("Too fast"))
    );
    let (code, _, said) = shell.run("heddle revisions rollback 4 --yes").await;
    assert!(code == 0 && said.contains("nothing to do"), "{said}");

    let (code, _, said) = shell.run("heddle revisions revert 6 --yes -o json").await;
    assert_eq!(code, 0, "{said}");
    let back = api.get(split).await.expect(200);
    assert_eq!(back.json["weights"], weights(50)["weights"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_when_proxies_have_it_and_says_who_does_not() {
    let stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", open, &["payments"]).await;
    let token = json!({"name": "silent", "service": "payments", "reusable": true});
    let token = api.post("/meshes/shop/join-tokens", token).await;
    let secret = token.expect(201).json["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    // One that never acknowledges anything.
    let silent = XdsClient::connect(&stack.server, &secret, node("silent", "payments")).await;
    let silent = silent.unwrap();
    until("it is there", Duration::from_secs(10), async || {
        let seen = api.get("/meshes/shop/proxies/silent").await;
        seen.status == 200 && seen.json["state"] != "offline"
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let shell = Shell {
        stack: &stack,
        folder: folder.path(),
        token: &api.token,
    };
    let service = "heddle apply --wait=2s -f - <<'END'\nkind: service\nname: payments\n\
                   ports: [{name: http, port: 8081, protocol: http}]\nEND";
    let started = Instant::now();
    let (code, shown, said) = shell.run(service).await;
    assert_eq!(code, 7, "{said}");
    assert!(shown.contains("replaced   service   payments"), "{shown}");
    assert!(
        said.contains("Revision 3: under way; of 1 proxies 1 on the way.")
            && said.contains("revision 3 is not live in time: silent ("),
        "{said}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    let (code, _, said) = shell
        .run("heddle revisions rollback 2 --yes --wait=1s")
        .await;
    assert_eq!(code, 7, "{said}");
    drop(silent);
    // Whoever is gone is not waited for.
    let (code, _, said) = shell
        .run("heddle revisions rollback 3 --yes --wait=30s")
        .await;
    assert!(code == 0 && said.contains(": live"), "{said}");
}
