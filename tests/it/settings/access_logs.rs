//! Access logs: where a line goes, and whether there is one.

use heddle_tests::{Collector, Workload, until, until_some};
use serde_json::{Value, json};

use super::SOON;
use super::shop::Shop;

/// Each level writes into another sink. A call has a path of its own, so its line can be told from others.
pub(super) async fn access_logs(shop: &Shop) {
    let collector = Collector::start().await;
    let file = shop.stack.directory.path().join("access.json");
    let to = |sink: Value| json!({"access_log": {"to": [sink]}});
    // Connections that exist end with what they began with: each write moves a bound too, so that callers make new ones.
    let with_new_connections = |mut settings: Value, most: u32| {
        settings["circuit_breaking"] = json!({"max_connections": most});
        settings
    };
    let mut counter = 0;
    let mut call = async |prefix: &str| {
        counter += 1;
        let path = format!("/r/{prefix}-{counter}");
        let _ = shop.reports.call("payments", &path).await;
        path
    };

    let settings = to(json!({"file": {"path": file.to_str().unwrap()}}));
    shop.say("mesh", with_new_connections(settings, 1001)).await;
    let line: Value = until_some("mesh: a line in the file", SOON, async || {
        let path = call("file").await;
        let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let earlier = |line: &Value| line["service"] == "payments" && line["path"] != path.as_str();
        lines
            .filter(earlier)
            .find(|line| line["direction"] == "inbound")
    })
    .await;
    assert_eq!(
        (&line["method"], &line["response_code"]),
        (&json!("GET"), &json!(200))
    );
    assert!(
        line["downstream_peer_uri_san"]
            .as_str()
            .unwrap()
            .ends_with("/service/reports")
    );

    let settings = to(json!({"otlp": {"host": "127.0.0.1", "port": collector.port}}));
    shop.say("profile", with_new_connections(settings, 1002))
        .await;
    let record = until_some("profile: a record at the collector", SOON, async || {
        let _ = call("otlp").await;
        collector.records().into_iter().next()
    })
    .await;
    assert_eq!(record.resource["service.name"], "payments");
    assert_eq!(record.attributes["direction"], "inbound");
    assert!(record.attributes["path"].starts_with("/r/"), "{record:?}");
    assert_eq!(record.attributes["response_code"], "200");

    // Of what the service receives nothing, of what it calls everything, on standard output.
    let settings =
        json!({"access_log": {"inbound": "none", "outbound": "all", "to": [{"stdout": {}}]}});
    shop.say("service", with_new_connections(settings, 1003))
        .await;
    until(
        "service: calls that succeed are written down too",
        SOON,
        async || {
            // On a connection of its own: it may have existed before.
            let url = format!("http://127.0.0.1:{}/r/out", shop.one.outbound_port);
            let request = reqwest::Client::new().get(url).header("host", "payments");
            let _ = request.send().await;
            let lines = shop.one.envoy.access_log();
            let ours = |line: &&Value| line["direction"] == "outbound" && line["path"] == "/r/out";
            lines
                .iter()
                .filter(ours)
                .any(|line| line["response_code"] == 200)
        },
    )
    .await;
    let quiet = async || {
        let path = call("quiet").await;
        let seen = |workload: &Workload| {
            let lines = workload.envoy.access_log();
            lines.iter().any(|line| line["path"] == path.as_str())
        };
        let known = |record: &heddle_tests::LogRecord| record.attributes["path"] == path;
        !shop.payments().into_iter().any(seen) && !collector.records().iter().any(known)
    };
    until("service: requests that arrive are not", SOON, quiet).await;
    shop.hush().await;
}
