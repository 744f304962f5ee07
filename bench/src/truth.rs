//! Real Envoys beside the simulated ones: what they refuse, or do not get, makes the figures worthless.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

use crate::org::{MESH, Org};
use crate::report::Report;
use crate::scenario::Size;

/// How long one may take until it has what it should have.
const PATIENCE: Duration = Duration::from_secs(60);

/// Some Envoys of one service.
pub(crate) struct Truth {
    http: reqwest::Client,
    envoys: Vec<Real>,
}

struct Real {
    /// Where its administration interface listens.
    admin: String,
    /// Killed when it is dropped.
    _process: Child,
}

impl Truth {
    /// Starts so many as are asked for, with the token of a service, and waits until they serve.
    ///
    /// # Errors
    /// There is no Envoy on this machine, or one does not get its configuration within a minute.
    pub(crate) async fn start(
        size: &Size,
        directory: &Path,
        org: &Org,
        token: &str,
    ) -> anyhow::Result<Self> {
        let mut envoys = Vec::new();
        for number in 0..size.envoys {
            let binary = find(size.envoy.as_deref())?;
            envoys.push(Real::start(&binary, directory, org, token, number).await?);
        }
        let truth = Self {
            http: org.http.clone(),
            envoys,
        };
        for envoy in &truth.envoys {
            truth
                .until(envoy, "serve", "/ready", |text| text.contains("LIVE"))
                .await?;
        }
        Ok(truth)
    }

    async fn page(&self, envoy: &Real, path: &str) -> anyhow::Result<String> {
        let url = format!("http://{}{path}", envoy.admin);
        Ok(self.http.get(url).send().await?.text().await?)
    }

    /// Until a page says so.
    async fn until(
        &self,
        envoy: &Real,
        what: &str,
        path: &str,
        says: impl Fn(&str) -> bool,
    ) -> anyhow::Result<String> {
        let began = Instant::now();
        loop {
            // Its interface opens a moment after it is started.
            let text = self.page(envoy, path).await.unwrap_or_default();
            if says(&text) {
                return Ok(text);
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "a real Envoy does not {what} within {PATIENCE:?}: {path} says {text}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until each knows endpoints at all of these addresses.
    ///
    /// # Errors
    /// One does not within a minute.
    pub(crate) async fn knows(&self, addresses: &[String]) -> anyhow::Result<()> {
        let all = |text: &str| {
            let mut addresses = addresses.iter();
            addresses.all(|address| text.contains(&format!("::{address}:")))
        };
        for envoy in &self.envoys {
            self.until(envoy, "know the last addresses", "/clusters", all)
                .await?;
        }
        Ok(())
    }

    /// Reports what they took and refused.
    ///
    /// # Errors
    /// One is not connected, has refused something or has taken nothing.
    pub(crate) async fn check(&self, report: &mut Report) -> anyhow::Result<()> {
        let (mut taken, mut refused) = (0, 0);
        for envoy in &self.envoys {
            let connected = |text: &str| stat(text, "control_plane.connected_state") > 0;
            let text = self
                .until(envoy, "be connected", "/stats", connected)
                .await?;
            refused += stat(&text, ".update_rejected");
            let success = stat(&text, ".update_success");
            ensure!(success > 0, "a real Envoy got nothing");
            taken += success;
        }
        report.count("real_envoys", self.envoys.len());
        report.count("real_envoys_updates_taken", taken);
        report.count("real_envoys_updates_refused", refused);
        ensure!(refused == 0, "real Envoys refused {refused} updates");
        Ok(())
    }
}

/// The sum of all statistics whose names end so.
fn stat(text: &str, end: &str) -> u64 {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    let values = lines.filter(|(name, _)| name.ends_with(end));
    values.filter_map(|(_, v)| v.parse::<u64>().ok()).sum()
}

impl Real {
    async fn start(
        binary: &Path,
        directory: &Path,
        org: &Org,
        token: &str,
        number: usize,
    ) -> anyhow::Result<Self> {
        // All at once, so that they differ.
        let listeners = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0"));
        let mut ports = [0; 3];
        for (port, listener) in ports.iter_mut().zip(listeners) {
            *port = listener?.local_addr()?.port();
        }
        let [inbound, outbound, admin] = ports;
        let url = format!(
            "{}/v1/orgs/{}/meshes/{MESH}/bootstrap?proxy=real-{number}&bind_address=127.0.0.1\
             &advertise_address=127.0.0.1&app_address=127.0.0.1&inbound_port={inbound}\
             &outbound_port={outbound}&admin_port={admin}",
            org.api, org.name
        );
        let answer = org.http.get(url).bearer_auth(token);
        let answer = answer.header("accept", "application/yaml").send().await?;
        let status = answer.status();
        let bootstrap = answer.text().await?;
        ensure!(status.is_success(), "the bootstrap: {status}: {bootstrap}");
        let file = directory.join(format!("real-{number}.yaml"));
        std::fs::write(&file, bootstrap)?;
        let log = std::fs::File::create(directory.join(format!("real-{number}.log")))?;
        let process = Command::new(binary)
            .arg("-c")
            .arg(&file)
            .args(["--concurrency", "1", "--disable-hot-restart"])
            .args(["--log-level", "warn"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        Ok(Self {
            admin: format!("127.0.0.1:{admin}"),
            _process: process,
        })
    }
}

/// The one asked for, the one that `scripts/setup` installed above this directory or this program, the one in `PATH`.
fn find(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(asked) = asked {
        return Ok(asked.to_owned());
    }
    let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
    let above = starts.iter().flatten().flat_map(|start| start.ancestors());
    let installed = above.filter_map(|directory| {
        let pythons = std::fs::read_dir(directory.join(".tools/venv/lib")).ok()?;
        let mut binaries = pythons
            .flatten()
            .map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
        binaries.find(|file| file.is_file())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join("envoy"));
    match installed
        .chain(in_path.filter(|file| file.is_file()))
        .next()
    {
        Some(file) => Ok(file),
        None => {
            bail!("no Envoy: run `make setup`, name one with --envoy, or do without: --envoys 0")
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn statistics_add_up_by_the_ends_of_their_names() {
        let text = "cluster.a.update_rejected: 1\nlistener_manager.lds.update_rejected: 2\n\
                    x.update_rejected_other: 4\nhistogram: P0(1,1)\ncluster.b.update_success: 8\n";
        assert_eq!(super::stat(text, ".update_rejected"), 3);
        assert_eq!(super::stat(text, ".update_success"), 8);
    }
}
