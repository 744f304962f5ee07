//! Certificates that are asked for by the API: whose name is in them, who gets one, what they are good for, and what waits for them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heddle_tests::{
    Api, Authority, EnvoyVersion, Reply, ServerOptions, Stack, Workload, WorkloadSpec, until,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::identity::call;

const PAYMENTS: &str = "/meshes/shop/services/payments/certificates";
const SOON: Duration = Duration::from_secs(20);

/// What `openssl` says; it must be content.
fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A request in PEM, with a new key in `key.pem` of the folder. It wants to be somebody else, and more than a leaf.
fn greedy(folder: &Path, key: &[&str]) -> String {
    let mut arguments = vec!["req", "-new", "-nodes", "-keyout", "key.pem"];
    arguments.extend(["-subj", "/CN=admin.internal"]);
    let other = "subjectAltName=URI:spiffe://elsewhere.example/service/ledger,DNS:ledger.internal";
    arguments.extend(["-addext", other, "-addext", "basicConstraints=CA:TRUE"]);
    arguments.extend(key);
    openssl(folder, &arguments)
}

const P256: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn shop(options: ServerOptions) -> (Stack, Api) {
    let stack = Stack::start(options).await;
    let spec = json!({"access_default": "deny"});
    let services = ["payments", "ledger"];
    let api = stack.mesh("acme", "shop", spec, &services).await;
    (stack, api)
}

/// A service account with a role, and its token.
async fn account(api: &Api, name: &str, bindings: &[Value]) -> Api {
    let _ = api
        .post("/service-accounts", json!({"name": name}))
        .await
        .expect(201);
    for binding in bindings {
        let mut binding = binding.clone();
        binding["service_account"] = json!(name);
        let _ = api.post("/role-bindings", binding).await.expect(201);
    }
    let token = json!({"name": name, "service_account": name});
    let token = api.post("/tokens", token).await.expect(201);
    api.with_token(token.json["secret"].as_str().unwrap())
}

/// A time, in seconds since 1970.
async fn seconds(stack: &Stack, time: &Value) -> f64 {
    let mut superuser = stack.postgres.inspect().await;
    sqlx::query_scalar("select extract(epoch from $1::text::timestamptz)::float8")
        .bind(text(time))
        .fetch_one(&mut superuser)
        .await
        .unwrap()
}

