//! A request that asks for objects by their address: who it is and what it wants are one question to the database, so that nothing is
//! asked before the request has been read. Whatever is wrong with it is said only to whoever may do what it asks.

use std::marker::PhantomData;
use std::net::IpAddr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header;
use axum::http::request::Parts;
use heddle_model::authz::{Permission, access};
use heddle_store::{Caller, Grant, Note, Seen, Sought, Tx};

use crate::auth::{bearer, grant, note_use, peer, unauthenticated};
use crate::note::note;
use crate::problem::Problem;
use crate::state::App;

/// A request for something that takes the permission `P`.
pub(crate) struct Asking<P: Permission> {
    bearer: String,
    org: String,
    note: Result<Note, Problem>,
    ip: Option<IpAddr>,
    client: Option<String>,
    permission: PhantomData<fn() -> P>,
}

impl<P: Permission> FromRequestParts<App> for Asking<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let bearer = bearer(parts)?.to_owned();
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::not_found())?;
        let org = params
            .iter()
            .find_map(|(name, value)| (name == "org").then(|| value.to_owned()));
        let org = org.ok_or_else(|| {
            Problem::internal(&"an operation with a permission has no {org} in its path")
        })?;
        let client = parts.headers.get(header::USER_AGENT);
        let client = client.and_then(|value| value.to_str().ok());
        Ok(Self {
            bearer,
            org,
            note: note(parts),
            ip: peer(parts),
            client: client.map(ToOwned::to_owned),
            permission: PhantomData,
        })
    }
}

impl<P: Permission> Asking<P> {
    /// What the caller may do in the organisation of the path.
    fn granted(self, caller: &Caller) -> Result<Grant<P>, Problem> {
        let mut grant = grant::<P>(caller, &self.org)?.with_note(self.note?);
        if let Some(ip) = self.ip {
            grant = grant.with_ip(ip);
        }
        Ok(match self.client {
            Some(client) => grant.with_client(&client),
            None => grant,
        })
    }

    /// Finds out who calls, and nothing else.
    pub(crate) async fn allow(self, app: &App) -> Result<Grant<P>, Problem> {
        let caller = app.store.authenticate(&self.bearer).await?;
        let caller = caller.ok_or_else(unauthenticated)?;
        note_use(&caller, app);
        self.granted(&caller)
    }

    /// What was made of the request; of one that was no good, the refusal, if the caller may know it.
    pub(crate) async fn understood<T>(
        self,
        app: &App,
        made: Result<T, Problem>,
    ) -> Result<(Self, T), Problem> {
        match made {
            Ok(made) => Ok((self, made)),
            Err(problem) => Err(self.allow(app).await.err().unwrap_or(problem)),
        }
    }
}

impl<P: Permission<Access = access::Read>> Asking<P> {
    /// Looks for something, at one instant.
    pub(crate) async fn look(
        self,
        app: &App,
        sought: &Sought<'_>,
    ) -> Result<(Grant<P>, Seen), Problem> {
        let known = app.store.look(&self.bearer, sought).await?;
        let (caller, looked) = known.ok_or_else(unauthenticated)?;
        note_use(&caller, app);
        let grant = self.granted(&caller)?;
        let seen = looked.seen(&grant)?;
        Ok((grant, seen))
    }

    /// Opens a transaction to read in; its first question is who is calling. It must not be held while anything is awaited from the
    /// client.
    pub(crate) async fn open(self, app: &App) -> Result<Tx<P>, Problem> {
        let known = app.store.authenticate_reading(&self.bearer).await?;
        let (caller, opened) = known.ok_or_else(unauthenticated)?;
        note_use(&caller, app);
        let grant = self.granted(&caller)?;
        Ok(app.store.go_on(opened, &grant)?)
    }
}

impl<P: Permission<Access = access::Write>> Asking<P> {
    /// Opens a transaction to write in, with what was seen on the way: a first look, nothing is locked.
    pub(crate) async fn enter(
        self,
        app: &App,
        sought: &Sought<'_>,
    ) -> Result<(Grant<P>, Tx<P>, Seen), Problem> {
        let known = app.store.enter(&self.bearer, sought).await?;
        let (caller, entered) = known.ok_or_else(unauthenticated)?;
        note_use(&caller, app);
        let grant = self.granted(&caller)?;
        let (tx, seen) = app.store.go_in(entered, &grant)?;
        Ok((grant, tx, seen))
    }
}
