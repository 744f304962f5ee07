//! The command line where Envoys are: bootstraps, joining, looking at proxies, and finding out what is wrong, with real Envoys.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use heddle_tests::{
    Api, Envoy, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, free_port, free_ports,
    heddle, repository, until,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::docs;

const PATIENCE: Duration = Duration::from_secs(30);

/// A person at a host.
struct Person {
    folder: tempfile::TempDir,
    url: String,
    token: String,
}

/// What came of a command.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }
}

fn ended(output: &Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

impl Person {
    fn new(stack: &Stack, api: &Api) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            url: stack.server.url(),
            token: api.token.clone(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(heddle());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HEDDLE_CONFIG_DIR", self.folder.path().join("config"))
            .env("HEDDLE_SERVER", &self.url)
            .env("HEDDLE_MESH", "shop")
            .env("HEDDLE_TOKEN", &self.token)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        ended(&self.command(arguments).output().await.unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn stack() -> (Stack, Api, Person) {
    let stack = Stack::start(ServerOptions::default()).await;
    let mesh = json!({"access_default": "allow"});
    let api = stack.mesh("acme", "shop", mesh, &["payments"]).await;
    let person = Person::new(&stack, &api);
    (stack, api, person)
}

fn spec(proxy: &str) -> WorkloadSpec<'_> {
    WorkloadSpec {
        mesh: "shop",
        service: "payments",
        version: "v1",
        proxy,
        envoy: EnvoyVersion::Newest,
    }
}

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
    let _envoy = Envoy::start(
        EnvoyVersion::Newest,
        stack.directory.path(),
        "payments-1",
        &made.out,
        admin.parse().unwrap(),
    )
    .await;
    until("it is ready", PATIENCE, async || {
        let shown = api.get("/meshes/shop/proxies/payments-1").await;
        shown.status == 200 && shown.json["state"] == "ready"
    })
    .await;
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

/// The checks by name, as `heddle doctor -o json` tells them.
fn states(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|c| (text(&c["check"]), text(&c["state"])))
        .collect()
}

#[track_caller]
fn has(report: &Value, check: &str, state: &str) {
    let all = states(report);
    let found = all.contains(&(check.to_owned(), state.to_owned()));
    assert!(found, "{check} is not {state}: {report:#}");
    for one in report["checks"].as_array().unwrap() {
        if one["state"] == "error" {
            assert!(
                one["fix"].as_str().is_some_and(|fix| !fix.is_empty()),
                "{one}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_finds_what_is_wrong() {
    let (stack, api, person) = stack().await;
    let binary = EnvoyVersion::Newest.binary();
    let binary = binary.to_str().unwrap().to_owned();
    let [inbound, outbound, admin] = free_ports::<3>().map(|port| port.to_string());
    let made = person
        .run(&[
            "bootstrap",
            "payments",
            "payments-1",
            "--bind-address",
            "127.0.0.1",
            "--new-token",
            "token",
            "--inbound-port",
            &inbound,
            "--outbound-port",
            &outbound,
            "--admin-port",
            &admin,
            "-o",
            "json",
        ])
        .await
        .expect(0);
    std::fs::write(person.path("envoy.yaml"), &made.out).unwrap();
    let envoy = Envoy::start(
        EnvoyVersion::Newest,
        stack.directory.path(),
        "payments-1",
        &made.out,
        admin.parse().unwrap(),
    )
    .await;
    until("it is ready", PATIENCE, async || {
        let shown = api.get("/meshes/shop/proxies/payments-1").await;
        shown.status == 200 && shown.json["state"] == "ready"
    })
    .await;
    let doctor = async |file: &str| {
        person
            .run(&["doctor", file, "--envoy", &binary, "-o", "json"])
            .await
    };
    // Everything is fine, and everything was looked at.
    let healthy = doctor("envoy.yaml").await.expect(0).json();
    assert_eq!(healthy["ok"], true);
    for (check, state) in states(&healthy) {
        assert_eq!(state, "ok", "{check}: {healthy:#}");
    }
    assert!(states(&healthy).len() > 15, "{healthy:#}");
    let shown = person
        .run(&["doctor", "envoy.yaml", "--envoy", &binary])
        .await
        .expect(0);
    assert!(
        shown
            .out
            .contains("  √ the token is accepted: the server knows it"),
        "{}",
        shown.out
    );
    let secret = std::fs::read_to_string(person.path("token")).unwrap();
    assert!(!shown.out.contains(&secret) && !healthy.to_string().contains(&secret));

    let with = |from: &str, to: &str| {
        assert!(made.out.contains(from), "{from}");
        std::fs::write(person.path("wrong.yaml"), made.out.replace(from, to)).unwrap();
    };
    let token_file = person.path("token").display().to_string();
    // Another authority.
    let stranger = rcgen_authority();
    let mut document = made.json();
    document["dynamic_resources"]["ads_config"]["grpc_services"][0]["google_grpc"]["channel_credentials"]
        ["ssl_credentials"]["root_certs"]["inline_string"] = json!(stranger);
    std::fs::write(person.path("wrong.yaml"), document.to_string()).unwrap();
    let report = doctor("wrong.yaml").await.expect(1).json();
    has(&report, "certificate", "error");
    has(&report, "the token is accepted", "skipped");
    has(&report, "connection", "ok");
    assert!(
        report.to_string().contains("has another authority"),
        "{report:#}"
    );
    // A port where nobody listens, and a name that nobody has.
    let server = format!("127.0.0.1:{}", stack.server.xds_port());
    with(&server, &format!("127.0.0.1:{}", free_port()));
    let report = doctor("wrong.yaml").await.expect(1).json();
    has(&report, "connection", "error");
    has(&report, "certificate", "skipped");
    // Envoy would say that it is connected also while it waits.
    has(&report, "connected to the server", "warning");
    with(&server, "nobody.invalid:443");
    has(&doctor("wrong.yaml").await.expect(1).json(), "DNS", "error");
    // A port where somebody else listens.
    with(&server, &format!("127.0.0.1:{}", stack.server.api_port()));
    has(
        &doctor("wrong.yaml").await.expect(1).json(),
        "certificate",
        "error",
    );
    // No token file; one that others may read; a token that lost a character; one of another kind.
    with(&token_file, "/nowhere/token");
    has(
        &doctor("wrong.yaml").await.expect(1).json(),
        "where it is",
        "error",
    );
    std::fs::set_permissions(person.path("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    has(
        &doctor("envoy.yaml").await.expect(0).json(),
        "where it is",
        "warning",
    );
    std::fs::set_permissions(person.path("token"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let other = person.path("other").display().to_string();
    for wrong in [&secret[..secret.len() - 1], &api.token, ""] {
        std::fs::write(person.path("other"), wrong).unwrap();
        std::fs::set_permissions(person.path("other"), std::fs::Permissions::from_mode(0o600))
            .unwrap();
        with(&token_file, &other);
        has(
            &doctor("wrong.yaml").await.expect(1).json(),
            "its form",
            "error",
        );
    }
    // No admin interface, and that of another one.
    with(
        &format!("\"port_value\": {admin}"),
        &format!("\"port_value\": {}", free_port()),
    );
    let report = doctor("wrong.yaml").await.expect(1).json();
    has(&report, "admin interface", "error");
    has(&report, "connected to the server", "skipped");
    with("\"id\": \"payments-1\"", "\"id\": \"payments-7\"");
    has(
        &doctor("wrong.yaml").await.expect(1).json(),
        "it is this one",
        "error",
    );
    // No Envoy that runs here, no file, no YAML.
    let report = person
        .run(&[
            "doctor",
            "envoy.yaml",
            "--envoy",
            "/bin/false",
            "-o",
            "json",
        ])
        .await
        .expect(1)
        .json();
    has(&report, "binary", "error");
    has(
        &doctor("none.yaml").await.expect(1).json(),
        "the file",
        "error",
    );
    std::fs::write(person.path("wrong.yaml"), "a: [").unwrap();
    has(
        &doctor("wrong.yaml").await.expect(1).json(),
        "the file",
        "error",
    );
    // A token that is revoked: the server says so, and the Envoy has lost its stream.
    let tokens = api.get("/meshes/shop/join-tokens").await.expect(200);
    let name = tokens.json["items"][0]["name"].as_str().unwrap().to_owned();
    let _ = api
        .delete(&format!("/meshes/shop/join-tokens/{name}"))
        .await
        .expect(204);
    until("the Envoy is disconnected", PATIENCE, async || {
        envoy.stat("control_plane.connected_state").await == 0
    })
    .await;
    let report = doctor("envoy.yaml").await.expect(1).json();
    has(&report, "the token is accepted", "error");
    has(&report, "connected to the server", "error");
    has(&report, "certificate", "ok");
    // Without any credential of a person, and without a server to ask, it says the same of the rest.
    let output = person
        .command(&["doctor", "envoy.yaml", "--envoy", &binary, "-o", "json"])
        .env_remove("HEDDLE_TOKEN")
        .env_remove("HEDDLE_SERVER")
        .output()
        .await
        .unwrap();
    has(
        &ended(&output).expect(1).json(),
        "the token is accepted",
        "error",
    );
}

/// The certificate of an authority that nobody knows.
fn rcgen_authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.self_signed(&key).unwrap().pem()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_about_envoys_does_what_it_shows() {
    let (_stack, _api, person) = stack().await;
    let page = std::fs::read_to_string(repository().join("docs/envoys.md")).unwrap();
    let command = |script: &str| {
        let program = heddle();
        let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
        let mut command = person.command(&[]);
        let mut shell = Command::new("bash");
        shell
            .args(["-c", script])
            .current_dir(person.folder.path())
            .env_clear()
            .env("PATH", path)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, value) in command.as_std_mut().get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        shell
    };
    docs::execute(&page, command).await;
}
