//! Every example of the help, executed: whoever adds a command adds an example, and this test runs it.
//!
//! What is there before each example, so that it can name it:
//!
//! * organisation `acme`; the examples are run by its owner, ada@example.com;
//! * mesh `prod` (no deletion protection) with services `payments` (label `team: pay`, port `http`) and `checkout`; below `payments`
//!   the route `all`, its split, and the access rule `checkout-may`;
//! * a real Envoy, the proxy `payments-1` of `payments` at version `v1`, connected; its admin interface is at `$ENVOY_ADMIN`
//!   (`http://localhost:15000` in an example is replaced by it);
//! * service account `deployer` (role developer), its API token `ci`, and the join token `payments-hosts`;
//! * four revisions: 1 is the mesh, 2 everything below it, 3 a label of `checkout` that nobody touches later, 4 the split;
//! * the webhook `deployments`, which leads to somebody who takes nothing;
//! * a real identity provider, `https://id.example.com` in an example, and the connection `workforce` to it; what it is shown is in `secret.txt`;
//! * context `prod`; files `mesh.yaml`, and `services/all.yaml` with everything below the mesh;
//!   `own.yaml`, with which an Envoy starts that nobody manages.
//!
//! `http://localhost:8080` in an example is the server. An example that has not ended by itself after a second and a half is one of
//! [`ENDLESS`], and gets a ctrl-C.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use heddle_tests::{
    Api, EnvoyVersion, IdentityProvider, ServerOptions, Stack, Workload, WorkloadSpec,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{run, shell, signed_in_as, text};

/// The revocation that examples name.
const REVOCATION: &str = "rvk_01jdbg8ehwfdftt7h57xet4v7y";
/// What runs until somebody ends it.
const ENDLESS: &[&str] = &["events -f", "--watch"];

/// Every command with its help, by asking for the help of each.
async fn pages(folder: &Path, server: &str) -> Vec<(String, String, bool)> {
    let mut left = vec![String::new()];
    let mut all = Vec::new();
    while let Some(path) = left.pop() {
        let help = run(&format!("heddle {path} --help"), folder, server, "").await;
        let help = text(&help.stdout);
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let mut leaf = true;
        for line in commands.take_while(|line| !line.is_empty()) {
            // A description that is longer than a line goes on further to the right.
            let name = line
                .strip_prefix("  ")
                .filter(|rest| !rest.starts_with(' '));
            let name = name.and_then(|rest| rest.split_whitespace().next());
            leaf = false;
            left.extend(
                name.filter(|n| *n != "help")
                    .map(|name| format!("{path} {name}").trim().to_owned()),
            );
        }
        all.push((path, help, leaf));
    }
    all
}

