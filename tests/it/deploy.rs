//! What operators start from: units that start, a chart, an image and rules that their own tools accept, and names that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use heddle_tests::{
    Api, Child, EnvoyVersion, Postgres, Redis, ServerOptions, Stack, Workload, WorkloadSpec,
    free_ports, heddled, repository, scratch, until,
};
use serde_json::{Value, json};
use tokio::process::Command;

fn deploy(path: &str) -> PathBuf {
    repository().join("deploy").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap()
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

async fn run(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Output {
    let program = program.as_ref();
    let output = Command::new(program).args(args).output().await;
    output.unwrap_or_else(|error| panic!("{error}: scripts/setup --test installs {program:?}"))
}

async fn passes(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> String {
    let output = run(program, args).await;
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

fn tool(name: &str) -> PathBuf {
    repository().join(".tools/deploy/bin").join(name)
}

/// Words that begin with `prefix`, in a text.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.len() > prefix.len() && word.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_rules_and_dashboard_is_one_that_a_server_exports() {
    let redis = Redis::start().await;
    let stack = Stack::start(ServerOptions {
        redis_url: Some(redis.url()),
        ..ServerOptions::default()
    })
    .await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let spec = WorkloadSpec::of_shop("payments", "payments-1", EnvoyVersion::Newest);
    let workload = Workload::start(&stack, &api, &spec).await;
    workload.ready(&api, "shop").await;
    let rules = words(&read("prometheus/heddle.rules.yaml"), "heddle_");
    let dashboard: Value = serde_json::from_str(&read("grafana/heddle.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries: Vec<String> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    let shown = words(&queries.join("\n"), "heddle_");
    assert!(rules.len() >= 8 && shown.len() >= 15, "{rules:?} {shown:?}");
    let wanted: BTreeSet<String> = rules.union(&shown).cloned().collect();
    // A change reaches a proxy that is there.
    let body = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let path = "/meshes/shop/services/orders";
    let _ = api.put(path, body).await.expect(201);
    let (begun, patience) = (Instant::now(), Duration::from_secs(20));
    loop {
        let there = names(&stack.server.metrics().await);
        let missing: Vec<&String> = wanted.difference(&there).collect();
        if missing.is_empty() {
            break;
        }
        assert!(begun.elapsed() < patience, "{missing:?}");
    }
}

fn names(metrics: &BTreeMap<String, f64>) -> BTreeSet<String> {
    let name = |key: &String| key.split('{').next().unwrap_or_default().to_owned();
    metrics.keys().map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tools_of_each_kind_accept_what_is_theirs() {
    let image = deploy("container/Dockerfile");
    let linted = passes(tool("hadolint"), &[image.to_str().unwrap()]).await;
    assert_eq!(linted.trim(), "");

    let schema = ["--builtin-schema", "vendor.compose-spec"];
    let compose = deploy("compose/compose.yaml");
    let checked = [&schema[..], &[compose.to_str().unwrap()]].concat();
    let _ = passes(tool("check-jsonschema"), &checked).await;

    let promtool = repository().join(".tools/promtool");
    let rules = deploy("prometheus/heddle.rules.yaml");
    let _ = passes(&promtool, &["check", "rules", rules.to_str().unwrap()]).await;
    let tests = deploy("prometheus/heddle.tests.yaml");
    let _ = passes(&promtool, &["test", "rules", tests.to_str().unwrap()]).await;

    let tofu = repository().join(".tools/tofu/tofu");
    let module = deploy("terraform");
    let formatted = ["fmt", "-check", "-recursive", module.to_str().unwrap()];
    let _ = passes(tofu, &formatted).await;
    for script in [deploy("prepare.sh"), deploy("compose/roles.sh")] {
        let _ = passes("bash", &["-n", script.to_str().unwrap()]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chart_is_sound_with_everything_on_and_off() {
    let least = json!({"xds": {"address": "heddle.example.com:18000"}});
    let most = json!({
        "xds": {"address": "heddle.example.com:18000"},
        "ca": {"separate": false},
        "redis": {"enabled": true},
        "mail": {"enabled": true, "from": "heddle@example.com"},
        "api": {"publicUrl": "https://heddle.example.com"},
        "serviceMonitor": {"enabled": true},
        "networkPolicy": {"enabled": true},
    });
    let script = repository().join("tests/deploy/chart.py");
    let chart = deploy("helm/heddle");
    let cases = json!([least, most]).to_string();
    let args = [script.to_str().unwrap(), chart.to_str().unwrap(), &cases];
    let printed = passes(tool("python"), &args).await;
    let rendered: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [least, most] = rendered.as_slice() else {
        panic!("{printed}");
    };
    let file = |of: &Value, name: &str| {
        let text = &of[format!("heddle/templates/{name}")];
        text.as_str().unwrap().to_owned()
    };
    let deployment = file(least, "deployment.yaml");
    for wanted in [
        "path: /readyz",
        "path: /livez",
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
        "automountServiceAccountToken: false",
        "replicas: 2",
    ] {
        assert!(deployment.contains(wanted), "{wanted}\n{deployment}");
    }
    // The sealing key is the other container's.
    let (server, signer) = deployment.split_once("- name: heddled-ca").unwrap();
    assert!(!server.contains("SEALING_KEY") && signer.contains("SEALING_KEY"));
    assert!(!signer.contains("HEDDLE_XDS_TLS_KEY"));
    assert!(file(least, "poddisruptionbudget.yaml").contains("maxUnavailable: 1"));
    assert!(file(least, "migrate.yaml").contains("helm.sh/hook: pre-install,pre-upgrade"));
    let deployment = file(most, "deployment.yaml");
    assert!(!deployment.contains("heddled-ca") && deployment.contains("HEDDLE_REDIS_URL"));
    // No secret has its value here: each comes from one that is there.
    for rendered in [least, most] {
        for text in rendered.as_object().unwrap().values() {
            let text = text.as_str().unwrap();
            assert!(
                !text.contains("kind: Secret") && !text.contains("postgres://"),
                "{text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_variable_is_one_that_the_server_knows() {
    let mut known = BTreeSet::new();
    for command in ["all", "backup"] {
        known.extend(words(
            &passes(heddled(), &[command, "--help"]).await,
            "HEDDLE_",
        ));
    }
    // What only the files of Compose themselves ask for.
    for own in [
        "HEDDLE_IMAGE",
        "HEDDLE_OWNER_PASSWORD",
        "HEDDLE_SERVER_PASSWORD",
    ] {
        known.insert(own.to_owned());
    }
    for file in [
        "compose/compose.yaml",
        "compose/roles.sh",
        "helm/heddle/templates/deployment.yaml",
        "helm/heddle/templates/migrate.yaml",
        "systemd/heddled.service",
        "systemd/heddled-ca.service",
        "systemd/heddle-migrate.service",
        "systemd/heddle-backup.service",
        "systemd/heddled.env.example",
        "systemd/ca.env.example",
        "systemd/migrate.env.example",
        "systemd/backup.env.example",
    ] {
        let unknown: Vec<String> = words(&read(file), "HEDDLE_")
            .difference(&known)
            .cloned()
            .collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

/// What a unit runs, with its own variables, where `%d` and `/run/heddle-ca` are in a directory of the test.
fn unit(name: &str, directory: &Path) -> Command {
    let text = read(&format!("systemd/{name}.service"));
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let mut line = value("ExecStart").unwrap().split(' ');
    assert_eq!(line.next(), Some("/usr/bin/heddled"));
    let mut command = Command::new(heddled());
    command.args(line).env_clear();
    for one in value("Environment")
        .unwrap_or_default()
        .split(' ')
        .filter(|one| !one.is_empty())
    {
        let (variable, value) = one.split_once('=').unwrap();
        let value = value
            .replace("%d", directory.to_str().unwrap())
            .replace("/run/heddle-ca", directory.to_str().unwrap());
        command.env(variable, value);
    }
    command
}

/// The variables of an example, with the values of the test in their place.
fn example(command: &mut Command, name: &str, values: &[(&str, &str)]) {
    let text = read(&format!("systemd/{name}.env.example"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for (variable, usual) in lines.filter_map(|line| line.split_once('=')) {
        let own = values.iter().find(|(name, _)| *name == variable);
        command.env(variable, own.map_or(usual, |(_, value)| value));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_units_of_systemd_start_a_server_that_signs_by_the_process_with_the_key() {
    let directory = scratch("heddle-it-");
    let here = directory.path();
    let postgres = Postgres::start_in(&here.join("cluster")).await;
    let _ = passes(deploy("prepare.sh"), &[here.to_str().unwrap(), "127.0.0.1"]).await;

    let mut migrate = unit("heddle-migrate", here);
    example(
        &mut migrate,
        "migrate",
        &[("DATABASE_URL", &postgres.admin_url())],
    );
    let migrated = migrate.output().await.unwrap();
    assert!(migrated.status.success(), "{}", said(&migrated));

    let mut ca = unit("heddled-ca", here);
    example(&mut ca, "ca", &[("DATABASE_URL", &postgres.ca_url())]);
    let mut ca = Child::start(&mut ca, &here.join("ca.log"));
    let [api_port, xds_port] = free_ports();
    let (api_listen, xds_listen) = (
        format!("127.0.0.1:{api_port}"),
        format!("127.0.0.1:{xds_port}"),
    );
    let mut server = unit("heddled", here);
    example(
        &mut server,
        "heddled",
        &[
            ("DATABASE_URL", &postgres.server_url()),
            ("HEDDLE_API_LISTEN", &api_listen),
            ("HEDDLE_XDS_LISTEN", &xds_listen),
            ("HEDDLE_XDS_ADDRESS", &xds_listen),
        ],
    );
    let mut server = Child::start(&mut server, &here.join("server.log"));
    let anyone = Api::new(&format!("http://{api_listen}"), "-", "");
    until(
        "it serves, and signs",
        Duration::from_secs(60),
        async || {
            assert!(!ca.has_ended(), "{}", ca.output());
            assert!(!server.has_ended(), "{}", server.output());
            if anyone.ready_status().await != Some(200) {
                return false;
            }
            let ready = anyone
                .raw(reqwest::Method::GET, "/readyz", &[], Vec::new())
                .await;
            ready.json == json!({"ready": true})
        },
    )
    .await;
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = server.wait(Duration::from_secs(30)).await;
    assert!(ended.success(), "{ended}: {}", server.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_itself_finds_nothing_wrong_with_its_units_and_little_exposed() {
    let directory = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for entry in std::fs::read_dir(deploy("systemd")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "service") {
            let text = std::fs::read_to_string(&path).unwrap();
            let there = heddled();
            let text = text.replace("/usr/bin/heddled", there.to_str().unwrap());
            let copy = directory.path().join(path.file_name().unwrap());
            std::fs::write(&copy, text).unwrap();
            units.push(copy.to_str().unwrap().to_owned());
        }
    }
    assert_eq!(units.len(), 4);
    let verify: Vec<&str> = std::iter::once("verify")
        .chain(units.iter().map(String::as_str))
        .collect();
    let verified = passes("systemd-analyze", &verify).await;
    assert_eq!(verified.trim(), "");
    for unit in &units {
        // Of a hundred; what nobody has closed has 95.
        let args = [
            "security",
            "--offline=true",
            "--threshold=15",
            unit.as_str(),
        ];
        let _ = passes("systemd-analyze", &args).await;
    }
}
