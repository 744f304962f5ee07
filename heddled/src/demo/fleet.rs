//! The demo's processes: four small services, each with a real Envoy beside it on an address of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{Method, StatusCode};
use nix::sys::signal::Signal;

use super::{Demo, MESH, ORG};
use crate::up::files::write_private;
use crate::up::ports;
use crate::up::process::{Child, Spec};
use crate::up::{output::say, ready};

const APP_PORT: u16 = 8080;
const INBOUND_PORT: u16 = 15_006;
const OUTBOUND_PORT: u16 = 15_001;
const ADMIN_PORT: u16 = 15_000;

/// One service instance with its Envoy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) service: &'static str,
    pub(crate) version: &'static str,
    /// The service that it asks before it answers.
    calls: Option<&'static str>,
    /// The last number of its address.
    host: u8,
}

/// All of them.
pub(crate) const PROXIES: [Proxy; 4] = [
    Proxy {
        name: "frontend",
        service: "frontend",
        version: "v1",
        calls: Some("checkout"),
        host: 1,
    },
    Proxy {
        name: "checkout",
        service: "checkout",
        version: "v1",
        calls: Some("payments"),
        host: 2,
    },
    Proxy {
        name: "payments-v1",
        service: "payments",
        version: "v1",
        calls: None,
        host: 3,
    },
    Proxy {
        name: "payments-v2",
        service: "payments",
        version: "v2",
        calls: None,
        host: 4,
    },
];

/// The demo's loopback addresses, 127.0.N.1 to 127.0.N.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(u8);

impl Network {
    /// Last time's, if it is free by and by; else the first free one of 127.0.1.x to 127.0.200.x.
    ///
    /// # Errors
    /// None is free.
    pub(crate) async fn choose(last: Option<u8>) -> anyhow::Result<Self> {
        if let Some(last) = last.filter(|last| (1..=200).contains(last)) {
            match ports::become_free(&Self(last).addresses()).await {
                Ok(()) => return Ok(Self(last)),
                Err(error) => say(&format!(
                    "127.0.{last}.x is busy ({error}); moving the demo"
                )),
            }
        }
        let mut candidates = (1..=200).map(Self);
        let found = candidates.find(|network| {
            network
                .addresses()
                .iter()
                .all(|&address| ports::is_free(address).is_ok())
        });
        found.context("no free loopback addresses for the demo in 127.0.1.x to 127.0.200.x")
    }

    /// The number to choose again next time.
    pub(crate) fn number(self) -> u8 {
        self.0
    }

    /// Where the frontend answers, without any Envoy before it: a person's browser has no certificate.
    pub(crate) fn frontend_url(self) -> String {
        format!("http://{}", self.address(&PROXIES[0], APP_PORT))
    }

    /// The proxy, as the ready file names it.
    pub(crate) fn describe(self, proxy: &Proxy) -> ready::Proxy {
        ready::Proxy {
            name: proxy.name.to_owned(),
            service: proxy.service.to_owned(),
            admin: format!("http://{}", self.address(proxy, ADMIN_PORT)),
        }
    }

    fn address(self, proxy: &Proxy, port: u16) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::new(127, 0, self.0, proxy.host).into(), port)
    }

    fn addresses(self) -> Vec<SocketAddr> {
        let ports = [APP_PORT, INBOUND_PORT, OUTBOUND_PORT, ADMIN_PORT];
        PROXIES
            .iter()
            .flat_map(|proxy| ports.map(|port| self.address(proxy, port)))
            .collect()
    }
}

