//! The demo's member: who signs in to the console. Made through the API, as an owner would invite somebody.

use anyhow::{Context as _, bail};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Demo;
use crate::up::files::{read_if_there, write_private};
use crate::up::ready::Member;

/// What the member signs in with.
const EMAIL: &str = "owner@demo.example";

impl Demo<'_> {
    /// The member and its first password: saved last time, or new. `None` if somebody removed the member; a password that the
    /// person in front of it has changed is not known here.
    ///
    /// # Errors
    /// The API refuses.
    pub(crate) async fn member(
        &self,
        token: &str,
        first_time: bool,
    ) -> anyhow::Result<Option<Member>> {
        let path = self.data.demo().join("password");
        let saved = read_if_there(&path)?;
        let one = format!("members/{EMAIL}");
        let found = match self.ask(Method::GET, &one, token, None).await? {
            (StatusCode::OK, _) => true,
            (StatusCode::NOT_FOUND, _) => false,
            (status, text) => bail!("read {one}: {status}: {text}"),
        };
        let member = |password: &str| Member {
            email: EMAIL.to_owned(),
            password: password.trim().to_owned(),
        };
        match (found, saved) {
            (true, Some(password)) => return Ok(Some(member(&password))),
            (false, Some(_)) if !first_time => return Ok(None),
            _ => {}
        }
        // One that exists got its password in another data directory.
        let (url, body) = match found {
            true => (format!("{one}/password-resets"), json!({})),
            false => {
                let role = self.own_role(token).await?;
                let body = json!({"email": EMAIL, "display_name": "Demo owner", "role": role});
                ("members".to_owned(), body)
            }
        };
        let (status, text) = self.ask(Method::POST, &url, token, Some(&body)).await?;
        if status != StatusCode::CREATED {
            bail!("make the member {EMAIL}: {status}: {text}");
        }
        let answer: Value = serde_json::from_str(&text).context("read the new member")?;
        let password = answer["initial_password"].as_str();
        let password = password.context("the new member has no password")?;
        write_private(&path, format!("{password}\n"))?;
        Ok(Some(member(password)))
    }

    /// Nobody gives a role that is stronger than its own: the token is an owner's, or, where the organisation was there before
    /// this data directory, an admin's.
    async fn own_role(&self, token: &str) -> anyhow::Result<String> {
        let url = format!("{}/v1/whoami", self.server.api_url());
        let call = self
            .http
            .call(Method::GET, &url, token, "application/json", None);
        let answer = call.await?.json().context("read who the token is")?;
        let role = answer["role"].as_str().context("the token has no role")?;
        Ok(role.to_owned())
    }
}
