//! Credentials and permissions. A handler names its permission in its signature; nothing else opens a transaction.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header;
use axum::http::request::Parts;
use heddle_model::authz::Permission;
use heddle_model::code::Code;
use heddle_store::{Caller, Denied, Grant};

use crate::ends::Ends;
use crate::limits;
use crate::note::note;
use crate::problem::Problem;
use crate::state::App;

/// The proof that the caller may do `P` in the organisation of the path.
pub struct Allow<P: Permission>(pub Grant<P>);

/// The same proof also for a member who lacks the second factor that the organisation asks for, or did not sign in as it asks: for what sets
/// one up, links an account, and signs out.
pub struct Enrolling<P: Permission> {
    pub(crate) grant: Grant<P>,
    /// Whether it lacks it: then there is nothing else that it may do.
    pub(crate) lacks_second_factor: bool,
    /// Whether it signed in with a password where it should not.
    pub(crate) lacks_sso: bool,
}

/// An authenticated caller, for the few operations that need no permission.
pub struct Known(pub Caller);

/// The bearer token of a request, if it has exactly one.
pub(crate) fn bearer(parts: &Parts) -> Result<&str, Problem> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(unauthenticated)?;
    if values.next().is_some() {
        return Err(unauthenticated());
    }
    let text = value.to_str().map_err(|_| unauthenticated())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(unauthenticated)?;
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= 2048 {
        Ok(token)
    } else {
        Err(unauthenticated())
    }
}

pub(crate) fn unauthenticated() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        "send `Authorization: Bearer` with a token that is valid now",
    )
}

pub(crate) async fn caller(parts: &Parts, app: &App) -> Result<Caller, Problem> {
    let token = bearer(parts)?;
    let caller = app.store.authenticate(token).await?;
    let caller = caller.ok_or_else(unauthenticated)?;
    note_use(&caller, app);
    Ok(caller)
}

/// Notes who calls, and writes down that the token was used, if that is worth it. The answer does not wait for it.
pub(crate) fn note_use(caller: &Caller, app: &App) {
    limits::learn(caller);
    if let Some(used) = app.store.worth_noting(caller) {
        let store = app.store.clone();
        app.requests.spawn(async move {
            if let Err(error) = store.note(used).await {
                tracing::debug!(%error, "the use of a token was not noted");
            }
        });
    }
}

pub(crate) fn grant<P: Permission>(caller: &Caller, org: &str) -> Result<Grant<P>, Problem> {
    caller.grant::<P>(org).map_err(refused)
}

fn refused(denied: Denied) -> Problem {
    match denied {
        Denied::NotFound => Problem::not_found(),
        Denied::Forbidden { scope } => Problem::forbidden(scope),
        Denied::SecondFactor => second_factor_required(),
        Denied::Sso => sso_required(),
    }
}

/// There is nothing that the session may do but link an account at the provider.
pub(crate) fn sso_required() -> Problem {
    Problem::new(
        Code::SsoRequired,
        "this organisation asks its members to sign in by its provider, and you signed in with a password",
    )
}

/// There is nothing that the caller may do but set up a second factor.
pub(crate) fn second_factor_required() -> Problem {
    Problem::new(
        Code::SecondFactorRequired,
        "this organisation asks its members for a second factor, and you have none",
    )
}

/// The other end of the connection, as far as this process can see.
pub(crate) fn peer(parts: &Parts) -> Option<IpAddr> {
    Ends::of(parts).map(|ends| ends.peer.ip().to_canonical())
}

/// [`peer`], for a handler that has no permission to ask for.
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

impl FromRequestParts<App> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(peer(parts)))
    }
}

/// The same proof where the operation can do without it in part; otherwise the refusal.
pub(crate) struct Maybe<P: Permission>(pub(crate) Result<Grant<P>, Problem>);

impl<P: Permission> FromRequestParts<App> for Maybe<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let allowed = Allow::<P>::from_request_parts(parts, app).await;
        Ok(Self(allowed.map(|Allow(grant)| grant)))
    }
}

impl FromRequestParts<App> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        caller(parts, app).await.map(Known)
    }
}

impl<P: Permission> FromRequestParts<App> for Allow<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = caller(parts, app).await?;
        let org = org(parts, app).await?;
        let grant = grant::<P>(&caller, &org)?;
        noted(grant, parts).map(Self)
    }
}

impl<P: Permission> FromRequestParts<App> for Enrolling<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = caller(parts, app).await?;
        let org = org(parts, app).await?;
        let grant = caller.grant_to_enrol::<P>(&org).map_err(refused)?;
        Ok(Self {
            grant: noted(grant, parts)?,
            lacks_second_factor: caller.lacks_second_factor(),
            lacks_sso: caller.lacks_sso(),
        })
    }
}

/// The organisation of the path.
async fn org(parts: &mut Parts, app: &App) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|_| Problem::not_found())?;
    let org = params
        .iter()
        .find_map(|(name, value)| (name == "org").then_some(value));
    org.map(ToOwned::to_owned).ok_or_else(|| {
        Problem::internal(&"an operation with a permission has no {org} in its path")
    })
}

/// A grant with what the request says about itself.
fn noted<P: Permission>(grant: Grant<P>, parts: &Parts) -> Result<Grant<P>, Problem> {
    let mut grant = grant.with_note(note(parts)?);
    if let Some(ip) = peer(parts) {
        grant = grant.with_ip(ip);
    }
    let client = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok());
    Ok(match client {
        Some(client) => grant.with_client(client),
        None => grant,
    })
}