/// The examples of a help page.
fn examples(help: &str) -> Vec<String> {
    let after = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    after
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

const MESH: &str = "kind: mesh\nname: prod\ndeletion_protection: false\n";
const SERVICES: &str = "kind: service\nname: payments\nlabels: {team: pay}\nports: [{name: http, port: 80, protocol: http}]\n---\n\
    kind: route\nservice: payments\nname: all\npriority: 1\nbackends: [{version: v1}]\n---\n\
    kind: split\nservice: payments\nroute: all\nweights: [{version: v1, weight: 1}]\n---\n\
    kind: access_rule\nservice: payments\nname: checkout-may\naction: allow\nfrom: [{service: checkout}]\n";

/// What lies below the mesh, as `apply` takes it.
fn below() -> Value {
    json!([
        {"kind": "service", "name": "payments", "labels": {"team": "pay"},
         "ports": [{"name": "http", "port": 80, "protocol": "http"}]},
        {"kind": "route", "service": "payments", "name": "all", "priority": 1, "backends": [{"version": "v1"}]},
        {"kind": "split", "service": "payments", "route": "all", "weights": [{"version": "v1", "weight": 1}]},
        {"kind": "access_rule", "service": "payments", "name": "checkout-may", "action": "allow",
         "from": [{"service": "checkout"}]},
    ])
}

/// Whatever an example has changed is as it was.
async fn restore(api: &Api) {
    let resources = json!({"resources": below()});
    let path = "/meshes/prod/apply?takeover=true";
    let _ = api.post(path, resources).await.expect(200);
    // Those that are still there are in the way, which is as well.
    let token = json!({"name": "ci", "service_account": "deployer"});
    let token = api.post("/tokens", token).await.status;
    let join = json!({"name": "payments-hosts", "service": "payments", "reusable": true});
    let join = api.post("/meshes/prod/join-tokens", join).await.status;
    assert!(
        [token, join]
            .iter()
            .all(|status| [201, 409].contains(status))
    );
}

/// The four revisions, the account and its role.
async fn set_up(api: &Api) {
    let mesh = json!({"deletion_protection": false});
    let _ = api.put("/meshes/prod", mesh).await.expect(201);
    let checkout = json!({"kind": "service", "name": "checkout",
                          "ports": [{"name": "http", "port": 80, "protocol": "http"}]});
    let mut all = below();
    all.as_array_mut().unwrap().insert(0, checkout.clone());
    let _ = api
        .post("/meshes/prod/apply", json!({"resources": all}))
        .await
        .expect(200);
    let label = json!({"labels": {"tier": "gold"}});
    let _ = api
        .patch("/meshes/prod/services/checkout", label)
        .await
        .expect(200);
    let split = json!({"weights": [{"version": "v1", "weight": 2}]});
    let _ = api
        .put("/meshes/prod/services/payments/routes/all/split", split)
        .await
        .expect(200);
    let account = json!({"name": "deployer"});
    let _ = api.post("/service-accounts", account).await.expect(201);
    let role = json!({"role": "developer", "service_account": "deployer"});
    let _ = api.post("/role-bindings", role).await.expect(201);
    restore(api).await;
}

/// A revocation that is in force.
async fn revoked(api: &Api) -> String {
    let body = json!({"service": "checkout", "reason": "an example"});
    let made = api.post("/meshes/prod/revocations", body).await.expect(201);
    made.json["meta"]["uid"].as_str().unwrap().to_owned()
}

/// Signs in as an example says; a member lets the code in.
async fn sign_in(ada: &Api, example: &str, folder: &Path, server: &str) {
    let script = format!("export HEDDLE_SERVER={server}\n{example}");
    let mut child = shell(&script, folder, server, "")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, code)) = line.split_once("/console/device?code=") {
            let path = format!("/device-authorizations/{code}/approvals");
            let _ = ada.post(&path, json!({})).await.expect(201);
        }
    }
    assert!(child.wait().await.unwrap().success(), "{example}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_of_the_help_works() {
    let mut provider = IdentityProvider::planned();
    let options = ServerOptions {
        egress: provider.settings(),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let ada = signed_in_as(&stack, "owner").await;
    let server = stack.server.url();
    let back = format!("{server}/console/sso/acme/workforce");
    provider.start(&[&back]).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("secret.txt"), provider.secret()).unwrap();
    std::fs::create_dir(folder.join("services")).unwrap();
    std::fs::write(folder.join("mesh.yaml"), MESH).unwrap();
    std::fs::write(folder.join("services/all.yaml"), SERVICES).unwrap();
    std::fs::write(folder.join("own.yaml"), "static_resources: {}\n").unwrap();
    set_up(&ada).await;
    let spec = WorkloadSpec {
        mesh: "prod",
        service: "payments",
        version: "v1",
        proxy: "payments-1",
        envoy: EnvoyVersion::Newest,
    };
    let workload = Workload::start(&stack, &ada, &spec).await;
    workload.ready(&ada, "prod").await;
    let admin = workload.envoy.admin_url();

    let pages = pages(folder, &server).await;
    let without: Vec<&str> = pages
        .iter()
        .filter(|(path, help, leaf)| {
            let own = format!("heddle {path}");
            *leaf && !examples(help).iter().any(|example| example.contains(&own))
        })
        .map(|(path, ..)| path.as_str())
        .collect();
    assert_eq!(without, [""; 0], "commands without an example of their own");
    let leaves = pages.iter().filter(|(.., leaf)| *leaf).count();
    assert!(leaves > 25, "{leaves}");
    let all: BTreeSet<String> = pages
        .iter()
        .flat_map(|(_, help, _)| examples(help))
        .collect();
    assert!(all.len() > leaves, "{all:#?}");
    let (signing_in, mut rest): (Vec<&String>, Vec<&String>) = all
        .iter()
        .partition(|example| example.contains("heddle login"));
    for example in signing_in {
        let example = example.replace("http://localhost:8080", &server);
        sign_in(&ada, &example, folder, &server).await;
    }
    // Those who sign out were signed in, whoever is revoked is away, and a rotation waits for certificates that were asked for.
    rest.sort_by_key(|example| {
        let revokes = example.contains("heddle revoke");
        let asks = example.contains("heddle certificates");
        (revokes, asks, !example.contains("heddle logout"))
    });
    for example in rest {
        restore(&ada).await;
        let connection = provider.connection("workforce");
        let connected = ada.post("/sso-connections", connection).await.status;
        assert!([201, 409].contains(&connected), "{connected}");
        let body = json!({"name": "deployments", "url": provider.issuer(), "topics": ["revision"]});
        let made = ada.post("/webhooks", body).await.status;
        assert!([201, 409].contains(&made), "{made}");
        let enabled = json!({"enabled": true});
        let _ = ada
            .patch("/webhooks/deployments", enabled)
            .await
            .expect(200);
        let pinged = ada.post("/webhooks/deployments/pings", json!({})).await;
        let _ = pinged.expect(202);
        let own = example
            .replace("https://id.example.com", &provider.issuer())
            .replace("http://localhost:8080", &server)
            .replace("http://localhost:15000", &admin);
        let own = match own.contains(REVOCATION) {
            true => own.replace(REVOCATION, &revoked(&ada).await),
            false => own,
        };
        let own = match ENDLESS.iter().any(|endless| example.contains(endless)) {
            true => format!("timeout --preserve-status -s INT 1.5 {own}"),
            false => own,
        };
        let context = match example.contains("context") {
            true => "heddle context set prod >/dev/null 2>&1 || exit 98\n",
            false => "",
        };
        let script = format!(
            "export HEDDLE_SERVER={server} HEDDLE_MESH=prod ENVOY_ADMIN={admin}\n{context}set -o pipefail\n{own}"
        );
        let token = match example.contains("logout") {
            true => "",
            false => ada.token.as_str(),
        };
        let output = run(&script, folder, &server, token).await;
        assert!(
            output.status.success(),
            "{example}: {}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
    }
}
