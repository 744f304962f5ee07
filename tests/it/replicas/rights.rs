//! A right that is taken away at one server is gone at the other.

use std::time::{Duration, Instant};

use heddle_tests::{Api, Hopper, ServerOptions, Stack, node};
use reqwest::Method;
use serde_json::json;

use super::{commit, join_token};

/// In how long it holds everywhere.
const SOON: Duration = Duration::from_secs(5);

async fn refused(at: &Api, wanted: &[u16]) {
    let path = "/meshes/shop/services/payments";
    let began = Instant::now();
    loop {
        let reply = at.patch(path, json!({"display_name": "mine"})).await;
        if wanted.contains(&reply.status) {
            return;
        }
        assert!(began.elapsed() < SOON, "{}: {}", reply.status, reply.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c17_what_is_revoked_at_one_server_holds_at_the_other() {
    let stack = Stack::start(ServerOptions::default()).await;
    let other = stack.server.beside().await;
    let spec = json!({"access_default": "allow"});
    let api = stack
        .mesh("acme", "shop", spec, &["frontend", "payments"])
        .await;
    let at_other = |api: &Api| other.caller(&api.org, &api.token);

    // A role that is unbound, and a token that is revoked.
    for (name, way) in [("unbound", "binding"), ("revoked", "token")] {
        let _ = api
            .post("/service-accounts", json!({"name": name}))
            .await
            .expect(201);
        let role = json!({"service_account": name, "role": "operator", "mesh": "shop"});
        let bound = api.post("/role-bindings", role).await.expect(201);
        let body = json!({"name": name, "service_account": name});
        let made = api.post("/tokens", body).await.expect(201);
        let caller = at_other(&api.with_token(made.json["secret"].as_str().unwrap()));
        commit(&caller, 1).await;
        let (path, statuses) = match way {
            "binding" => (
                format!(
                    "/role-bindings/{}",
                    bound.json["meta"]["uid"].as_str().unwrap()
                ),
                // It has no role anywhere, so it may or may not learn that the mesh exists.
                &[403, 404][..],
            ),
            _ => (format!("/tokens/{name}"), &[401][..]),
        };
        let _ = api.call(Method::DELETE, &path, None).await.expect(204);
        refused(&caller, statuses).await;
    }

    // A session, whose token is signed and would be good for minutes.
    let made = stack
        .server
        .admin(&[
            "member",
            "create",
            "--org",
            "acme",
            "--email",
            "ada@example.com",
            "--role",
            "operator",
            "--json",
        ])
        .await;
    let body = json!({"org": "acme", "email": "ada@example.com", "password": made["password"]});
    let headers = [("content-type", "application/json")];
    let signed = api
        .with_token("")
        .raw(
            Method::POST,
            "/v1/sessions",
            &headers,
            body.to_string().into_bytes(),
        )
        .await
        .expect(201)
        .json;
    let ada = api.with_token(signed["access_token"].as_str().unwrap());
    commit(&at_other(&ada), 2).await;
    let session = signed["session"]["uid"].as_str().unwrap();
    let _ = ada
        .delete(&format!("/sessions/{session}"))
        .await
        .expect(204);
    refused(&at_other(&ada), &[401]).await;

    // A join token, and a proxy that is forgotten: their streams are at the other server.
    let token = join_token(&api, "frontend").await;
    let (_, forgotten) = Hopper::new(&token, node("forgotten", "frontend"))
        .hop(&other)
        .await;
    let (_, revoked) = Hopper::new(&token, node("revoked", "frontend"))
        .hop(&other)
        .await;
    let (_, barred) = Hopper::new(&token, node("barred", "frontend"))
        .hop(&other)
        .await;
    let body = json!({"proxy": "barred", "reason": "the host was broken into"});
    let _ = api.post("/meshes/shop/revocations", body).await.expect(201);
    let code = barred.ended(SOON).await;
    assert_eq!(code, tonic::Code::PermissionDenied);
    let began = Instant::now();
    let _ = api
        .call(Method::DELETE, "/meshes/shop/proxies/forgotten", None)
        .await
        .expect(204);
    let code = forgotten.ended(SOON).await;
    assert_ne!(code, tonic::Code::Ok, "after {:?}", began.elapsed());
    let _ = api
        .call(
            Method::DELETE,
            "/meshes/shop/join-tokens/frontend-many",
            None,
        )
        .await
        .expect(204);
    let code = revoked.ended(SOON).await;
    assert_ne!(code, tonic::Code::Ok);
}
