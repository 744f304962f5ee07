//! The Rust client that is generated from the document, against the real server.

mod shown;

use heddle_client::{Client, Problems as _, connect, from_json, types};
use heddle_tests::{ServerOptions, Stack, repository};

async fn start() -> (Stack, Client) {
    let stack = Stack::start(ServerOptions::default()).await;
    let token = stack.server.org("acme").await.token;
    let client = connect(&stack.server.url(), &token).unwrap();
    (stack, client)
}

async fn mesh(client: &Client, name: &str) -> types::Mesh {
    let body = types::CreateMesh::builder()
        .name(name)
        .deletion_protection(false);
    let made = client.create_mesh().org("-").body(body).send().await;
    made.unwrap().into_inner()
}

fn service_on(port: u16) -> types::ServiceSpec {
    let text = r#"{"ports": [{"name": "http", "port": 8080, "protocol": "http"}]}"#;
    from_json(&text.replace("8080", &port.to_string())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_generated_client_creates_reads_lists_replaces_and_deletes() {
    let (_stack, client) = start().await;
    let made = mesh(&client, "prod").await;
    assert_eq!(
        (made.name.as_str(), made.meta.kind.as_str()),
        ("prod", "mesh")
    );

    let put = || {
        client
            .put_service()
            .org("-")
            .mesh("prod")
            .service("payments")
    };
    let tried = put()
        .dry_run(true)
        .body(service_on(8080))
        .send()
        .await
        .unwrap();
    assert_eq!(tried.headers()["heddle-dry-run"], "true");
    let created = put().body(service_on(8080)).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let etag = created.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(created.meta.etag, etag);

    let get = || {
        client
            .get_service()
            .org("-")
            .mesh("prod")
            .service("payments")
    };
    let read = get().send().await.unwrap();
    assert_eq!(
        (read.status().as_u16(), read.meta.etag.as_str()),
        (200, etag.as_str())
    );
    let listed = client.list_services().org("-").mesh("prod");
    let listed = listed.limit(10_u64).filter("name=payments");
    let listed = listed.send().await.unwrap();
    let names: Vec<_> = listed.items.iter().map(|one| one.name.as_deref()).collect();
    assert_eq!(names, [Some("payments")]);
    assert_eq!(listed.next_cursor, None);

    let replaced = put()
        .if_match(&etag)
        .body(service_on(8081))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (replaced.status().as_u16(), replaced.ports[0].port),
        (200, 8081)
    );
    // A merge patch, with null for what goes.
    let patch: types::PatchService =
        from_json(r#"{"display_name": "Payments", "labels": null}"#).unwrap();
    let patched = client
        .patch_service()
        .org("-")
        .mesh("prod")
        .service("payments");
    let patched = patched.body(patch).send().await.unwrap();
    assert_eq!(patched.display_name.as_deref(), Some("Payments"));

    let delete = client
        .delete_service()
        .org("-")
        .mesh("prod")
        .service("payments");
    assert_eq!(delete.send().await.unwrap().status(), 204);
    let gone = get().send().await.unwrap_err();
    assert_eq!(gone.problem().unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_generated_client_reads_problems_with_their_pointers() {
    let (stack, client) = start().await;
    let _ = mesh(&client, "prod").await;
    let put = || {
        client
            .put_service()
            .org("-")
            .mesh("prod")
            .service("payments")
    };
    let created = put().body(service_on(8080)).send().await.unwrap();
    let stale = put().if_match("\"another\"").body(service_on(8081)).send();
    let stale = stale.await.unwrap_err();
    let problem = stale.problem().unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (412, "HED-2012"));

    let mut bad = service_on(0);
    bad.profile = Some(types::Name(String::from("Not a name")));
    let refused = put().body(bad).send().await.unwrap_err();
    let problem = refused.problem().unwrap();
    let pointers: Vec<&str> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
    assert_eq!(
        (problem.status, pointers),
        (422, vec!["/ports/0/port", "/profile"])
    );
    let get = client
        .get_service()
        .org("-")
        .mesh("prod")
        .service("payments");
    assert_eq!(get.send().await.unwrap().meta.etag, created.meta.etag);

    let stranger = connect(&stack.server.url(), "heddle_pat_none").unwrap();
    let unknown = stranger.list_meshes().org("-").send().await.unwrap_err();
    assert_eq!(unknown.problem().unwrap().status, 401);
    assert!(connect("http://127.0.0.1:9", "no\nheader").is_err());
    let nowhere = connect("http://127.0.0.1:9", "x").unwrap();
    let lost = nowhere.list_meshes().org("-").send().await.unwrap_err();
    assert!(lost.problem().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_shows_what_works() {
    let page = std::fs::read_to_string(repository().join("clients/rust/README.md")).unwrap();
    let block = page.split("```rust\n").nth(1).unwrap();
    let block = block.split("\n```").next().unwrap();
    assert!(
        include_str!("client/shown.rs").contains(block),
        "tests/it/client/shown.rs has another program"
    );
    let stack = Stack::start(ServerOptions::default()).await;
    let token = stack.server.org("acme").await.token;
    shown::walk(stack.server.url(), token).await.unwrap();
}
