//! What the server says of itself: the page for people, and the document that programs are made from.

use std::collections::BTreeSet;
use std::process::Stdio;

use heddle_tests::{Api, ServerOptions, Stack, repository};
use reqwest::Method;
use tokio::process::Command;

async fn get(api: &Api, path: &str) -> heddle_tests::Reply {
    api.raw(Method::GET, path, &[], Vec::new()).await
}

/// What a page or a style sheet loads: the values of `src` and `href`, and every `url(...)`.
fn loads(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (start, end) in [("src=\"", '"'), ("href=\"", '"'), ("url(", ')')] {
        for part in text.split(start).skip(1) {
            let address = part.split(end).next().unwrap().trim_matches(['"', '\'']);
            // Data is part of the file, a fragment is a place in it.
            if !address.starts_with("data:") && !address.starts_with('#') {
                found.insert(address.to_owned());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_for_people_comes_whole_from_the_server() {
    let stack = Stack::start(ServerOptions::default()).await;
    let anyone = stack.server.caller("-", "");
    // The client follows the redirect that adds the slash.
    let page = get(&anyone, "/docs").await.expect(200);
    assert!(
        page.content_type.starts_with("text/html"),
        "{}",
        page.content_type
    );
    let files = loads(&page.text);
    assert!(files.len() >= 5, "{files:?}");
    let mut scripts = 0;
    for file in &files {
        assert!(!file.contains("//"), "{file} is not ours");
        let name = file.trim_start_matches("./");
        let reply = get(&anyone, &format!("/docs/{name}")).await.expect(200);
        assert!(!reply.text.is_empty(), "{file}");
        if name.ends_with(".js") {
            assert!(
                reply.content_type.contains("javascript"),
                "{file}: {}",
                reply.content_type
            );
            scripts += 1;
        }
        if name.ends_with(".css") {
            assert_eq!(loads(&reply.text), BTreeSet::new(), "{file}");
        }
    }
    assert!(scripts >= 3, "{files:?}");
    let start = get(&anyone, "/docs/swagger-initializer.js")
        .await
        .expect(200);
    assert!(
        start.text.contains("\"/v1/openapi.json\""),
        "{}",
        start.text
    );
    assert!(
        start.text.contains("\"validatorUrl\": \"none\""),
        "{}",
        start.text
    );
    let _ = get(&anyone, "/docs/nothing.js").await.expect(404);

    // The browser is told to load from nowhere else.
    let answer = reqwest::get(format!("{}/docs/", stack.server.url()))
        .await
        .unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("http"),
        "{policy}"
    );

    // Both notations say the same, and what is checked in.
    let json = get(&anyone, "/v1/openapi.json").await.expect(200);
    let checked_in = std::fs::read_to_string(repository().join("api/openapi.json")).unwrap();
    assert_eq!(
        json.json,
        serde_json::from_str::<serde_json::Value>(&checked_in).unwrap()
    );
    let yaml = get(&anyone, "/v1/openapi.yaml").await.expect(200);
    assert_eq!(yaml.content_type, "application/yaml");
    assert!(
        yaml.text.starts_with("openapi: 3.1.0"),
        "{}",
        &yaml.text[..40]
    );
}

#[tokio::test]
async fn the_linter_finds_nothing_in_the_document() {
    let tool = repository().join(".tools/spectral/node_modules/.bin/spectral");
    assert!(
        tool.exists(),
        "no {}: run `scripts/setup --test` first",
        tool.display()
    );
    let lint = async |document: &str| {
        let output = Command::new(&tool)
            .args([
                "lint",
                "--fail-severity=hint",
                "--format=text",
                "--ruleset=tests/spectral/ruleset.yaml",
            ])
            .arg(document)
            .current_dir(repository())
            // It would report home what it was used for.
            .env("SCARF_ANALYTICS", "false")
            .env("DO_NOT_TRACK", "1")
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.success(),
            said + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (good, said) = lint("api/openapi.json").await;
    assert!(good, "{said}");

    // That it finds something where there is something.
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(repository().join("api/openapi.json")).unwrap();
    let mut spoilt: serde_json::Value = serde_json::from_str(&text).unwrap();
    spoilt.as_object_mut().unwrap().remove("tags");
    let file = directory.path().join("openapi.json");
    std::fs::write(&file, spoilt.to_string()).unwrap();
    let (good, said) = lint(&file.to_string_lossy()).await;
    assert!(!good && said.contains("operation-tag-defined"), "{said}");
}
