//! Waits for a proxy: told by the server whenever something happens to one, so that nothing is asked over and over.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::lights::Lights;
use crate::client::{Client, Request};
use crate::failure::{Exit, Failure};
use crate::kinds::segment;
use crate::output::say;
use crate::place::Here;

/// How long it takes breath when the server went away.
const PAUSE: Duration = Duration::from_millis(500);
/// How much longer than the server promises a stream is listened to.
const GRACE: Duration = Duration::from_secs(15);

/// The proxy once all lights are on.
pub(super) async fn until_ready(
    here: &Here,
    service: &str,
    name: &str,
    until: Instant,
    lights: &mut Lights,
) -> Result<Value, Failure> {
    let watch = Watch {
        here,
        service,
        name,
        until,
    };
    match timeout_at(until, watch.run(lights)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::new(
            Exit::Timeout,
            format!("{name} was not ready in time"),
        )),
    }
}

struct Watch<'a> {
    here: &'a Here,
    service: &'a str,
    name: &'a str,
    until: Instant,
}

/// Whether a failure may be over when one tries again.
fn passing(failure: &Failure) -> bool {
    matches!(failure.exit(), Exit::Error | Exit::Timeout)
}

impl Watch<'_> {
    async fn run(&self, lights: &mut Lights) -> Result<Value, Failure> {
        let mut told = false;
        loop {
            match self.once(lights).await {
                Ok(Some(proxy)) => return Ok(proxy),
                Ok(None) => told = false,
                Err(failure) if !passing(&failure) => return Err(failure),
                Err(failure) => {
                    if !std::mem::replace(&mut told, true) {
                        say(&format!(
                            "  {}",
                            failure.render().lines().next().unwrap_or_default()
                        ));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// One stream, until all lights are on or it ends.
    async fn once(&self, lights: &mut Lights) -> Result<Option<Value>, Failure> {
        // Anew each time: a session may have got another token.
        let client = self.here.client().await?;
        let mesh = segment(self.here.mesh()?);
        let left = self.until.saturating_duration_since(Instant::now()) + Duration::from_secs(1);
        let request = Request::new(Method::GET, client.org(&format!("/meshes/{mesh}/events")))
            .header("accept", "application/x-ndjson")
            .query("topic", "proxy")
            .query("wait", format!("{}s", left.as_secs()));
        let mut stream = client.open(request, left + GRACE).await?;
        // The stream is open: whatever happens from here on is told, and this is what was before.
        if let Some(ready) = self.ask(&client, &mesh, lights).await? {
            return Ok(Some(ready));
        }
        let mut rest = Vec::new();
        loop {
            let more = stream.chunk().await;
            let more = more.map_err(|_| Failure::error("the connection to the server broke"))?;
            let Some(more) = more else {
                return Ok(None);
            };
            rest.extend_from_slice(&more);
            while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=length).collect();
                let event: Value = serde_json::from_slice(&line).unwrap_or_default();
                let proxy = &event["proxy"];
                let own = proxy["name"] == *self.name && proxy["service"] == *self.service;
                if !own {
                    continue;
                }
                // The event says that something happened; the proxy itself says everything.
                if let Some(ready) = self.ask(&client, &mesh, lights).await? {
                    return Ok(Some(ready));
                }
            }
        }
    }

    /// Looks at the proxy; it, when all lights are on.
    async fn ask(
        &self,
        client: &Client,
        mesh: &str,
        lights: &mut Lights,
    ) -> Result<Option<Value>, Failure> {
        let path = client.org(&format!("/meshes/{mesh}/proxies/{}", segment(self.name)));
        let proxy = match client.get(path).await {
            Ok(proxy) if proxy["service"] == *self.service => proxy,
            Ok(_) => return Ok(None),
            Err(failure) if failure.exit() == Exit::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        Ok(lights.look(&proxy).then_some(proxy))
    }
}
