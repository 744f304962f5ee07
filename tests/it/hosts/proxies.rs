//! What there is of a mesh's proxies, and what each is told.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_are_listed_judged_and_looked_into() {
    let (stack, api, person) = stack().await;
    let none = person.run(&["proxies", "status"]).await.expect(0);
    assert!(none.err.contains("There are no proxies"), "{}", none.err);
    let mut one = Workload::start(&stack, &api, &spec("payments-1")).await;
    one.ready(&api, "shop").await;
    let listed = person
        .run(&["proxies", "list", "-s", "payments"])
        .await
        .expect(0);
    assert!(
        listed.out.contains("payments-1") && listed.out.contains("ready"),
        "{}",
        listed.out
    );
    let other = person
        .run(&["proxies", "list", "-s", "other", "-o", "json"])
        .await
        .expect(0);
    assert_eq!(other.json(), json!({"items": []}));
    let named = person
        .run(&["proxies", "list", "--state", "ready", "-o", "name"])
        .await
        .expect(0);
    assert_eq!(named.out, "proxy/payments-1\n");
    let synced = person.run(&["proxies", "status"]).await.expect(0);
    assert!(synced.out.contains("SYNCED"), "{}", synced.out);
    let nacks = person.run(&["proxies", "nacks"]).await.expect(0);
    assert!(nacks.out.is_empty() && nacks.err.contains("No proxy refuses anything"));

    let table = person
        .run(&["proxies", "config", "payments-1"])
        .await
        .expect(0);
    for part in [
        &format!("127.0.0.1:{}", one.inbound_port),
        "listener    heddle/inbound/http",
        "service payments /ports/0",
        "identity until 20",
        "acked",
    ] {
        assert!(table.out.contains(part), "{part}\n{}", table.out);
    }
    assert!(table.err.contains("Connected: revision"), "{}", table.err);
    let listeners = person
        .run(&["proxies", "config", "payments-1", "listeners", "-o", "json"])
        .await
        .expect(0)
        .json();
    let listeners = listeners["items"].as_array().unwrap();
    assert_eq!(listeners.len(), 2);
    assert!(listeners[0]["config"]["filter_chains"].is_array());
    let whole = person
        .run(&[
            "proxies",
            "config",
            "payments-1",
            "--name",
            "heddle/outbound",
        ])
        .await
        .expect(0);
    assert!(whole.out.contains("virtual_hosts:"), "{}", whole.out);
    let unknown = person
        .run(&["proxies", "config", "payments-1", "--name", "x"])
        .await
        .expect(3);
    assert!(unknown.err.contains("hint:"), "{}", unknown.err);
    person.run(&["proxies", "config", "nobody"]).await.expect(3);

    // Another one, which cannot listen where it is told to.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let [outbound, admin] = free_ports();
    let (outbound, admin_port) = (outbound.to_string(), admin.to_string());
    let bootstrap = person
        .run(&[
            "bootstrap",
            "payments",
            "payments-2",
            "--bind-address",
            "127.0.0.1",
            "--new-token",
            "token",
            "--inbound-port",
            &port,
            "--outbound-port",
            &outbound,
            "--admin-port",
            &admin_port,
        ])
        .await
        .expect(0);
    let second = Envoy::start(
        EnvoyVersion::Newest,
        stack.directory.path(),
        "payments-2",
        &bootstrap.out,
        admin,
    )
    .await;
    until("it refuses its listener", PATIENCE, async || {
        let shown = api.get("/meshes/shop/proxies/payments-2").await;
        shown.status == 200 && shown.json["state"] == "nacked"
    })
    .await;
    let status = person.run(&["proxies", "status"]).await.expect(6);
    assert!(
        status.out.contains("NACK") && status.out.contains("refuses 1: LDS heddle/inbound/http"),
        "{}",
        status.out
    );
    assert!(
        status.err.contains("hint: `heddle proxies nacks`"),
        "{}",
        status.err
    );
    let explained = person.run(&["proxies", "nacks"]).await.expect(6);
    for part in [
        "payments-2 (service payments) refuses the listener heddle/inbound/http",
        "came from   service payments, field",
        "Envoy says",
    ] {
        assert!(explained.out.contains(part), "{part}\n{}", explained.out);
    }
    let shown = person
        .run(&["proxies", "config", "payments-2", "listeners"])
        .await
        .expect(0);
    assert!(shown.out.contains("rejected"), "{}", shown.out);
    drop(second);
    // And one that has gone.
    one.envoy.kill().await;
    until("both are offline", PATIENCE, async || {
        let status = person
            .run(&["proxies", "status", "-o", "json"])
            .await
            .json();
        status["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["status"] == "OFFLINE")
    })
    .await;
    person.run(&["proxies", "status"]).await.expect(6);
    person
        .run(&["proxies", "status", "--allow-offline"])
        .await
        .expect(0);
    let told = person
        .run(&["proxies", "config", "payments-1"])
        .await
        .expect(0);
    assert!(
        told.err
            .contains("Not connected: this is what it would get"),
        "{}",
        told.err
    );
}
