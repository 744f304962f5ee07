//! Signing in: the program shows a code, a member types it into the console, and the program, which keeps asking, gets a session.

use std::time::{Duration, Instant};

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::args::{Login, Place};
use crate::client::{Client, Request};
use crate::command::context;
use crate::failure::{Exit, Failure};
use crate::output::{plain, say};
use crate::place::{Here, read_session};

pub(crate) async fn login(place: Place, args: Login) -> Result<(), Failure> {
    let here = Here::find(place.clone())?;
    let server = here.server()?.to_owned();
    let client = here.anyone()?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() {
        "this machine"
    } else {
        host.trim()
    };
    let name: String = format!("heddle on {host}").chars().take(100).collect();
    let mut body = json!({"client": name});
    if !args.scopes.is_empty() {
        body["scopes"] = json!(args.scopes);
    }
    let asked = client
        .send(Request::new(Method::POST, "/v1/device-authorizations").body(body))
        .await?
        .json()?;
    let text = |field: &str| plain(asked[field].as_str().unwrap_or_default());
    say(&format!(
        "Open    {}\nand let in the code\n        {}\n\nWaiting ...",
        text("verification_uri_complete"),
        text("user_code")
    ));
    let signed = wait(&client, &asked).await?;
    let org = signed["org"]["name"].as_str().map(ToOwned::to_owned);
    let context = place
        .context
        .clone()
        .or_else(|| org.clone())
        .unwrap_or_else(|| String::from("default"));
    let place = Place {
        server: Some(server.clone()),
        org: place.org.clone().or(org.clone()),
        ..place
    };
    let session = read_session(&server, &signed)?;
    context::set(&here.home, &place, &context)?;
    let _lock = here.home.lock()?;
    let mut all = here.home.sessions()?;
    all.sessions.insert(context, session);
    here.home.write_sessions(&all)?;
    let member = signed["member"]["email"].as_str().unwrap_or("?");
    say(&format!(
        "You are {} of {}.",
        plain(member),
        plain(org.as_deref().unwrap_or("?"))
    ));
    Ok(())
}

/// Asks until a member has decided.
async fn wait(client: &Client, asked: &Value) -> Result<Value, Failure> {
    let seconds =
        |value: &Value, least: u64| Duration::from_secs(value.as_u64().unwrap_or(5).max(least));
    let mut interval = seconds(&asked["interval"], 1);
    let end = Instant::now() + seconds(&asked["expires_in"], 1);
    let body = json!({"device_code": asked["device_code"]});
    while Instant::now() < end {
        tokio::time::sleep(interval).await;
        let request =
            Request::new(Method::POST, "/v1/device-authorizations/tokens").body(body.clone());
        let failure = match client.send(request).await {
            Ok(reply) => return reply.json(),
            Err(failure) => failure,
        };
        match failure.body()["error"].as_str() {
            Some("authorization_pending") => {}
            Some("slow_down") => interval = seconds(&failure.body()["interval"], 1),
            Some("access_denied") => {
                return Err(Failure::new(Exit::Auth, "the code was turned down"));
            }
            Some("expired_token") => break,
            _ => return Err(failure),
        }
    }
    Err(Failure::new(Exit::Timeout, "nobody let the code in").hint("run `heddle login` again"))
}

pub(crate) async fn logout(here: Here) -> Result<(), Failure> {
    let Some(name) = &here.name else {
        return Err(Failure::usage("which context?").hint("name it with --context"));
    };
    let session = here.home.sessions()?.sessions.remove(name);
    let Some(session) = session else {
        say("You are not signed in.");
        return Ok(());
    };
    // What is kept here goes in any case; whether the server heard of it is said.
    let token = Some(session.access_token.expose_secret().into());
    let client = Client::new(&session.server, "-", token)?;
    let ended = client
        .send(Request::new(
            Method::DELETE,
            client.org("/sessions/current"),
        ))
        .await;
    let _lock = here.home.lock()?;
    let mut all = here.home.sessions()?;
    all.sessions.remove(name);
    here.home.write_sessions(&all)?;
    match ended {
        Ok(_) => say("Signed out."),
        Err(_) => say("Forgotten here; the session itself ends within a week."),
    }
    Ok(())
}
