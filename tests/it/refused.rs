//! Connections that are refused leave nothing behind.

use std::time::Duration;

use heddle_tests::{ServerOptions, Stack, XdsClient, evidence, node, until};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Resident memory in KiB, and open files.
fn footprint(pid: i32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    (kib, files)
}

/// So many connections, each refused for one of five reasons.
async fn refused(stack: &Stack, token: &str, count: usize) {
    for n in 0..count {
        match n % 5 {
            0 => {
                let refused = XdsClient::connect(&stack.server, "hdl_wrong", node("p", "")).await;
                assert!(refused.is_err());
            }
            1 => {
                let refused = XdsClient::connect(&stack.server, "", node("p", "")).await;
                assert!(refused.is_err());
            }
            2 => {
                let stranger = node("not a name", "");
                let refused = XdsClient::connect(&stack.server, token, stranger).await;
                assert!(refused.is_err());
            }
            3 => {
                let address = ("127.0.0.1", stack.server.xds_port());
                let mut plain = TcpStream::connect(address).await.unwrap();
                let _reset = plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
            }
            // These take long; a few will do.
            _ if n % 50 != 4 => {
                let refused = XdsClient::connect(&stack.server, "hdl_no", node("p", "")).await;
                assert!(refused.is_err());
            }
            _ => {
                let mut huge = node("p", "");
                huge.user_agent_name = "x".repeat(5 << 20);
                let refused = XdsClient::connect(&stack.server, token, huge).await;
                assert!(refused.is_err());
            }
        }
    }
}

async fn leave_nothing(warm: usize, count: usize, name: &str) {
    let stack = Stack::start(ServerOptions::default()).await;
    let spec = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", spec, &["payments"]).await;
    let token = json!({"name": "t", "service": "payments", "reusable": true});
    let token = api
        .post("/meshes/shop/join-tokens", token)
        .await
        .expect(201);
    let token = token.json["secret"].as_str().unwrap().to_owned();
    let pid = stack.server.pid();
    // Allocators and pools reach their size first.
    refused(&stack, &token, warm).await;
    let before = footprint(pid);
    refused(&stack, &token, count).await;
    until(
        "all connections are gone",
        Duration::from_secs(30),
        async || footprint(pid).1 <= before.1,
    )
    .await;
    let after = footprint(pid);
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let growth = (after.0 as f64 / before.0 as f64 - 1.0) * 100.0;
    evidence(
        name,
        0,
        json!({"refused_connections": count, "rss_before_kib": before.0, "rss_after_kib": after.0, "rss_growth_percent": growth, "files_before": before.1, "files_after": after.1}),
    );
    assert!(growth <= 2.0, "{before:?} -> {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `make test-long`"]
async fn xds_x43_ten_thousand_refused_connections_leave_nothing() {
    leave_nothing(2_000, 10_000, "refused_connections").await;
}
