//! The demo of `heddled up --demo`: a shop of three services, each behind its own real Envoy.
//!
//! It is an ordinary user of the API: what it makes, it makes with an organisation's token over HTTP, once.
//! What a person changes or deletes afterwards stays changed, also after a restart.

pub(crate) mod app;
pub(crate) mod fleet;
pub(crate) mod load;
pub(crate) mod member;
pub(crate) mod objects;

use std::time::Duration;

use anyhow::bail;
use http::StatusCode;

use crate::cli::UpArgs;
use crate::up::data_dir::{Choices, DataDir};
use crate::up::files::private_dir;
use crate::up::http_client::Client;
use crate::up::output::say;
use crate::up::ready::{Member, Ready};
use crate::up::running::Running;
use crate::up::server::Server;
use crate::up::wait;

/// The organisation of the demo.
pub(crate) const ORG: &str = "demo";
/// Its mesh.
pub(crate) const MESH: &str = "shop";

/// How long the whole demo may take from its first process to its first good answer.
const START: Duration = Duration::from_secs(60);

/// What the demo is made with.
pub(crate) struct Demo<'a> {
    pub(crate) server: &'a Server,
    pub(crate) http: &'a Client,
    pub(crate) data: &'a DataDir,
    pub(crate) envoy: std::path::PathBuf,
    pub(crate) args: &'a UpArgs,
}

