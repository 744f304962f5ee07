//! Two organisations with the same names everywhere: neither sees, changes or gets anything of the other.

mod operations;

use std::time::Duration;

use heddle_tests::{Api, ServerOptions, Stack, XdsClient, node, operations_not_called};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use operations::operations;

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const ENDPOINTS: &str = "envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENER: &str = "envoy.config.listener.v3.Listener";
const ROUTES: &str = "envoy.config.route.v3.RouteConfiguration";
const SECRET: &str = "envoy.extensions.transport_sockets.tls.v3.Secret";

/// Fills an organisation; every free text carries the marker.
async fn fill(stack: &Stack, org: &str, marker: &str) -> (Api, String) {
    let api = stack
        .mesh(
            org,
            "shop",
            json!({"display_name": marker, "access_default": "deny"}),
            &["frontend"],
        )
        .await;
    let profile = json!({"display_name": marker, "settings": {"timeout": "9s"}});
    let _ = api
        .put("/meshes/shop/profiles/std", profile)
        .await
        .expect(201);
    let service = json!({
        "ports": [{"name": "http", "port": 8080, "protocol": "http"}],
        "profile": "std",
        "hostnames": [format!("{marker}.internal")],
        "labels": {"marker": marker},
    });
    let base = "/meshes/shop/services/payments";
    let _ = api.put(base, service).await.expect(201);
    let route = json!({
        "display_name": marker, "priority": 1, "backends": [{"version": "v1"}],
        "match": [{"path": {"exact": format!("/{marker}")}}],
    });
    let _ = api
        .put(&format!("{base}/routes/all"), route)
        .await
        .expect(201);
    let split = json!({"weights": [{"version": "v1", "weight": 1}]});
    let _ = api
        .put(&format!("{base}/routes/all/split"), split)
        .await
        .expect(201);
    let rule = json!({"action": "allow", "from": [{"service": "frontend"}], "reason": marker});
    let _ = api
        .put(&format!("{base}/access-rules/one"), rule)
        .await
        .expect(201);
    let token = api
        .post(
            "/meshes/shop/join-tokens",
            json!({"name": "t", "service": "payments"}),
        )
        .await
        .expect(201);
    (api, token.json["secret"].as_str().unwrap().to_owned())
}

/// An answer without what differs from request to request.
fn constant(mut body: Value) -> Value {
    if let Some(map) = body.as_object_mut() {
        for field in ["instance", "request_id"] {
            map.remove(field);
        }
    }
    body
}

