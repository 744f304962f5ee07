//! The demo's organisation, mesh, services, rules and tokens, made through the API.

use anyhow::{Context as _, bail};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Demo, MESH, ORG};
use crate::up::files::{read_if_there, write_private};

/// The services, callers first.
const SERVICES: [&str; 3] = ["frontend", "checkout", "payments"];

impl Demo<'_> {
    /// The organisation's admin token: the one saved last time, or a new one.
    ///
    /// # Errors
    /// Neither an organisation nor another token for it can be made.
    pub(crate) async fn organisation(&self) -> anyhow::Result<String> {
        let path = self.data.demo().join("token");
        if let Some(token) = read_if_there(&path)? {
            let token = token.trim().to_owned();
            let answer = self.ask(Method::GET, "meshes", &token, None).await?;
            match answer.0 {
                StatusCode::OK => return Ok(token),
                // The database is another one than last time, or somebody revoked the token.
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {}
                _ => bail!("list the meshes of the demo: {}", answer.1),
            }
        }
        let create = ["org", "create", ORG, "--display-name", "Demo"];
        let token = match self.server.admin_token(&create).await {
            Ok(token) => token,
            Err(first) => {
                // It may exist, without a token that we know.
                let name = format!("demo-{}", random_suffix()?);
                let create = [
                    "token",
                    "create",
                    "--org",
                    ORG,
                    "--role",
                    "admin",
                    "--name",
                    name.as_str(),
                ];
                self.server
                    .admin_token(&create)
                    .await
                    .with_context(|| format!("make the organisation {ORG}: {first:#}"))?
            }
        };
        write_private(&path, format!("{token}\n"))?;
        Ok(token)
    }

    /// Makes what is missing, the first time. Afterwards the mesh belongs to the person in front of it, and
    /// what they deleted is not missing. Says whether this was the first time.
    ///
    /// # Errors
    /// The API refuses.
    pub(crate) async fn objects(&self, token: &str) -> anyhow::Result<bool> {
        let (mesh, _) = self
            .ask(Method::GET, &format!("meshes/{MESH}"), token, None)
            .await?;
        if mesh == StatusCode::OK && self.made_file().exists() {
            return Ok(false);
        }
        for (path, body) in wanted() {
            self.ensure(&path, token, &body).await?;
        }
        Ok(true)
    }

    /// Notes that the demo has been made and has worked.
    ///
    /// # Errors
    /// The note cannot be written.
    pub(crate) fn note_made(&self) -> anyhow::Result<()> {
        write_private(&self.made_file(), "")
    }

    fn made_file(&self) -> std::path::PathBuf {
        self.data.demo().join("made")
    }

    /// The join token of a service's proxies: the one saved, or a new one.
    ///
    /// # Errors
    /// The API refuses.
    pub(crate) async fn join_token(
        &self,
        token: &str,
        service: &str,
        renew: bool,
    ) -> anyhow::Result<String> {
        let path = self.data.demo().join("tokens").join(service);
        if !renew && let Some(saved) = read_if_there(&path)? {
            return Ok(saved.trim().to_owned());
        }
        let url = format!("meshes/{MESH}/join-tokens");
        let mut name = format!("demo-{service}");
        for last in [false, true] {
            let body = json!({"name": name, "service": service, "reusable": true});
            let (status, text) = self.ask(Method::POST, &url, token, Some(&body)).await?;
            match status {
                StatusCode::CREATED => {
                    let answer: Value =
                        serde_json::from_str(&text).context("read the new join token")?;
                    let secret = answer["secret"]
                        .as_str()
                        .context("the new join token has no secret")?;
                    write_private(&path, format!("{secret}\n"))?;
                    return Ok(secret.to_owned());
                }
                // One of that name exists, and its secret was shown once, to somebody else.
                StatusCode::CONFLICT if !last => name = format!("{name}-{}", random_suffix()?),
                _ => bail!("make a join token for {service}: {status}: {text}"),
            }
        }
        bail!("make a join token for {service}: every name is taken")
    }

    /// Makes an object that is not there; leaves one that is as it is.
    async fn ensure(&self, path: &str, token: &str, body: &Value) -> anyhow::Result<()> {
        match self.ask(Method::GET, path, token, None).await? {
            (StatusCode::OK, _) => return Ok(()),
            (StatusCode::NOT_FOUND, _) => {}
            (status, text) => bail!("read {path}: {status}: {text}"),
        }
        match self.ask(Method::PUT, path, token, Some(body)).await? {
            (status, _) if status.is_success() => Ok(()),
            (status, text) => bail!("make {path}: {status}: {text}"),
        }
    }

    /// A call to the API below the organisation: status and body.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let url = format!("{}/v1/orgs/{ORG}/{path}", self.server.api_url());
        let answer = self
            .http
            .call(method, &url, token, "application/json", body)
            .await?;
        Ok((
            answer.status,
            String::from_utf8_lossy(&answer.body).into_owned(),
        ))
    }
}

/// Every object of the demo, in an order in which each finds what it refers to.
fn wanted() -> Vec<(String, Value)> {
    let mesh = format!("meshes/{MESH}");
    let mut all = vec![(
        mesh.clone(),
        json!({"display_name": "Demo shop", "access_default": "deny"}),
    )];
    for service in SERVICES {
        let port = json!({"name": "http", "port": 8080, "protocol": "http"});
        all.push((
            format!("{mesh}/services/{service}"),
            json!({"ports": [port]}),
        ));
    }
    let route = format!("{mesh}/services/payments/routes/all");
    all.push((
        route.clone(),
        json!({
            "priority": 100,
            "match": [{"path": {"prefix": "/"}}],
            "backends": [{"version": "v1"}],
        }),
    ));
    all.push((
        format!("{route}/split"),
        json!({"weights": [{"version": "v1", "weight": 90}, {"version": "v2", "weight": 10}]}),
    ));
    for pair in SERVICES.windows(2) {
        let [caller, callee] = pair else { continue };
        all.push((
            format!("{mesh}/services/{callee}/access-rules/{caller}-may-call"),
            json!({"action": "allow", "from": [{"service": caller}]}),
        ));
    }
    all
}

/// Eight hexadecimal digits that were not used before.
fn random_suffix() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 4];
    aws_lc_rs::rand::fill(&mut bytes)
        .ok()
        .context("draw a random name")?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_call_of_the_shop_is_allowed_and_no_other() {
        let all = super::wanted();
        let rules: Vec<&str> = all
            .iter()
            .map(|(path, _)| path.as_str())
            .filter(|path| path.contains("rules"))
            .collect();
        assert_eq!(
            rules,
            [
                "meshes/shop/services/checkout/access-rules/frontend-may-call",
                "meshes/shop/services/payments/access-rules/checkout-may-call",
            ]
        );
        assert_eq!(all[0].1["access_default"], "deny");
        assert_eq!(all.len(), 8);
    }
}
