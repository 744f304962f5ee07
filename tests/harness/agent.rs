//! `heddle agent`: the agent of a host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::api::Api;
use crate::process::{Child, heddle};
use crate::server::Server;
use crate::tls::write_private;
use crate::until::until;

/// An agent, and what it is started with.
pub struct Agent {
    /// Where its files lie: in `identity`, and beside them the join token.
    pub folder: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Agent {
    /// Starts one that serves on a socket and keeps files, with a join token of its own, and waits for its first certificate.
    pub async fn start(server: &Server, api: &Api, folder: &Path, service: &str) -> Self {
        let mut agent = Self::new(server, api, folder, service).await;
        agent.start_again().await;
        agent
    }

    /// The same, not started.
    pub async fn new(server: &Server, api: &Api, folder: &Path, service: &str) -> Self {
        let folder = folder.join(format!("agent-{service}"));
        std::fs::create_dir_all(&folder).expect("a directory");
        let name = format!("{service}-agent");
        let body = serde_json::json!({"name": name, "service": service});
        let made = api.post("/meshes/shop/join-tokens", body).await.expect(201);
        let token = made.json["secret"].as_str().expect("a secret");
        write_private(&folder.join("token"), token);
        std::fs::write(folder.join("xds-ca.pem"), server.xds_ca_pem()).expect("a file");
        let path = |name: &str| folder.join(name).display().to_string();
        let arguments = [
            ("--proxy", name.clone()),
            ("--service", service.to_owned()),
            ("--join-token", path("token")),
            ("--xds-address", format!("127.0.0.1:{}", server.xds_port())),
            ("--xds-ca", path("xds-ca.pem")),
            ("--files", path("identity")),
        ];
        let arguments = arguments.into_iter();
        Self {
            arguments: arguments
                .flat_map(|(flag, value)| [flag.to_owned(), value])
                .collect(),
            folder,
            child: None,
        }
    }

    /// `heddle agent` for it, without a socket.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(heddle());
        command.arg("agent").args(&self.arguments);
        command
    }

    /// Starts it, and waits until its socket is there and has something to hand out.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = self.command();
        command.arg("--socket").arg(self.socket());
        let mut child = Child::start(&mut command, &self.folder.join("log"));
        until("the agent serves", Duration::from_secs(30), async || {
            assert!(!child.has_ended(), "the agent ended:\n{}", child.output());
            self.socket().exists() && self.file("svid.pem").exists()
        })
        .await;
        self.child = Some(child);
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("agent.sock")
    }

    /// One of its files.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join("identity").join(name)
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Kills it; its socket stays.
    ///
    /// # Panics
    /// It does not run.
    pub async fn kill(&mut self) {
        self.child.take().expect("it runs").kill().await;
    }

    /// Ends it in an orderly way.
    ///
    /// # Panics
    /// It does not run, or does not end well.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.signal(nix::sys::signal::Signal::SIGTERM);
        let status = child.wait(Duration::from_secs(10)).await;
        assert!(status.success(), "{status}:\n{}", child.output());
    }
}
