//! The command line where Envoys are: bootstraps, joining, looking at proxies, and finding out what is wrong, with real Envoys.

mod bootstrap;
mod connect;
mod doctor;
mod proxies;

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

/// The Envoy `payments-1`, started with this bootstrap and ready.
async fn joined(stack: &Stack, api: &Api, bootstrap: &str, admin: &str) -> Envoy {
    let (directory, admin) = (stack.directory.path(), admin.parse().unwrap());
    let newest = EnvoyVersion::Newest;
    let envoy = Envoy::start(newest, directory, "payments-1", bootstrap, admin).await;
    until("it is ready", PATIENCE, async || {
        let shown = api.get("/meshes/shop/proxies/payments-1").await;
        shown.status == 200 && shown.json["state"] == "ready"
    })
    .await;
    envoy
}

fn spec(proxy: &str) -> WorkloadSpec<'_> {
    WorkloadSpec::of_shop("payments", proxy, EnvoyVersion::Newest)
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
