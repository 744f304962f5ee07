//! Every kind of bad input on every endpoint: a 4xx that says what and where, and a database as it was.

use heddle_tests::{Api, Reply, ServerOptions, Stack, operations_not_called};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row as _;

/// One case a line; its first lines say how to read it.
const CASES: &str = include_str!("bad_input/cases.txt");

const MESH: &str = "/meshes/shop";
const MESHES: &str = "/meshes";
const SERVICES: &str = "/meshes/shop/services";
const RULE: &str = "/meshes/shop/services/payments/access-rules/fresh";
const TOKENS: &str = "/meshes/shop/join-tokens";

struct Case {
    what: &'static str,
    method: Method,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    status: u16,
    /// Pointer and code of violations that must be among the answer's; empty for problems without any.
    violations: Vec<(&'static str, &'static str)>,
}

fn cases() -> Vec<Case> {
    CASES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(case)
        .collect()
}

fn case(line: &'static str) -> Case {
    let columns: Vec<&str> = line.split(" | ").collect();
    let [what, request, headers, body, expected] = columns[..] else {
        panic!("five columns: {line}")
    };
    let (method, path) = request.split_once(' ').unwrap();
    let headers = match headers {
        "" => vec![("content-type", "application/json")],
        "-" => Vec::new(),
        list => list
            .split("; ")
            .map(|header| header.split_once(": ").unwrap())
            .collect(),
    };
    let (status, violations) = expected.split_once(' ').unwrap_or((expected, ""));
    let violations = violations.split(", ").filter_map(|v| v.split_once('='));
    Case {
        what,
        method: method.parse().unwrap(),
        path: expand(path),
        headers,
        body: expand(body),
        status: status.parse().unwrap(),
        violations: violations.collect(),
    }
}

fn expand(body: &str) -> String {
    let port = r#"{"name": "http", "port": 80, "protocol": "http"}"#;
    let mut parts = body.split('@');
    let mut all = parts.next().unwrap().to_owned();
    while let (Some(inside), Some(after)) = (parts.next(), parts.next()) {
        match inside.split_once('*') {
            Some(("PORT", count)) => all.push_str(&vec![port; count.parse().unwrap()].join(", ")),
            Some((what, count)) => all.push_str(&what.repeat(count.parse().unwrap())),
            None => all.push_str(port),
        }
        all.push_str(after);
    }
    all
}

/// Every row of every table, as text.
pub(crate) async fn dump(stack: &Stack) -> String {
    let mut database = stack.postgres.inspect().await;
    // What a server writes of itself, and what it counts, goes by a clock and is nobody's change.
    let tables = sqlx::query(
        "select tablename::text from pg_tables
         where schemaname = 'heddle' and tablename not in ('replicas', 'mesh_replicas', 'usage_days') order by 1",
    );
    let tables = tables.fetch_all(&mut database).await.unwrap();
    let mut all = String::new();
    for table in tables {
        let table: String = table.get(0);
        // A token's last use is written now and then; reading is not a change.
        let query = format!(
            "select coalesce(string_agg((to_jsonb(t) - 'last_used_at')::text, E'\\n' order by to_jsonb(t)::text), '') from heddle.{table} t"
        );
        let rows: String = sqlx::query(&query)
            .fetch_one(&mut database)
            .await
            .unwrap()
            .get(0);
        all.push_str(&format!("== {table}\n{rows}\n"));
    }
    all
}

fn check(case: &Case, reply: &Reply) -> Result<(), String> {
    if reply.status != case.status {
        return Err(format!(
            "{}: {} {} {}: {}",
            case.what, reply.status, case.method, case.path, reply.text
        ));
    }
    if reply.content_type != "application/problem+json" {
        return Err(format!(
            "{}: content type {}",
            case.what, reply.content_type
        ));
    }
    for field in ["type", "title", "status", "detail", "code", "request_id"] {
        if reply.json[field].is_null() {
            return Err(format!("{}: no `{field}`: {}", case.what, reply.text));
        }
    }
    let violations = reply.violations();
    let missing = case
        .violations
        .iter()
        .find(|(p, c)| !violations.contains(&((*p).to_owned(), (*c).to_owned())));
    match missing {
        None => Ok(()),
        Some(missing) => Err(format!("{}: no {missing:?}: {}", case.what, reply.text)),
    }
}

