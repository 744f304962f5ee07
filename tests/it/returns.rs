//! However long Heddle was away: every Envoy is back within seconds of its return.

use std::time::{Duration, Instant};

use futures::future::join_all;
use heddle_tests::{Api, Envoy, EnvoyVersion, ServerOptions, Stack, free_ports, until};
use reqwest::Method;
use serde_json::json;

/// How long after Heddle's return an Envoy may be missing: its longest pause, an attempt, and some for a busy machine.
const BACK: Duration = Duration::from_secs(10);
/// Long enough for an Envoy to have failed several times if its streams do not wait.
const AWAY: Duration = Duration::from_secs(8);

/// Where a proxy's join token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    File,
    Inline,
}

/// One that runs.
struct Proxy {
    name: String,
    token: Token,
    envoy: Envoy,
}

impl Proxy {
    /// Starts an Envoy: with a bootstrap of its own, or with an overlay beside a file that holds next to nothing.
    async fn start(stack: &Stack, document: &Document) -> Self {
        let (version, directory) = (document.version, stack.directory.path());
        let (name, admin) = (document.name.clone(), document.admin);
        let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": admin}});
        let own = json!({"admin": {"address": address}}).to_string();
        let (file, overlay) = match document.overlay {
            true => (&own, Some(document.text.as_str())),
            false => (&document.text, None),
        };
        let envoy = Envoy::start_beside(version, directory, &name, file, overlay, admin).await;
        let token = document.token;
        Self { name, token, envoy }
    }

    async fn back(&self, api: &Api, within: Duration) {
        let path = format!("/meshes/shop/proxies/{}", self.name);
        until(&format!("{} is ready", self.name), within, async || {
            api.get(&path).await.json["state"] == "ready"
        })
        .await;
    }
}

/// What an Envoy is started with.
struct Document {
    name: String,
    version: EnvoyVersion,
    token: Token,
    admin: u16,
    text: String,
    overlay: bool,
}

impl Document {
    async fn of(
        stack: &Stack,
        api: &Api,
        version: EnvoyVersion,
        token: Token,
        overlay: bool,
    ) -> Self {
        let kind = if overlay { "overlay" } else { "managed" };
        let name = format!("{kind}-{version:?}-{token:?}").to_lowercase();
        let body = json!({"name": name, "service": "payments", "reusable": true});
        let made = api.post("/meshes/shop/join-tokens", body).await.expect(201);
        let secret = made.json["secret"].as_str().unwrap();
        let [admin, inbound, outbound] = free_ports();
        let mode = match overlay {
            true => String::from("mode=augment"),
            false => format!(
                "bind_address=127.0.0.1&app_address=127.0.0.1&inbound_port={inbound}&outbound_port={outbound}&admin_port={admin}"
            ),
        };
        let mut path = format!("/v1/orgs/acme/meshes/shop/bootstrap?{mode}&proxy={name}");
        if token == Token::File {
            let file = stack.directory.path().join(format!("{name}.token"));
            std::fs::write(&file, secret).unwrap();
            path.push_str(&format!("&token_file={}", file.display()));
        }
        let accept = [("accept", "application/yaml")];
        let as_proxy = api.with_token(secret);
        let text = as_proxy.raw(Method::GET, &path, &accept, Vec::new()).await;
        let text = text.expect(200).text;
        assert_eq!(text.contains(secret), token == Token::Inline);
        Self {
            name,
            version,
            token,
            admin,
            text,
            overlay,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_envoy_is_back_within_seconds_of_the_servers_return() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let allow = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", allow, &["payments"]).await;
    let mut documents = Vec::new();
    for overlay in [false, true] {
        for version in EnvoyVersion::BOTH {
            for token in [Token::File, Token::Inline] {
                documents.push(Document::of(&stack, &api, version, token, overlay).await);
            }
        }
    }
    // Half of them lose a server that they know, the others have never seen one.
    let (first, later) = documents.split_at(documents.len() / 2);
    let lost = join_all(first.iter().map(|one| Proxy::start(&stack, one))).await;
    join_all(
        lost.iter()
            .map(|one| one.back(&api, Duration::from_secs(30))),
    )
    .await;

    stack.server.kill().await;
    let dead = Instant::now();
    let fresh = join_all(later.iter().map(|one| Proxy::start(&stack, one))).await;
    until("it has been away", AWAY * 2, async || {
        dead.elapsed() >= AWAY
    })
    .await;
    // gRPC's own client takes its pauses from the bootstrap while a stream waits, and Envoy's when streams fail: up
    // to 30 s. So there is one stream for each connection, however long it is waited for.
    for (proxies, streams) in [(&lost, 2), (&fresh, 1)] {
        for one in proxies.iter().filter(|one| one.token == Token::File) {
            let began = one.envoy.stat("grpc.heddle_xds.streams_total").await;
            assert_eq!(began, streams, "{}", one.name);
        }
    }

    stack.server.start_again().await;
    let everybody = lost.iter().chain(&fresh);
    join_all(everybody.map(|one| one.back(&api, BACK))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_replaced_in_its_file_counts_without_a_restart_of_envoy() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let allow = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", allow, &["payments"]).await;
    let mut proxies = Vec::new();
    for version in EnvoyVersion::BOTH {
        let document = Document::of(&stack, &api, version, Token::File, false).await;
        proxies.push(Proxy::start(&stack, &document).await);
    }
    let soon = Duration::from_secs(30);
    join_all(proxies.iter().map(|one| one.back(&api, soon))).await;

    let next = json!({"name": "next", "service": "payments", "reusable": true});
    let next = api.post("/meshes/shop/join-tokens", next).await.expect(201);
    for one in &proxies {
        let file = stack.directory.path().join(format!("{}.token", one.name));
        std::fs::write(file, next.json["secret"].as_str().unwrap()).unwrap();
        let old = format!("/meshes/shop/join-tokens/{}", one.name);
        let _ = api.delete(&old).await.expect(204);
    }
    // From here on nobody comes in with what those Envoys were started with.
    stack.server.kill().await;
    stack.server.start_again().await;
    for one in &proxies {
        let path = format!("/meshes/shop/proxies/{}", one.name);
        until("it is back by the new token", soon, async || {
            let proxy = api.get(&path).await.json;
            proxy["state"] == "ready" && proxy["meta"]["join_token"] == next.json["meta"]["uid"]
        })
        .await;
    }
}
