//! The guide to backups, as it stands.

use heddle_tests::{ServerOptions, Stack, heddled};
use serde_json::json;
use tokio::process::Command;

use super::go_on;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let directory = stack.directory.path();
    // As the data directory of `heddled up` looks.
    std::os::unix::fs::symlink(stack.postgres.data(), directory.join(".heddle")).unwrap();
    let data = directory.join(".heddle");
    std::fs::copy(directory.join("sealing.key"), data.join("keys/sealing.key")).unwrap();
    std::fs::create_dir(data.join("tls")).unwrap();
    let beside = heddled().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(beside).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).unwrap();
    let page = heddle_tests::repository().join("docs/guides/back-up-and-restore.md");
    let page = std::fs::read_to_string(page).unwrap();
    let shown = crate::docs::steps(&page);
    assert_eq!(shown.iter().filter(|step| step.shown.is_some()).count(), 2);
    crate::docs::execute(&page, |script| {
        let mut command = Command::new("bash");
        command
            .args(["-c", script])
            .current_dir(directory)
            .env("PATH", &path)
            .env("HEDDLE", stack.server.url())
            .env("TOKEN", &api.token)
            .env_remove("DATABASE_URL");
        command
    })
    .await;
    let restored = directory.join("restored");
    let mut stack = stack;
    stack.server.kill().await;
    stack.postgres.kill().await;
    go_on(&mut stack, &restored).await;
    let _ = api
        .get("/meshes/shop/services/written-last")
        .await
        .expect(200);
}
