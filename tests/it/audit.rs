//! The audit log over REST: who did what, taken away whole, and looked through.

use heddle_tests::{Api, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What happened: action, kind, name and outcome.
async fn seen(api: &Api, query: &str) -> Vec<String> {
    let reply = api.get(&format!("/audit-log{query}")).await.expect(200);
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or("-").to_owned();
    let rows = reply.json["items"].as_array().unwrap().iter();
    rows.map(|row| {
        ["action", "kind", "name", "outcome"]
            .map(|f| text(row, f))
            .join(" ")
    })
    .collect()
}

/// Follows every chain of an export by nothing but its lines.
fn follow(export: &str) -> (Vec<Value>, Vec<Value>) {
    let mut lines = export.lines();
    let first: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let heads = first["heads"].as_array().unwrap().clone();
    let mut ends = std::collections::BTreeMap::new();
    let mut records = Vec::new();
    for line in lines {
        let whole: Value = serde_json::from_str(line).unwrap();
        let text = line
            .split_once("\"record\":")
            .unwrap()
            .1
            .strip_suffix('}')
            .unwrap();
        let record: Value = serde_json::from_str(text).unwrap();
        let chain = record["chain"].as_str().unwrap().to_owned();
        let (seq, hash) = ends.entry(chain).or_insert((0, "0".repeat(64)));
        *seq += 1;
        assert_eq!(record["seq"], *seq);
        assert_eq!(whole["previous_hash"], *hash);
        let mut digest = Sha256::new();
        digest.update(hex::decode(&*hash).unwrap());
        digest.update(text.as_bytes());
        *hash = hex::encode(digest.finalize());
        assert_eq!(whole["hash"], *hash);
        records.push(record);
    }
    for head in &heads {
        let end = &ends[head["chain"].as_str().unwrap()];
        assert_eq!(
            (head["seq"].as_i64(), head["hash"].as_str()),
            (Some(end.0), Some(end.1.as_str()))
        );
    }
    (heads, records)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_who_did_what_and_shows_what_was_done_to_it() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    let service = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let headers = [
        ("heddle-message", "Zahlungen, endlich"),
        ("user-agent", "terraform/1.9"),
    ];
    let path = "/meshes/shop/services/payments";
    let made = api
        .with(Method::PUT, path, &headers, Some(service.clone()))
        .await
        .expect(201);
    let _ = api
        .put(
            "/meshes/shop/services/payments?dry_run=true",
            json!({"ports": service["ports"], "display_name": "x"}),
        )
        .await
        .expect(200);
    let _ = api.delete(path).await.expect(204);
    let member = api
        .post("/members", json!({"email": "ada@example.com"}))
        .await
        .expect(201);
    let sign_in = async |password: &str| {
        let body = json!({"org": "acme", "email": "ada@example.com", "password": password});
        let headers = [
            ("content-type", "application/json"),
            ("user-agent", "curl/8"),
        ];
        api.raw(
            Method::POST,
            "/v1/sessions",
            &headers,
            body.to_string().into_bytes(),
        )
        .await
    };
    let _ = sign_in("a wrong one, surely").await.expect(401);
    let _ = sign_in(member.json["initial_password"].as_str().unwrap())
        .await
        .expect(201);

    assert_eq!(
        seen(&api, "?limit=4").await,
        [
            "sign_in session ada@example.com done",
            "sign_in member ada@example.com refused",
            "create member ada@example.com done",
            "delete service payments done",
        ]
    );
    assert_eq!(
        seen(&api, "?outcome=refused").await,
        ["sign_in member ada@example.com refused"]
    );
    let uid = made.json["meta"]["uid"].as_str().unwrap();
    let of_it = [
        "delete service payments done",
        "create service payments done",
    ];
    assert_eq!(seen(&api, &format!("?uid={uid}")).await, of_it);
    assert_eq!(seen(&api, "?mesh=shop&kind=service").await, of_it);
    assert_eq!(
        seen(
            &api,
            "?action=create&kind=service&since=2000-01-01T00%3A00%3A00Z"
        )
        .await,
        of_it[1..]
    );
    assert_eq!(
        seen(&api, "?until=2000-01-01T00%3A00%3A00Z").await,
        [] as [&str; 0]
    );
    let created = api
        .get("/audit-log?action=create&kind=service")
        .await
        .expect(200);
    let row = &created.json["items"][0];
    assert_eq!(row["message"], "Zahlungen, endlich");
    assert_eq!(row["client"], "terraform/1.9");
    assert_eq!(row["ip"], "127.0.0.1");
    assert_eq!(row["revision"], 2);
    assert_eq!(row["after"], service);
    assert!(
        row["actor"]
            .as_str()
            .unwrap()
            .starts_with(row["token"].as_str().unwrap())
    );
    let refused = api.get("/audit-log?outcome=refused").await.expect(200);
    assert_eq!(refused.json["items"][0]["ip"], "127.0.0.1");
    // Pages add up to the whole.
    let all = seen(&api, "?limit=500").await;
    let mut paged = Vec::new();
    let mut next = String::from("?limit=2");
    loop {
        let page = api.get(&format!("/audit-log{next}")).await.expect(200);
        paged.push(page.json["items"].as_array().unwrap().len());
        let Some(cursor) = page.json["next_cursor"].as_str() else {
            break;
        };
        next = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(paged.iter().sum::<usize>(), all.len());

    let export = api.get("/audit-log/export").await.expect(200);
    assert_eq!(export.content_type, "application/x-ndjson");
    let (heads, records) = follow(&export.text);
    assert_eq!((heads.len(), records.len()), (2, all.len()));
    assert!(
        !export
            .text
            .contains(member.json["initial_password"].as_str().unwrap())
    );
    assert!(!export.text.contains(&api.token) && !export.text.contains("a wrong one"));

    // The auditor of one mesh sees and takes that one.
    let _ = api
        .post("/service-accounts", json!({"name": "audits"}))
        .await
        .expect(201);
    let _ = api
        .post(
            "/role-bindings",
            json!({"role": "auditor", "service_account": "audits", "mesh": "shop"}),
        )
        .await
        .expect(201);
    let token = api
        .post(
            "/tokens",
            json!({"name": "audits", "service_account": "audits"}),
        )
        .await
        .expect(201);
    let auditor = api.with_token(token.json["secret"].as_str().unwrap());
    assert!(
        seen(&auditor, "?limit=500")
            .await
            .iter()
            .all(|row| !row.contains("sign_in"))
    );
    let (own, _) = follow(&auditor.get("/audit-log/export").await.expect(200).text);
    assert_eq!(own.len(), 1);
    let viewer = stack.server.token("acme", "viewer").await;
    let _ = viewer.get("/audit-log").await.expect(403);
    let _ = viewer.get("/audit-log/export").await.expect(403);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &export.text).unwrap();
    let noted = file.path().to_str().unwrap();
    let verify = [
        "audit", "verify", "--org", "acme", "--noted", noted, "--json",
    ];
    let holds = stack.server.admin(&verify).await;
    assert_eq!(
        (&holds["broken"], &holds["unchained"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(holds["certificates"]["broken"], json!([]));
    let mut database = stack.postgres.inspect().await;
    for sql in [
        "set session_replication_role = replica",
        "update heddle.changes set actor = 'nobody' where action = 'create' and kind = 'service'",
    ] {
        sqlx::query(sql).execute(&mut database).await.unwrap();
    }
    let output = stack.server.admin_output(&verify).await;
    assert!(!output.status.success());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        found["broken"][0]["why"],
        json!({"fault": "altered", "seq": 2})
    );
}
