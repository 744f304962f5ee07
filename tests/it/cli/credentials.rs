//! API tokens and join tokens: shown once, by themselves where a script wants them, and ended at once.

use heddle_tests::{ServerOptions, Stack};
use serde_json::{Value, json};

use super::{run, signed_in_as, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_shown_once_and_end_at_once() {
    let stack = Stack::start(ServerOptions::default()).await;
    let ada = signed_in_as(&stack, "owner").await;
    let _ = ada.put("/meshes/prod", json!({})).await.expect(201);
    let ports = json!({"ports": [{"name": "http", "port": 80, "protocol": "http"}]});
    let _ = ada
        .put("/meshes/prod/services/payments", ports)
        .await
        .expect(201);
    let url = stack.server.url();
    let folder = tempfile::tempdir().unwrap();
    let heddle = async |script: &str, token: &str| {
        let script = format!("export HEDDLE_SERVER={url} HEDDLE_MESH=prod\n{script}");
        let output = run(&script, folder.path(), &url, token).await;
        let code = output.status.code().unwrap();
        (code, text(&output.stdout), text(&output.stderr))
    };
    let make =
        "heddle token create reader --scope config:read --scope meshes:read --expires 30d --quiet";
    let (code, secret, said) = heddle(make, &ada.token).await;
    assert_eq!((code, said.as_str()), (0, ""), "{said}");
    let secret = secret.trim_end();
    assert!(secret.starts_with("heddle_pat_") && !secret.contains(char::is_whitespace));
    // It can do what it is for, and no more.
    let (code, shown, said) = heddle("heddle get services -o name", secret).await;
    assert_eq!((code, shown.as_str()), (0, "service/payments\n"), "{said}");
    let (code, _, said) = heddle("heddle delete service payments", secret).await;
    assert!(code == 4 && said.contains("config:write"), "{said}");
    let kept = ada.get("/tokens/reader").await.expect(200);
    let scopes = kept.json["scopes"].as_array().unwrap();
    assert!(
        scopes.len() == 2 && scopes.contains(&json!("config:read")),
        "{scopes:?}"
    );
    let days = "heddle token list -o json | grep -c '\"secret\"'; heddle token list";
    let (_, shown, _) = heddle(days, &ada.token).await;
    assert!(
        shown.starts_with("0\n") && shown.contains("reader") && !shown.contains(secret),
        "{shown}"
    );
    let (code, shown, _) = heddle(
        "heddle token rotate reader --overlap 0s -o json",
        &ada.token,
    )
    .await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let next = shown["secret"].as_str().unwrap();
    assert_eq!(code, 0);
    assert_eq!(heddle("heddle whoami", secret).await.0, 4);
    assert_eq!(heddle("heddle whoami", next).await.0, 0);
    let (code, _, said) = heddle("heddle token revoke reader", &ada.token).await;
    assert!(
        code == 0 && said.contains("token reader is revoked."),
        "{said}"
    );
    assert_eq!(heddle("heddle whoami", next).await.0, 4);

    let make = "heddle join-token create fleet --service payments --reusable --expires 2d";
    let (code, shown, said) = heddle(make, &ada.token).await;
    assert!(
        code == 0 && shown.contains("heddle_join_") && said.contains("not shown again"),
        "{shown}{said}"
    );
    let (_, shown, _) = heddle("heddle join-token list -o name", &ada.token).await;
    assert_eq!(shown, "join_token/fleet\n");
    assert_eq!(
        heddle("heddle join-token revoke fleet", &ada.token).await.0,
        0
    );
    let left = ada.get("/meshes/prod/join-tokens").await.expect(200);
    assert_eq!(left.json["items"], json!([]));

    let make = "heddle join-token create spot --service payments --ephemeral --network 10.0.0.0/8 --label zone=eu-1 --quiet";
    let (code, _, said) = heddle(make, &ada.token).await;
    assert_eq!(code, 0, "{said}");
    let spot = ada.get("/meshes/prod/join-tokens/spot").await.expect(200);
    assert_eq!(
        (
            &spot.json["ephemeral"],
            &spot.json["reusable"],
            &spot.json["networks"],
            &spot.json["labels"]
        ),
        (
            &json!(true),
            &json!(true),
            &json!(["10.0.0.0/8"]),
            &json!({"zone": "eu-1"})
        )
    );

    // Into a file that only its owner reads, without a line break, and over no other file.
    let make = "heddle join-token create kept --service payments --to kept.token && stat -c %a kept.token && wc -l <kept.token";
    let (code, shown, said) = heddle(make, &ada.token).await;
    assert_eq!((code, shown.as_str()), (0, "600\n0\n"), "{said}");
    let kept = std::fs::read_to_string(folder.path().join("kept.token")).unwrap();
    assert!(kept.starts_with("heddle_join_") && !said.contains(&kept));
    let again = "heddle join-token create again --service payments --to kept.token";
    assert_eq!(heddle(again, &ada.token).await.0, 5);
    assert_eq!(ada.get("/meshes/prod/join-tokens/again").await.status, 404);

    for (script, code, says) in [
        ("heddle token create a --expires soon", 2, "30d"),
        ("heddle token create a --expires 9999d", 6, "/expires_in"),
        ("heddle token create Reader", 6, "/name"),
        ("heddle token create a --scope config:fly", 6, "/scopes"),
        ("heddle token create a --quiet -o json", 2, "--output"),
        ("heddle token revoke none", 3, "HED-2003"),
        ("heddle join-token create a --service none", 6, "/service"),
        ("heddle join-token create a", 2, "--service"),
        (
            "heddle join-token create a --service payments --label x",
            2,
            "zone=eu-1",
        ),
        (
            "heddle join-token create a --service payments --network x",
            6,
            "/networks/0",
        ),
    ] {
        let (ended, shown, said) = heddle(script, &ada.token).await;
        assert_eq!(ended, code, "{script}: {said}");
        assert!(said.contains(says) && shown.is_empty(), "{script}: {said}");
    }
}
