//! Two organisations with the same names in them, and a mark of each in all that is its own.

use std::sync::Arc;

use anyhow::Context as _;
use heddle_bench::fleet::Member;
use heddle_bench::members::{member, service};
use heddle_tests::{Api, Random};
use serde_json::{Value, json};

use super::replica::Replica;
use crate::taint::Taint;

/// The mesh of the proxies, in both.
pub(crate) const FLEET: &str = "fleet";
/// Services that simulated proxies are of.
const SERVICES: usize = 5;
/// Meshes that writers write to, so that what they write concerns no proxy.
const LEDGERS: usize = 3;

/// One of them.
pub(crate) struct Tenant {
    /// With the token of its owner, at the first replica.
    pub(crate) api: Api,
    pub(crate) mark: String,
    pub(crate) taint: Arc<Taint>,
    /// For proxies of `s0000` and so on.
    pub(crate) tokens: Vec<Arc<str>>,
    /// For proxies of `echo`.
    pub(crate) echo_token: String,
}

/// Both.
pub(crate) struct Tenants {
    pub(crate) acme: Tenant,
    pub(crate) rival: Tenant,
}

impl Tenants {
    /// Makes them.
    ///
    /// # Errors
    /// The API refuses something.
    pub(crate) async fn make(replicas: &[Replica], random: &mut Random) -> anyhow::Result<Self> {
        let marks = [random.marker(), random.marker()];
        let server = &replicas[0].server;
        let acme = server.org("acme").await;
        let rival = server.org("rival").await;
        for ledger in ledgers() {
            put(&acme, &format!("/meshes/{ledger}"), json!({})).await?;
        }
        Ok(Self {
            acme: Tenant::make(acme, &marks[0], &marks[1]).await?,
            rival: Tenant::make(rival, &marks[1], &marks[0]).await?,
        })
    }
}

/// The names of the meshes that writers write to.
pub(crate) fn ledgers() -> Vec<String> {
    (0..LEDGERS).map(|n| format!("ledger-{n}")).collect()
}

impl Tenant {
    async fn make(api: Api, mark: &str, foreign: &str) -> anyhow::Result<Self> {
        let mesh = json!({
            "display_name": mark, "access_default": "allow", "deletion_protection": false,
        });
        put(&api, &format!("/meshes/{FLEET}"), mesh).await?;
        let ports = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
        let below = |name: &str| format!("/meshes/{FLEET}/services/{name}");
        let labels = json!({"mark": mark});
        let echo = json!({"ports": ports, "labels": labels});
        put(&api, &below("echo"), echo).await?;
        let marked = format!("svc-{mark}");
        put(&api, &below(&marked), json!({"ports": ports})).await?;
        let mut tokens = Vec::new();
        for number in 0..SERVICES {
            let name = service(number);
            let spec = json!({
                "ports": ports, "labels": labels,
                "upstreams": [{"service": "echo"}, {"service": marked}],
            });
            put(&api, &below(&name), spec).await?;
            tokens.push(token(&api, &name).await?.into());
        }
        let echo_token = token(&api, "echo").await?;
        Ok(Self {
            mark: mark.to_owned(),
            taint: Arc::new(Taint::new(mark, foreign)),
            api,
            tokens,
            echo_token,
        })
    }

    /// So many simulated proxies, from a number on.
    pub(crate) fn members(&self, from: usize, count: usize) -> Vec<Member> {
        let numbers = from..from + count;
        numbers.map(|number| member(number, &self.tokens)).collect()
    }
}

async fn put(api: &Api, path: &str, body: Value) -> anyhow::Result<()> {
    let reply = api.put(path, body).await;
    anyhow::ensure!(
        reply.status < 300,
        "PUT {path}: {} {}",
        reply.status,
        reply.text
    );
    Ok(())
}

async fn token(api: &Api, service: &str) -> anyhow::Result<String> {
    let body = json!({"name": service, "service": service, "reusable": true});
    let reply = api
        .post(&format!("/meshes/{FLEET}/join-tokens"), body)
        .await;
    let secret = reply.json["secret"].as_str();
    secret
        .map(ToOwned::to_owned)
        .with_context(|| reply.text.clone())
}