impl Demo<'_> {
    /// Fetches the bootstrap of one Envoy into a file. A join token that does not work any more is replaced.
    ///
    /// # Errors
    /// The API refuses.
    pub(crate) async fn bootstrap(
        &self,
        token: &str,
        network: Network,
        proxy: Proxy,
    ) -> anyhow::Result<PathBuf> {
        let Proxy {
            name,
            service,
            version,
            ..
        } = proxy;
        let ip = network.address(&proxy, 0).ip();
        let url = format!(
            "{}/v1/orgs/{ORG}/meshes/{MESH}/bootstrap?proxy={name}&version={version}\
             &bind_address={ip}&advertise_address={ip}&app_address={ip}\
             &inbound_port={INBOUND_PORT}&outbound_port={OUTBOUND_PORT}&admin_port={ADMIN_PORT}",
            self.server.api_url()
        );
        for renew in [false, true] {
            let join_token = self.join_token(token, service, renew).await?;
            let answer = self
                .http
                .call(Method::GET, &url, &join_token, "application/yaml", None)
                .await?;
            match answer.status {
                StatusCode::OK => {
                    let path = self.data.demo().join(format!("{name}.yaml"));
                    write_private(&path, &answer.body)?;
                    return Ok(path);
                }
                StatusCode::UNAUTHORIZED if !renew => {}
                _ => bail!("fetch the bootstrap of {name}: {}", answer.summary()),
            }
        }
        bail!("fetch the bootstrap of {name}: a new join token is not accepted either")
    }

    /// Starts one instance: the service and its Envoy.
    ///
    /// # Errors
    /// Our own executable cannot be found.
    pub(crate) fn start_proxy(
        &self,
        network: Network,
        proxy: Proxy,
        bootstrap: &Path,
    ) -> anyhow::Result<[Child; 2]> {
        let logs = self.data.logs();
        let executable = std::env::current_exe().context("find our own executable")?;
        let listen = network.address(&proxy, APP_PORT).to_string();
        let mut app = Spec::new(format!("{}-app", proxy.name), executable, &logs)
            .args([
                "demo-app",
                "--name",
                proxy.service,
                "--version",
                proxy.version,
            ])
            .args(["--listen", &listen]);
        if let Some(callee) = proxy.calls {
            let via = network.address(&proxy, OUTBOUND_PORT).to_string();
            app = app.args(["--calls", callee, "--via", &via]);
        }
        let mut envoy = Spec::new(proxy.name, &self.envoy, &logs)
            .args(["-c".as_ref(), bootstrap.as_os_str()])
            // Hot restart would leave shared memory behind, and needs a base id for each of several.
            .args(["--concurrency", "1", "--disable-hot-restart"])
            // What an Envoy let in and refused is in its log at once, not after Envoy's 10 seconds.
            .args(["--file-flush-interval-msec", "500"])
            .args(["--drain-time-s", "2"])
            .args(["--log-level", self.args.envoy_log_level.as_str()]);
        envoy.stop = vec![(Signal::SIGTERM, Duration::from_secs(5))];
        Ok([Child::start(app), Child::start(envoy)])
    }
}

/// The Envoy to run: the one asked for, the one that `scripts/setup` installed in a directory above the
/// current one or above this executable, the one in `PATH`.
///
/// # Errors
/// There is none.
pub(crate) fn find_envoy(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(asked) = asked {
        return asked
            .canonicalize()
            .with_context(|| format!("find Envoy at {}", asked.display()));
    }
    let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
    let above = starts.iter().flatten().flat_map(|start| start.ancestors());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path)
        .map(|directory| directory.join("envoy"))
        .find(|file| file.is_file());
    above
        .filter_map(installed_below)
        .next()
        .or(in_path)
        .context("no Envoy: run scripts/setup, name one with --envoy, or put one into PATH")
}

fn installed_below(directory: &Path) -> Option<PathBuf> {
    let libraries = std::fs::read_dir(directory.join(".tools/venv/lib")).ok()?;
    libraries
        .flatten()
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_network_is_left_to_its_user() {
        let number = Network::choose(None).await.unwrap().number();
        let taken = Network(number).address(&PROXIES[2], INBOUND_PORT);
        let _holder = std::net::TcpListener::bind(taken).unwrap();
        assert_ne!(Network::choose(None).await.unwrap().number(), number);
        assert_ne!(
            Network::choose(Some(number)).await.unwrap().number(),
            number
        );
    }

    #[test]
    fn an_envoy_is_found_where_the_set_up_puts_it() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir
            .path()
            .join(".tools/venv/lib/python3.99/site-packages/envoy/_bin");
        std::fs::create_dir_all(&bin).unwrap();
        assert_eq!(installed_below(dir.path()), None);
        std::fs::write(bin.join("envoy"), "").unwrap();
        assert_eq!(installed_below(dir.path()), Some(bin.join("envoy")));
        assert!(find_envoy(Some(&dir.path().join("none"))).is_err());
    }

    #[test]
    fn every_instance_has_addresses_of_its_own() {
        let addresses = Network(7).addresses();
        let distinct: std::collections::BTreeSet<_> = addresses.iter().collect();
        assert_eq!(distinct.len(), 16);
        assert_eq!(Network(7).frontend_url(), "http://127.0.7.1:8080");
    }
}