async fn everything(api: &Api) -> Vec<Value> {
    let mut all = Vec::new();
    for (method, path, _) in operations() {
        if method == Method::GET
            && path.starts_with("/meshes")
            && !path.contains("bootstrap")
            && !path.contains("/proxies/p")
            && !path.contains("/revocations/")
            && !path.contains("/resources/")
            && !path.contains("/rotations/")
            && !path.contains("/authority-requests/")
            && !path.contains("/authorities/")
        {
            all.push(api.get(&path).await.expect(200).json);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t01_t07_two_organisations_with_equal_names_share_nothing() {
    let stack = Stack::start(ServerOptions::default()).await;
    let (acme, acme_join) = fill(&stack, "acme", "marker-of-acme").await;
    let (rival, rival_join) = fill(&stack, "rival", "marker-of-rival").await;
    let before = everything(&acme).await;
    let all = operations();
    let called: Vec<_> = all
        .iter()
        .map(|(method, path, _)| (method.clone(), path.as_str()))
        .collect();
    assert_eq!(
        operations_not_called(&called),
        Vec::<String>::new(),
        "operations that nobody tried"
    );

    // The API: 404 for everything, with the body that an organisation that does not exist gets.
    let intruder = rival.at_org("acme");
    let nobody = rival.at_org("no-such-org");
    for (method, path, body) in operations() {
        let foreign = intruder.call(method.clone(), &path, body.clone()).await;
        let absent = nobody.call(method.clone(), &path, body.clone()).await;
        assert_eq!(foreign.status, 404, "{method} {path}: {}", foreign.text);
        assert_eq!(
            constant(foreign.json),
            constant(absent.json),
            "{method} {path}"
        );
        assert!(!foreign.text.contains("marker-of-acme"));
        // The same by identifiers: a mesh of acme's inside rival's own organisation.
        if !path.starts_with("/meshes/") {
            continue;
        }
        let uid = before[1]["meta"]["uid"].as_str().unwrap();
        let path = path.replace("/meshes/shop", &format!("/meshes/{uid}"));
        let own = rival.call(method.clone(), &path, body).await;
        assert_eq!(own.status, 404, "{method} {path} by id: {}", own.text);
    }
    // No token, a mistyped one, a join token.
    let anonymous = acme.with_token("");
    let mistyped = acme.with_token(&format!("{}x", acme.token));
    let joining = acme.with_token(&acme_join);
    for (method, path, body) in operations() {
        for caller in [&anonymous, &mistyped, &joining] {
            if caller.token == acme_join && path.contains("bootstrap") {
                continue;
            }
            let reply = caller.call(method.clone(), &path, body.clone()).await;
            assert_eq!(reply.status, 401, "{method} {path}: {}", reply.text);
        }
    }
    let with_join = acme.with_token(&rival_join);
    let path = "/meshes/shop/bootstrap?proxy=p&advertise_address=10.0.0.1";
    let _ = with_join.get(path).await.expect(404);
    let mut after = everything(&acme).await;
    let mut before = before;
    for list in [&mut before, &mut after] {
        list.iter_mut()
            .for_each(|body| *body = constant(body.take()));
    }
    assert_eq!(before, after, "something of acme's changed");

    // xDS: every name that acme has, asked for with rival's token.
    let names = [
        "heddle/payments/http",
        "heddle/payments/http/v1",
        "heddle/frontend/http",
        "heddle/outbound",
        "heddle/inbound/http",
        "heddle/inbound/payments/http",
        "heddle/inbound/frontend/http",
        "heddle/identity",
        "heddle/trust",
    ];
    let mut client = XdsClient::connect(&stack.server, &rival_join, node("spy", "payments"))
        .await
        .unwrap();
    for kind in [CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET] {
        client.subscribe(kind, &names).await;
        client.subscribe(kind, &["*"]).await;
    }
    let (resources, _) = client.drain(Duration::from_secs(2)).await.unwrap();
    let acme_domain = before[1]["status"]["trust_domain"].as_str().unwrap();
    let all: Vec<u8> = resources.values().flatten().copied().collect();
    let all = String::from_utf8_lossy(&all);
    assert!(
        all.contains("marker-of-rival"),
        "rival's own configuration arrived"
    );
    assert!(
        !all.contains("marker-of-acme") && !all.contains(acme_domain),
        "something of acme's arrived"
    );
    // Not even another service's inbound configuration of the same mesh.
    assert!(!resources.contains_key("heddle/inbound/frontend/http"));

    // A token opens its own service only, whatever the node says.
    let refused =
        async |token: &str, node| match XdsClient::connect(&stack.server, token, node).await {
            Err(status) => status.code(),
            Ok(mut client) => client
                .drain(Duration::from_secs(2))
                .await
                .expect_err("the stream was accepted")
                .code(),
        };
    assert_eq!(
        refused(&rival_join, node("spy", "frontend")).await,
        Code::PermissionDenied
    );
    assert_eq!(
        refused("", node("spy", "payments")).await,
        Code::Unauthenticated
    );
    assert_eq!(
        refused(&rival.token, node("spy", "payments")).await,
        Code::Unauthenticated
    );
    assert_eq!(
        refused(&format!("{rival_join}x"), node("spy", "payments")).await,
        Code::Unauthenticated
    );
    // The one-off token is bound to its first proxy.
    assert_eq!(
        refused(&rival_join, node("other", "payments")).await,
        Code::PermissionDenied
    );
}
