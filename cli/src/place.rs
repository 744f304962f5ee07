//! Where a command works, and as whom: from flags, the environment and the context in use, in that order.

use chrono::TimeDelta;
use heddle_model::clock::{Clock as _, SystemClock};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::args::Place;
use crate::client::{Client, Request};
use crate::config::{self, Context, Contexts, Home, Session};
use crate::failure::{Exit, Failure};

/// How long before its end a token is replaced.
const EARLY: TimeDelta = TimeDelta::seconds(30);

/// What a command needs to know before it does anything.
pub(crate) struct Here {
    pub(crate) home: Home,
    /// The context, and its name when there is one.
    pub(crate) name: Option<String>,
    pub(crate) server: Option<String>,
    pub(crate) org: Option<String>,
    pub(crate) mesh: Option<String>,
    place: Place,
    context: Context,
}

impl Here {
    pub(crate) fn find(mut place: Place) -> Result<Self, Failure> {
        // A variable that is empty says nothing, as one that is not there.
        for said in [
            &mut place.server,
            &mut place.org,
            &mut place.mesh,
            &mut place.context,
        ] {
            said.take_if(|text| text.is_empty());
        }
        let home = Home::find()?;
        let contexts = home.contexts()?;
        let (name, context) = chosen(&place, contexts)?;
        let server = place
            .server
            .clone()
            .or_else(|| Some(context.server.clone()));
        let server = server.map(|server| server.trim_end_matches('/').to_owned());
        // What a context says about one server means nothing at another one.
        let same = server.as_deref() == Some(context.server.as_str());
        let of = |own: &Option<String>| own.clone().filter(|_| same);
        Ok(Self {
            home,
            name: name.filter(|_| same),
            server: server.filter(|server| !server.is_empty()),
            org: place.org.clone().or_else(|| of(&context.org)),
            mesh: place.mesh.clone().or_else(|| of(&context.mesh)),
            context: if same { context } else { Context::default() },
            place,
        })
    }

    /// The server.
    pub(crate) fn server(&self) -> Result<&str, Failure> {
        self.server.as_deref().ok_or_else(|| {
            Failure::usage("which server?")
                .hint("`heddle login --server URL` signs in and remembers it; --server and HEDDLE_SERVER name it")
        })
    }

    /// The mesh.
    pub(crate) fn mesh(&self) -> Result<&str, Failure> {
        self.mesh.as_deref().ok_or_else(|| {
            let hint = "name it with --mesh or HEDDLE_MESH; `heddle context set NAME --mesh MESH` remembers one";
            Failure::usage("which mesh?").hint(hint)
        })
    }

    /// A client without a credential.
    pub(crate) fn anyone(&self) -> Result<Client, Failure> {
        Client::new(self.server()?, self.org.as_deref().unwrap_or("-"), None)
    }

    /// A client with whatever credential there is.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let token = match self.token()? {
            Some(token) => Some(token),
            None => self.session().await?,
        };
        Client::new(self.server()?, self.org.as_deref().unwrap_or("-"), token)
    }

    /// A client with a credential that somebody holds beside their own.
    pub(crate) fn as_holder(&self, token: SecretString) -> Result<Client, Failure> {
        Client::new(
            self.server()?,
            self.org.as_deref().unwrap_or("-"),
            Some(token),
        )
    }

    /// An API token, from wherever one is named.
    fn token(&self) -> Result<Option<SecretString>, Failure> {
        if let Some(path) = &self.place.token_file {
            return token_in(path).map(Some);
        }
        if let Some(token) = std::env::var_os("HEDDLE_TOKEN").filter(|token| !token.is_empty()) {
            let token = token
                .into_string()
                .map_err(|_| Failure::usage("HEDDLE_TOKEN is not text"))?;
            return Ok(Some(SecretString::from(token.trim())));
        }
        self.context.token_file.as_deref().map(token_in).transpose()
    }

    /// The token of the session that goes with the context; a new one when it is about to end.
    async fn session(&self) -> Result<Option<SecretString>, Failure> {
        let Some(name) = &self.name else {
            return Ok(None);
        };
        let own = |session: &Session| session.server == self.context.server;
        let fresh = |session: &Session| session.expires_at > SystemClock.now() + EARLY;
        let Some(session) = self.home.sessions()?.sessions.remove(name).filter(own) else {
            return Ok(None);
        };
        if fresh(&session) {
            return Ok(Some(session.access_token));
        }
        let _lock = self.home.lock()?;
        // Another command may have been faster.
        let mut all = self.home.sessions()?;
        let Some(session) = all.sessions.get(name).cloned().filter(own) else {
            return Ok(None);
        };
        if fresh(&session) {
            return Ok(Some(session.access_token));
        }
        let body = json!({"refresh_token": session.refresh_token.expose_secret()});
        let request = Request::new(Method::POST, "/v1/sessions/refreshes").body(body);
        match self.anyone()?.send(request).await {
            Ok(reply) => {
                let next = read_session(&self.context.server, &reply.json()?)?;
                let token = next.access_token.clone();
                all.sessions.insert(name.clone(), next);
                self.home.write_sessions(&all)?;
                Ok(Some(token))
            }
            Err(failure) if failure.code() == Some("HED-2001") => {
                all.sessions.remove(name);
                self.home.write_sessions(&all)?;
                Err(Failure::new(Exit::Auth, "your session has ended")
                    .hint("sign in again with `heddle login`"))
            }
            Err(failure) => Err(failure),
        }
    }
}

/// The session in an answer that lets somebody in.
pub(crate) fn read_session(server: &str, answer: &serde_json::Value) -> Result<Session, Failure> {
    let text = |field: &str| answer[field].as_str();
    let read = || {
        Some(Session {
            server: server.to_owned(),
            access_token: SecretString::from(text("access_token")?),
            expires_at: text("expires_at")?.parse().ok()?,
            refresh_token: SecretString::from(text("refresh_token")?),
        })
    };
    read().ok_or_else(|| Failure::error("the server's answer lacks a session"))
}

/// The context that is meant. One that is named must be there.
fn chosen(place: &Place, mut contexts: Contexts) -> Result<(Option<String>, Context), Failure> {
    let Some(name) = place.context.clone().or(contexts.current) else {
        return Ok((None, Context::default()));
    };
    match contexts.contexts.remove(&name) {
        Some(context) => Ok((Some(name), context)),
        None if place.context.is_none() => Ok((None, Context::default())),
        None => Err(
            Failure::new(Exit::NotFound, format!("there is no context `{name}`"))
                .hint("`heddle context list` shows what there is"),
        ),
    }
}

fn token_in(path: &std::path::Path) -> Result<SecretString, Failure> {
    let missing = || Failure::new(Exit::Auth, format!("there is no file {}", path.display()));
    let text = config::private(path)?.ok_or_else(missing)?;
    Ok(SecretString::from(text.trim()))
}
