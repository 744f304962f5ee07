//! Whether the holder of an open answer may still have it (Z10).

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use heddle_model::authz::Permission;
use heddle_model::id::MeshId;
use heddle_store::{Caller, Grant};
use secrecy::{ExposeSecret as _, SecretString};

use crate::auth;
use crate::problem::Problem;
use crate::state::App;

/// How often it is asked. Twice without an answer counts as a no, and both fit into ten seconds.
pub(crate) const EVERY: Duration = Duration::from_secs(4);

/// The credential of a request, to be asked about again.
pub(crate) struct Recheck {
    bearer: SecretString,
    unanswered: bool,
}

impl FromRequestParts<App> for Recheck {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self {
            bearer: auth::bearer(parts)?.to_owned().into(),
            unanswered: false,
        })
    }
}

/// What became of a credential.
pub(crate) enum Now {
    /// It is valid.
    Valid(Box<Caller>),
    /// Nobody can say right now.
    Unknown,
    /// It is not valid any more.
    Ended,
}

impl Recheck {
    /// Asks once more.
    pub(crate) async fn ask(&mut self, app: &App) -> Now {
        match app.store.authenticate(self.bearer.expose_secret()).await {
            Ok(Some(caller)) => {
                self.unanswered = false;
                Now::Valid(Box::new(caller))
            }
            Ok(None) => Now::Ended,
            Err(_) if std::mem::replace(&mut self.unanswered, true) => Now::Ended,
            Err(_) => Now::Unknown,
        }
    }
}

/// The grant of `P`, where it still reaches the mesh.
pub(crate) fn reaching<P: Permission>(
    caller: &Caller,
    org: &str,
    mesh: MeshId,
) -> Option<Grant<P>> {
    let grant = auth::grant::<P>(caller, org).ok()?;
    grant.reach().has(mesh).then_some(grant)
}