async fn send(api: &Api, case: &Case) -> Reply {
    let path = format!("/v1/orgs/acme{}", case.path);
    api.raw(
        case.method.clone(),
        &path,
        &case.headers,
        case.body.clone().into_bytes(),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_gets_a_clear_error_and_changes_nothing() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack
        .mesh("acme", "shop", json!({"display_name": "Shop"}), &[])
        .await;
    let service = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}], "hostnames": ["pay.internal"]});
    let _ = api
        .put("/meshes/shop/services/payments", service)
        .await
        .expect(201);
    let route = json!({"priority": 100, "backends": [{"version": "v1"}]});
    let _ = api
        .put("/meshes/shop/services/payments/routes/all", route)
        .await
        .expect(201);
    let before = dump(&stack).await;
    let cases = cases();
    let called: Vec<_> = cases
        .iter()
        .map(|case| (case.method.clone(), case.path.as_str()))
        .collect();
    assert_eq!(
        operations_not_called(&called),
        Vec::<String>::new(),
        "operations without a case"
    );
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let reply = send(&api, case).await;
        wrong.extend(check(case, &reply).err());
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert_eq!(before, dump(&stack).await, "something was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_reads_and_writes_nothing() {
    let stack = Stack::start(ServerOptions::default()).await;
    let _admin = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let viewer = stack.server.token("acme", "viewer").await;
    let _ = viewer.get(MESH).await.expect(200);
    let before = dump(&stack).await;
    for (method, path, body) in [
        (Method::PUT, MESH, json!({})),
        (Method::POST, MESHES, json!({"name": "x"})),
        (
            Method::DELETE,
            "/meshes/shop/services/payments",
            Value::Null,
        ),
        (
            Method::PUT,
            RULE,
            json!({"action": "deny", "from": [{"service": "payments"}]}),
        ),
        (
            Method::POST,
            TOKENS,
            json!({"name": "t", "service": "payments"}),
        ),
    ] {
        let reply = viewer.call(method, path, Some(body)).await.expect(403);
        assert!(
            reply.json["permission"]
                .as_str()
                .is_some_and(|p| p.ends_with(":write")),
            "{}",
            reply.text
        );
    }
    assert_eq!(before, dump(&stack).await, "something was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_comes_back_and_equal_content_makes_no_revision() {
    let stack = Stack::start(ServerOptions::default()).await;
    let sent = json!({"display_name": "Shop", "defaults": {"timeout": "1000ms", "retries": null}, "labels": {"b": "2", "a": "1"}});
    let api = stack
        .mesh("acme", "shop", sent.clone(), &["payments"])
        .await;
    let first = api.get(MESH).await.expect(200);
    for (field, value) in sent.as_object().unwrap() {
        assert_eq!(first.json[field], *value, "{field}");
    }
    // What was read can be sent back as it is.
    let again = api.put(MESH, first.json.clone()).await.expect(200);
    assert_eq!(
        again.json["status"]["revision"],
        first.json["status"]["revision"]
    );
    assert_eq!(again.etag, first.etag);
    let changed = api
        .put(MESH, json!({"display_name": "Shop 2"}))
        .await
        .expect(200);
    assert_ne!(changed.etag, first.etag);
    assert_eq!(
        changed.json["status"]["revision"].as_u64(),
        first.json["status"]["revision"].as_u64().map(|r| r + 1)
    );

    // Pages add up to the whole.
    for i in 0..7 {
        let body = json!({"ports": [{"name": "http", "port": 80, "protocol": "http"}], "name": format!("s{i}")});
        let _ = api.post(SERVICES, body).await.expect(201);
    }
    let mut names = Vec::new();
    let mut path = format!("{SERVICES}?limit=3");
    loop {
        let page = api.get(&path).await.expect(200);
        let items = page.json["items"].as_array().unwrap().clone();
        assert!(items.len() <= 3);
        names.extend(items.iter().map(|i| i["name"].as_str().unwrap().to_owned()));
        match page.json["next_cursor"].as_str() {
            Some(cursor) => path = format!("{SERVICES}?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(
        names,
        ["payments", "s0", "s1", "s2", "s3", "s4", "s5", "s6"]
    );

    // A name that is taken is that, and not a host that is.
    let body =
        json!({"ports": [{"name": "http", "port": 80, "protocol": "http"}], "name": "payments"});
    assert_eq!(
        api.post(SERVICES, body).await.expect(409).json["code"],
        "HED-2005"
    );
    // `If-Match: *` replaces whatever is there.
    let any = [("content-type", "application/json"), ("if-match", "*")];
    let _ = api
        .raw(
            Method::PUT,
            "/v1/orgs/acme/meshes/shop",
            &any,
            b"{}".to_vec(),
        )
        .await
        .expect(200);
    let _ = api
        .raw(
            Method::PUT,
            "/v1/orgs/acme/meshes/none",
            &any,
            b"{}".to_vec(),
        )
        .await
        .expect(412);

    // A mesh goes when it is no longer protected, and its name is free at once.
    let _ = api
        .put(MESH, json!({"deletion_protection": false}))
        .await
        .expect(200);
    let _ = api.delete(MESH).await.expect(204);
    let _ = api.get(MESH).await.expect(404);
    let _ = api.get(SERVICES).await.expect(404);
    let _ = api.put(MESH, json!({})).await.expect(201);
    assert_eq!(api.get(SERVICES).await.expect(200).json["items"], json!([]));
}