impl Demo<'_> {
    /// Starts it, fills in what the ready file says about it and returns what a person needs next.
    ///
    /// # Errors
    /// Any part does not start, or, the first time, no good answer comes through all of them.
    pub(crate) async fn start(
        &self,
        choices: &mut Choices,
        running: &mut Running,
        ready: &mut Ready,
    ) -> anyhow::Result<String> {
        private_dir(&self.data.demo().join("tokens"))?;
        let token = self.organisation().await?;
        let first_time = self.objects(&token).await?;
        let member = self.member(&token, first_time).await?;

        let network = fleet::Network::choose(choices.demo_net).await?;
        choices.demo_net = Some(network.number());
        self.data.remember(choices)?;

        let mut started = Vec::new();
        for proxy in fleet::PROXIES {
            match self.bootstrap(&token, network, proxy).await {
                Ok(file) => {
                    started.push(proxy);
                    running
                        .fleet
                        .extend(self.start_proxy(network, proxy, &file)?);
                }
                Err(error) if first_time => return Err(error),
                Err(error) => {
                    tracing::warn!(proxy = proxy.name, "{error:#}; going on without it");
                }
            }
        }
        let frontend = network.frontend_url();
        let settled = wait::until("the demo answers", START, async || {
            for child in &running.fleet {
                child.check(3)?;
            }
            self.settled(network, &started, &frontend, first_time).await
        });
        match settled.await {
            Ok(StatusCode::OK) => {}
            Ok(status) => say(&format!(
                "The frontend answers {status}, as the mesh now says."
            )),
            Err(error) if first_time => {
                bail!("{error:#}; {}", self.last_answer(&frontend).await);
            }
            // A person may have broken the mesh on purpose, and needs the API to repair it.
            Err(error) => {
                tracing::warn!("{error:#}; {}", self.last_answer(&frontend).await);
            }
        }
        self.note_made()?;
        running.load = Some(load::Load::start(self.http.clone(), frontend.clone()));

        ready.frontend = Some(frontend.clone());
        ready.org = Some(ORG.to_owned());
        ready.mesh = Some(MESH.to_owned());
        ready.token = Some(token.clone());
        ready.member = member.clone();
        ready.proxies = started
            .iter()
            .map(|proxy| network.describe(proxy))
            .collect();
        Ok(self.invitation(&token, member.as_ref(), &frontend))
    }

    /// The frontend's status once all Envoys have their configuration and requests get through. After a
    /// restart a refusal is an answer too: a person may have left an access rule that denies.
    async fn settled(
        &self,
        network: fleet::Network,
        proxies: &[fleet::Proxy],
        frontend: &str,
        first_time: bool,
    ) -> anyhow::Result<Option<StatusCode>> {
        for proxy in proxies {
            let url = format!("{}/ready", network.describe(proxy).admin);
            if !self
                .http
                .get(&url)
                .await
                .is_ok_and(|answer| answer.status == StatusCode::OK)
            {
                return Ok(None);
            }
        }
        let Ok(answer) = self.http.get(frontend).await else {
            return Ok(None);
        };
        let through = answer.status == StatusCode::OK
            && answer
                .json()
                .is_ok_and(|body| body["payments"]["version"].is_string());
        let refused = !first_time && answer.status == StatusCode::FORBIDDEN;
        Ok((through || refused).then_some(answer.status))
    }

    async fn last_answer(&self, frontend: &str) -> String {
        let logs = self.data.logs();
        match self.http.get(frontend).await {
            Ok(answer) => format!(
                "{frontend} answers {} (logs in {})",
                answer.summary(),
                logs.display()
            ),
            Err(error) => format!("{error:#} (logs in {})", logs.display()),
        }
    }

    fn invitation(&self, token: &str, member: Option<&Member>, frontend: &str) -> String {
        let logs = self.data.logs();
        let logs = logs.display();
        let token_file = self.data.demo().join("token");
        let token_file = token_file.display();
        let sign_in = member.map_or_else(
            || "with the token".to_owned(),
            |member| {
                format!(
                    "organisation {ORG}, e-mail {}, password {}",
                    member.email, member.password
                )
            },
        );
        let api = self.server.api_url();
        let payments = format!("{api}/v1/orgs/{ORG}/meshes/{MESH}/services/payments");
        let curl = |method: &str, path: &str, body: Option<&str>| {
            let body = body.map(|json| format!(" -H 'Content-Type: application/json' -d '{json}'"));
            format!(
                "curl -fsS -X {method} -H \"Authorization: Bearer $(cat '{token_file}')\"{} {payments}/{path}",
                body.unwrap_or_default()
            )
        };
        let split = |v1: u8, v2: u8| {
            let body = format!(
                r#"{{"weights":[{{"version":"v1","weight":{v1}}},{{"version":"v2","weight":{v2}}}]}}"#
            );
            curl("PUT", "routes/all/split", Some(&body))
        };
        let live = format!(
            "curl -fsSN -H \"Authorization: Bearer $(cat '{token_file}')\" '{api}/v1/orgs/{ORG}/meshes/{MESH}/events?topic=rollout&wait=3s'"
        );
        let rule = "access-rules/deny-checkout";
        let deny = curl(
            "PUT",
            rule,
            Some(r#"{"action":"deny","from":[{"service":"checkout"}]}"#),
        );
        format!(
            "
Heddle serves, and so does the demo: frontend -> checkout -> payments (v1, v2), each behind its own Envoy.

  Console   {console}
  Sign in   {sign_in}
  API       {api}
  xDS       {xds}
  Frontend  {frontend}
  Token     {token}
            (also in {token_file}, for the API)
  Mail      {mail}
  Logs      {logs}
            (payments-v1.log has what that Envoy let in and what it refused)

Try it from a second terminal. What the shop answers:
  curl -s {frontend}
Shift the canary, all of payments to v2:
  {shift}
and back:
  {back}
Is it live? How many of the Envoys have the newest revision, and who is missing, for three seconds:
  {live}
Deny a caller, checkout may not call payments any more:
  {deny}
and allow it again:
  {allow}

Ctrl-C stops everything; the same command brings it back as it was.",
            console = self.server.console_url(),
            xds = self.server.xds_url(),
            mail = self.server.mail(),
            shift = split(0, 100),
            back = split(90, 10),
            allow = curl("DELETE", rule, None),
        )
    }
}
