//! A route of the user's own that leads into the mesh.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_of_ones_own_leads_into_the_mesh_with_the_services_identity() {
    let stack = Stack::start(ServerOptions::default()).await;
    let (api, payments) = shop(&stack).await;
    let app = Application::start("old", "v1").await;
    for version in EnvoyVersion::BOTH {
        let shape = shapes::plain(&app.address.to_string(), &[shapes::into_the_mesh()]);
        let one = Candidate::new(&stack, &api, version, shape).await;
        let envoy = one.start(Some(&one.overlay)).await;
        let url = one.shape.asks[0].url.replace("/a", "/pay");
        let ask = Ask {
            url,
            headers: Vec::new(),
        };
        let what = "the route leads to payments";
        let called = until_some(what, Duration::from_secs(20), async || {
            answer(&ask).await.filter(|answer| answer.status == 200)
        })
        .await;
        let body: Value = serde_json::from_str(&called.body).unwrap();
        assert_eq!(body["service"], "payments");
        let caller = body["xfcc"].as_str().unwrap();
        assert!(caller.contains("/service/edge"), "{caller}");
        assert_eq!(called.headers["x-by"], "my own file");
        assert_eq!(one.answers().await[0].status, 200);
        let secrets = envoy.admin("/certs").await;
        assert!(secrets.contains("/service/edge"), "{secrets}");
    }
    // Access rules are about the service that the overlay names.
    let rule = json!({"action": "deny", "from": [{"service": "edge"}]});
    let path = "/meshes/shop/services/payments/access-rules/stop";
    let _ = api.put(path, rule).await.expect(201);
    let shape = shapes::plain(&app.address.to_string(), &[shapes::into_the_mesh()]);
    let one = Candidate::new(
        &stack,
        &api,
        EnvoyVersion::Newest,
        Shape {
            name: "denied",
            ..shape
        },
    )
    .await;
    let _envoy = one.start(Some(&one.overlay)).await;
    let ask = Ask {
        url: one.shape.asks[0].url.replace("/a", "/pay"),
        headers: Vec::new(),
    };
    until("payments refuses", Duration::from_secs(20), async || {
        answer(&ask)
            .await
            .is_some_and(|answer| answer.status == 403)
    })
    .await;
    drop(payments);
}