/// How many certificates of a service the journal has, and how many of them are revoked.
async fn journal(stack: &Stack, service: &str) -> (i64, i64) {
    let mut superuser = stack.postgres.inspect().await;
    sqlx::query_as("select count(*), count(revoked_at) from heddle.certificates where service = $1")
        .bind(service)
        .fetch_one(&mut superuser)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c01_c02_a_requested_certificate_is_that_of_its_address_and_lets_a_program_call_an_envoy()
 {
    let (stack, api) = shop(ServerOptions::default()).await;
    let folder = stack.directory.path();
    let rule = json!({"action": "allow", "from": [{"service": "payments"}]});
    let path = "/meshes/shop/services/ledger/access-rules/payments-may";
    let _ = api.put(path, rule).await.expect(201);
    let spec = WorkloadSpec::of_shop("ledger", "ledger-1", EnvoyVersion::Newest);
    let ledger = Workload::start(&stack, &api, &spec).await;
    ledger.ready(&api, "shop").await;

    let request = greedy(folder, &P256);
    let made = api
        .post(PAYMENTS, json!({"request": request}))
        .await
        .expect(201);
    let given = &made.json;
    let domain = text(&api.get("/meshes/shop").await.expect(200).json["status"]["trust_domain"]);
    let name = format!("spiffe://{domain}/service/payments");
    assert_eq!(
        (text(&given["spiffe_id"]), text(&given["trust_domain"])),
        (name.clone(), domain)
    );
    for (file, field) in [
        ("leaf.pem", "certificate_pem"),
        ("chain.pem", "chain_pem"),
        ("bundle.pem", "bundle_pem"),
    ] {
        std::fs::write(folder.join(file), text(&given[field])).unwrap();
    }
    for purpose in ["sslclient", "sslserver"] {
        let verify = [
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            "bundle.pem",
            "-untrusted",
            "chain.pem",
            "leaf.pem",
        ];
        assert_eq!(openssl(folder, &verify), "leaf.pem: OK\n");
    }
    let shown = openssl(folder, &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    assert!(shown.contains(&format!("URI:{name}\n")), "{shown}");
    for greed in ["admin.internal", "ledger", "CA:TRUE"] {
        assert!(!shown.contains(greed), "{greed}: {shown}");
    }
    let own = openssl(folder, &["pkey", "-in", "key.pem", "-pubout"]);
    let certified = openssl(folder, &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
    assert_eq!(own, certified);
    let serial = text(&given["serial"]);
    let said = openssl(folder, &["x509", "-in", "leaf.pem", "-noout", "-serial"]);
    assert_eq!(said.trim().to_lowercase(), format!("serial={serial}"));
    let since = async |field: &str| {
        (seconds(&stack, &given[field]).await - seconds(&stack, &given["not_before"]).await) / 60.0
    };
    let life = since("not_after").await;
    assert!((life - 1445.0).abs() < 0.1, "as long as a proxy's: {life}");
    // At half of it, give or take a tenth, from five minutes after its start.
    let half = since("renew_at").await;
    assert!((652.0..798.0).contains(&half), "{half}");

    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let identity = (read("chain.pem"), read("key.pem"));
    let (answer, names) = call(ledger.inbound_port, Some(&identity)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(names[0].ends_with("/service/ledger"), "{names:?}");
    // The same program as somebody who may not call.
    let path = "/meshes/shop/services/ledger/certificates";
    let request = greedy(folder, &P256);
    let made = api.post(path, json!({"request": request})).await;
    let chain = text(&made.expect(201).json["chain_pem"]).into_bytes();
    let (answer, _) = call(ledger.inbound_port, Some(&(chain, read("key.pem"))))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");

    // Who had it issued is in the log, under its serial number.
    let log = api.get("/audit-log?limit=500").await.expect(200).json["items"].clone();
    let is_it = |row: &&Value| row["after"]["serial"] == serial.as_str();
    let row = log.as_array().unwrap().iter().find(is_it).unwrap();
    let said = ["action", "kind", "uid", "name"].map(|field| text(&row[field]));
    assert_eq!(said, ["issue", "certificate", &serial, "payments"], "{row}");
    assert_eq!(journal(&stack, "payments").await, (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_z09_a_certificate_is_for_whom_the_permission_reaches_and_for_one_service_alone() {
    let (stack, api) = shop(ServerOptions::default()).await;
    let body = json!({"request": greedy(stack.directory.path(), &P256)});
    let ledger = "/meshes/shop/services/ledger/certificates";
    let nothing = "/meshes/shop/services/nothing/certificates";
    for (role, status) in [
        ("viewer", 403),
        ("auditor", 403),
        ("developer", 403),
        ("operator", 201),
    ] {
        let caller = account(&api, role, &[json!({"role": role})]).await;
        let reply = caller.post(PAYMENTS, body.clone()).await.expect(status);
        if status == 403 {
            assert_eq!(reply.json["permission"], "certificates:issue");
        }
    }
    let one = json!({"role": "issuer", "mesh": "shop", "service": "payments"});
    let ci = account(&api, "ci", std::slice::from_ref(&one)).await;
    let _ = ci.post(PAYMENTS, body.clone()).await.expect(201);
    // Another service, whether or not there is one; and nothing else of the mesh.
    for path in [ledger, nothing] {
        let refused = ci.post(path, body.clone()).await.expect(403);
        assert_eq!(refused.json["permission"], "certificates:issue");
    }
    for path in [
        "/meshes/shop",
        "/meshes/shop/services",
        "/meshes/shop/proxies",
    ] {
        let _ = ci.get(path).await.expect(403);
    }
    let service = json!({"ports": [{"name": "http", "port": 1, "protocol": "http"}]});
    let _ = ci
        .put("/meshes/shop/services/mine", service)
        .await
        .expect(403);
    // A second one for the same account, and a whole mesh for another.
    let mut two = one.clone();
    (two["service"], two["service_account"]) = (json!("ledger"), json!("ci"));
    let given = api.post("/role-bindings", two.clone()).await.expect(201);
    assert_eq!(given.json["service"], "ledger");
    let _ = api.post("/role-bindings", two).await.expect(409);
    let _ = ci.post(ledger, body.clone()).await.expect(201);
    let path = text(&given.json["meta"]["uid"]);
    let _ = api
        .delete(&format!("/role-bindings/{path}"))
        .await
        .expect(204);
    let _ = ci.post(ledger, body.clone()).await.expect(403);
    let all = account(&api, "all", &[json!({"role": "issuer", "mesh": "shop"})]).await;
    let _ = all.post(ledger, body.clone()).await.expect(201);
    let _ = all.post(nothing, body.clone()).await.expect(404);
    // A token that is narrowed to something else.
    let narrow = json!({"name": "narrow", "service_account": "ci", "scopes": ["account:read"]});
    let narrow = api.post("/tokens", narrow).await.expect(201);
    let narrow = api.with_token(narrow.json["secret"].as_str().unwrap());
    let _ = narrow.post(PAYMENTS, body.clone()).await.expect(403);
    // Not given: what makes no sense, and by whom it is not to give.
    let _ = api
        .post("/service-accounts", json!({"name": "late"}))
        .await
        .expect(201);
    for (binding, violations) in [
        (
            json!({"role": "developer", "mesh": "shop", "service": "payments"}),
            vec![("/service", "HED-1012")],
        ),
        (
            json!({"role": "viewer", "service": "payments"}),
            vec![("/mesh", "HED-1004"), ("/service", "HED-1012")],
        ),
        (
            json!({"role": "issuer", "mesh": "shop", "service": "nothing"}),
            vec![("/service", "HED-1010")],
        ),
    ] {
        let mut binding = binding;
        binding["service_account"] = json!("late");
        let refused = api.post("/role-bindings", binding).await.expect(422);
        let expected: Vec<_> = violations
            .iter()
            .map(|(at, code)| ((*at).to_owned(), (*code).to_owned()))
            .collect();
        assert_eq!(refused.violations(), expected);
    }
    let operator = account(&api, "late-operator", &[json!({"role": "operator"})]).await;
    let mut wanted = one;
    wanted["service_account"] = json!("late");
    let _ = operator.post("/role-bindings", wanted).await.expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c17_c18_a_revoked_service_gets_no_certificate_until_it_is_trusted_again() {
    let (stack, api) = shop(ServerOptions::default()).await;
    let body = json!({"request": greedy(stack.directory.path(), &P256)});
    let _ = api.post(PAYMENTS, body.clone()).await.expect(201);
    let revocation = json!({"service": "payments", "reason": "its image was replaced"});
    let made = api.post("/meshes/shop/revocations", revocation).await;
    let made = text(&made.expect(201).json["meta"]["uid"]);
    for path in [PAYMENTS, &format!("{PAYMENTS}?dry_run=true")] {
        let refused = api.post(path, body.clone()).await.expect(403);
        assert_eq!(refused.json["code"], "HED-3006");
    }
    let _ = api
        .post("/meshes/shop/services/ledger/certificates", body.clone())
        .await
        .expect(201);
    assert_eq!(journal(&stack, "payments").await, (1, 1));
    let path = format!("/meshes/shop/revocations/{made}");
    let _ = api.delete(&path).await.expect(204);
    let _ = api.post(PAYMENTS, body).await.expect(201);
    assert_eq!(journal(&stack, "payments").await, (2, 1));
}

/// The answers to the same request, sent many times at once.
async fn at_once(api: &Api, body: &Value) -> Vec<Reply> {
    let headers = [("idempotency-key", "nightly")];
    let one = || api.with(Method::POST, PAYMENTS, &headers, Some(body.clone()));
    futures::future::join_all((0..8).map(|_| one())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_key_is_answered_once_and_a_dry_run_issues_nothing() {
    let (stack, api) = shop(ServerOptions::default()).await;
    let body = json!({"request": greedy(stack.directory.path(), &P256)});
    let path = format!("{PAYMENTS}?dry_run=true");
    let tried = api.post(&path, body.clone()).await.expect(201);
    assert!(text(&tried.json["spiffe_id"]).ends_with("/service/payments"));
    for field in [
        "serial",
        "certificate_pem",
        "chain_pem",
        "bundle_pem",
        "not_after",
    ] {
        assert_eq!(tried.json[field], Value::Null, "{field}");
    }
    assert_eq!(journal(&stack, "payments").await, (0, 0));

    let mut serials = Vec::new();
    for reply in at_once(&api, &body).await {
        match reply.status {
            201 => serials.push(text(&reply.json["serial"])),
            409 => assert_eq!(reply.json["code"], "HED-2017"),
            _ => panic!("{}", reply.text),
        }
    }
    for reply in at_once(&api, &body).await {
        assert_eq!(reply.header("idempotency-replayed"), Some("true"));
        serials.push(text(&reply.expect(201).json["serial"]));
    }
    serials.dedup();
    assert_eq!(serials.len(), 1, "one certificate is given out");
    let log = api.get("/audit-log?limit=500").await.expect(200).json["items"].clone();
    let issues = |row: &&Value| row["action"] == "issue";
    assert_eq!(log.as_array().unwrap().iter().filter(issues).count(), 1);
    let other = json!({"request": greedy(stack.directory.path(), &P256)});
    let headers = [("idempotency-key", "nightly")];
    let reused = api
        .with(Method::POST, PAYMENTS, &headers, Some(other))
        .await;
    assert_eq!(reused.expect(422).json["code"], "HED-2024");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c03_requests_are_taken_and_refused_as_from_an_agent_also_where_another_process_signs()
{
    let keys = tempfile::Builder::new()
        .prefix("heddle-ca-")
        .tempdir_in("/tmp")
        .unwrap();
    let socket = keys.path().join("ca.sock");
    let (stack, api) = shop(ServerOptions {
        ca_socket: Some(socket.clone()),
        ..ServerOptions::default()
    })
    .await;
    let folder = stack.directory.path();
    let good = greedy(folder, &P256);
    // Nothing that signs is there yet.
    let away = api
        .post(PAYMENTS, json!({"request": good}))
        .await
        .expect(503);
    assert_eq!(away.retry_after.as_deref(), Some("2"));
    let key = keys.path().join("sealing.key");
    std::fs::rename(folder.join("sealing.key"), &key).unwrap();
    let key = format!("file:{}", key.display());
    let _authority =
        Authority::start(&socket, &stack.postgres, &[("HEDDLE_SEALING_KEY", &key)]).await;

    let rsa = |bits: &'static str| ["-newkey", bits];
    std::fs::write(folder.join("good.pem"), &good).unwrap();
    openssl(
        folder,
        &[
            "req", "-in", "good.pem", "-outform", "DER", "-out", "good.der",
        ],
    );
    let der = std::fs::read(folder.join("good.der")).unwrap();
    let base64 = STANDARD.encode(&der);
    let p384 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
    for taken in [
        good.clone(),
        format!("{good}\n\n"),
        base64.clone(),
        base64.replacen('M', "M\n ", 1),
        greedy(folder, &rsa("rsa:2048")),
        greedy(folder, &p384),
    ] {
        let made = api.post(PAYMENTS, json!({"request": taken})).await;
        assert!(!text(&made.expect(201).json["serial"]).is_empty());
    }
    let before = journal(&stack, "payments").await;
    // Signed by nobody: the last byte of the signature is another one.
    let mut forged = der.clone();
    *forged.last_mut().unwrap() ^= 1;
    let secp224r1 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"];
    for refused in [
        "a certificate, please".to_owned(),
        "=".to_owned(),
        good.replace('M', "*"),
        good.repeat(2),
        good.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
        STANDARD.encode(b"not a request"),
        STANDARD.encode(&forged),
        STANDARD.encode([der.as_slice(), b"more"].concat()),
        "A".repeat(12_000),
        greedy(folder, &rsa("rsa:1024")),
        greedy(folder, &secp224r1),
    ] {
        let reply = api.post(PAYMENTS, json!({"request": refused})).await;
        let own = ("/request".to_owned(), "HED-3010".to_owned());
        assert_eq!(reply.expect(422).violations(), [own], "{refused}");
    }
    assert_eq!(journal(&stack, "payments").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s52_a_rotation_waits_until_a_requested_certificate_has_ended() {
    let options = ServerOptions {
        leaf_lifetime: String::from("15s"),
        ..ServerOptions::default()
    };
    let (stack, api) = shop(options).await;
    let body = json!({"request": greedy(stack.directory.path(), &P256)});
    let first = api.post(PAYMENTS, body.clone()).await.expect(201).json;
    let roots = |one: &Value| text(&one["bundle_pem"]).matches("BEGIN").count();
    assert_eq!(roots(&first), 1);
    let rotation = json!({"what": "root", "mode": "planned", "replace_over": "0s"});
    let made = api
        .post("/meshes/shop/rotations", rotation)
        .await
        .expect(201);
    let path = format!("/meshes/shop/rotations/{}", text(&made.json["meta"]["uid"]));
    let seen = async || api.get(&path).await.expect(200).json;
    until("the new root is published", SOON, async || {
        seen().await["state"] == "published"
    })
    .await;
    let waits = seen().await["progress"].clone();
    assert_eq!(
        (&waits["certificates"], &waits["waiting_for"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(waits["certificates_until"], first["not_after"]);
    // This one follows: whoever has it trusts both. What signed it gives way, so the end waits for it.
    let second = api.post(PAYMENTS, body.clone()).await.expect(201).json;
    assert_eq!(roots(&second), 2);
    assert_eq!(seen().await["progress"]["certificates"], 1);
    let ended = async |one: &Value| {
        seconds(&stack, &json!("now")).await >= seconds(&stack, &one["not_after"]).await
    };
    until("what is new signs", SOON, async || {
        seen().await["state"] != "published"
    })
    .await;
    assert!(
        ended(&first).await,
        "nobody is left who does not know the new root"
    );
    let third = api.post(PAYMENTS, body).await.expect(201).json;
    until("what was before is gone", SOON * 2, async || {
        seen().await["state"] == "removed"
    })
    .await;
    assert!(
        ended(&second).await,
        "nobody holds a certificate of the old root"
    );
    assert!(!ended(&third).await, "of the new one somebody may");
}
