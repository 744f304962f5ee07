//! The file that an Envoy starts with, and its token.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_and_its_token_start_an_envoy() {
    let (stack, api, person) = stack().await;
    let [inbound, outbound, admin] = free_ports::<3>().map(|port| port.to_string());
    let ports = [
        "--inbound-port",
        &inbound,
        "--outbound-port",
        &outbound,
        "--admin-port",
        &admin,
    ];
    let mut arguments = vec![
        "bootstrap",
        "payments",
        "payments-1",
        "--bind-address",
        "127.0.0.1",
    ];
    arguments.extend(ports);
    arguments.extend(["--new-token", "token"]);
    let made = person.run(&arguments).await.expect(0);
    let secret = std::fs::read_to_string(person.path("token")).unwrap();
    assert!(secret.starts_with("heddle_join_"));
    assert_eq!(mode(&person.path("token")), 0o600);
    assert!(!made.out.contains(&secret) && !made.err.contains(&secret));
    assert!(
        made.out.contains(person.path("token").to_str().unwrap()),
        "{}",
        made.out
    );
    let _envoy = joined(&stack, &api, &made.out, &admin).await;
    // The token itself is printed only to whoever asks for that and has it.
    let inline = person
        .run(&[
            "bootstrap",
            "payments",
            "p2",
            "--bind-address",
            "127.0.0.1",
            "--inline-token",
            "token",
            "-o",
            "json",
        ])
        .await
        .expect(0);
    assert!(inline.out.contains(&secret) && inline.err.contains("whoever reads it"));
    assert_eq!(inline.json()["node"]["id"], "p2");
    // What cannot be is said, and no token is left behind.
    let refused = person
        .run(&[
            "bootstrap",
            "nobody",
            "p2",
            "--bind-address",
            "127.0.0.1",
            "--new-token",
            "other",
        ])
        .await
        .expect(6);
    assert!(
        refused.err.contains("there is no service nobody"),
        "{}",
        refused.err
    );
    assert!(!person.path("other").exists());
    let tokens = api.get("/meshes/shop/join-tokens").await.expect(200);
    assert_eq!(tokens.json["items"].as_array().unwrap().len(), 1);
}
