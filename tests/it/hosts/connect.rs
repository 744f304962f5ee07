//! An Envoy of this host that joins, watched until it is ready.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_of_this_host_is_connected_and_watched() {
    let (_stack, api, person) = stack().await;
    let binary = EnvoyVersion::Newest.binary();
    let binary = binary.to_str().unwrap();
    let [inbound, outbound, admin] = free_ports::<3>().map(|port| port.to_string());
    let ports = [
        "--bind-address",
        "127.0.0.1",
        "--inbound-port",
        &inbound,
        "--outbound-port",
        &outbound,
        "--admin-port",
        &admin,
        "--envoy",
        binary,
    ];
    // Nobody starts it.
    let mut waiting = vec![
        "connect",
        "payments",
        "payments-1",
        "--dir",
        "one",
        "--timeout",
        "1",
    ];
    waiting.extend(ports);
    let waited = person.run(&waiting).await.expect(7);
    let bootstrap = person.path("one/envoy.yaml");
    assert_eq!(waited.out, format!("{binary} -c {}\n", bootstrap.display()));
    assert!(waited.err.contains("heddle doctor"), "{}", waited.err);
    assert_eq!(mode(&person.path("one/token")), 0o600);
    // With the token that is there, it starts it itself, and stays.
    let mut running = vec!["connect", "payments", "payments-1", "--dir", "one", "--run"];
    running.extend(["--join-token", "one/token"]);
    running.extend(ports);
    let log = std::fs::File::create(person.path("log")).unwrap();
    let mut child = person
        .command(&running)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    let said = || std::fs::read_to_string(person.path("log")).unwrap();
    until("the proxy is ready", PATIENCE, async || {
        said().contains("It is ready, and runs as long as this program")
    })
    .await;
    assert!(said().contains("√ Others can call it"), "{}", said());
    // Somebody else sees it at once, without starting anything.
    let mut seeing = vec![
        "connect",
        "payments",
        "payments-1",
        "--dir",
        "one",
        "-o",
        "json",
    ];
    seeing.extend(["--join-token", "one/token"]);
    seeing.extend(ports);
    let seen = person.run(&seeing).await.expect(0);
    for light in [
        "has joined",
        "is connected",
        "has its configuration: revision",
        "can call it, at 127.0.0.1",
    ] {
        assert!(seen.err.contains(light), "{light}\n{}", seen.err);
    }
    assert_eq!(seen.json()["proxy"]["state"], "ready");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().await.unwrap().success(), "{}", said());
    until("the Envoy has ended with it", PATIENCE, async || {
        api.get("/meshes/shop/proxies/payments-1").await.json["state"] == "offline"
    })
    .await;
    // An Envoy that cannot start is not waited for.
    std::fs::write(
        person.path("false"),
        "#!/bin/sh\necho 'x/1.40.0/y'\n[ \"$1\" = --version ]\n",
    )
    .unwrap();
    std::fs::set_permissions(person.path("false"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let failing = [
        "connect",
        "payments",
        "p3",
        "--bind-address",
        "127.0.0.1",
        "--envoy",
        "./false",
        "--run",
    ];
    let failed = person.run(&failing).await.expect(1);
    assert!(failed.err.contains("Envoy ended"), "{}", failed.err);
    // One that is too old is not even tried, and nothing is written.
    std::fs::write(person.path("false"), "#!/bin/sh\necho 'x/1.20.1/y'\n").unwrap();
    let old = [
        "connect",
        "payments",
        "p4",
        "--bind-address",
        "127.0.0.1",
        "--envoy",
        "./false",
        "--dir",
        "four",
    ];
    let refused = person.run(&old).await.expect(1);
    assert!(
        refused.err.contains("older than what is supported"),
        "{}",
        refused.err
    );
    assert!(!person.path("four").exists());
}
