//! Whether the caller still may: asked again inside the transaction that uses the right, because between the first door and the commit
//! lies whatever the transaction waited for.
//!
//! What is written to a mesh is asked for by the very statement that writes the record, after the mesh was locked: it costs no message,
//! and what was written is undone when the right is gone. Who changes members, roles and tokens may well take away what the
//! caller itself has, so that is asked for before, once the roles of the organisation are locked.

use std::sync::Arc;

use heddle_model::authz::Action;
use heddle_model::id::{SessionId, TokenId};
use sqlx::types::{Json, Uuid};

use super::Work;
use crate::authz::Principal;
use crate::error::{Error, Result, inconsistent};
use crate::rights::{BoundText, Standing};

const STILL: &str = "select heddle.still($1, $2, $3, $4, $5)";

/// The caller as it is now.
#[derive(serde::Deserialize)]
pub(crate) struct Still {
    alive: bool,
    bindings: Option<Vec<BoundText>>,
}

/// What a caller came with, as the first parameters of `heddle.still`.
pub(crate) struct Came {
    pub(crate) token: Option<Uuid>,
    pub(crate) digest: Option<Vec<u8>>,
    pub(crate) session: Option<Uuid>,
    pub(crate) principal: Option<Uuid>,
}

/// Whether a transaction for this changes who may do what.
const fn is_about_rights(action: Action) -> bool {
    matches!(
        action,
        Action::AccountManage
            | Action::MemberWrite
            | Action::RoleBindingWrite
            | Action::ServiceAccountWrite
            | Action::TokenWrite
    )
}

impl Work {
    pub(crate) fn came(&self) -> Came {
        let digest = self.origin.digest.as_ref();
        Came {
            token: self.origin.token.map(TokenId::uuid),
            digest: digest.map(|digest| digest.0.clone()),
            session: self.session.map(SessionId::uuid),
            principal: self.principal.map(Principal::uuid),
        }
    }

    /// Judges what the statement at the end said. It has written; whoever gets an error undoes it.
    ///
    /// # Errors
    /// [`Error::Revoked`], [`Error::Forbidden`], [`Error::Inconsistent`].
    pub(crate) fn judge(&self, still: &Still) -> Result<()> {
        let Some(standing) = self.standing.as_deref() else {
            return Ok(());
        };
        if is_about_rights(standing.action) {
            return Ok(());
        }
        let now = self.standing_now(standing, still)?;
        for action in std::iter::once(&standing.action).chain(&self.also) {
            let reach = now.rights.reach(*action);
            if reach.is_empty() || !self.locked.keys().all(|mesh| reach.has(*mesh)) {
                let scope = action.scope();
                return Err(Error::Forbidden { scope });
            }
        }
        Ok(())
    }

    /// Asks again, and goes on with what the caller may do now.
    ///
    /// # Errors
    /// [`Error::Revoked`], [`Error::Forbidden`], [`Error::Inconsistent`], [`Error::Unavailable`].
    pub(crate) async fn ask_again(&mut self) -> Result<()> {
        let Some(standing) = self.standing.clone() else {
            return Ok(());
        };
        let came = self.came();
        let query = sqlx::query_scalar(STILL)
            .bind(came.token)
            .bind(came.digest)
            .bind(came.session)
            .bind(came.principal)
            .bind(self.now());
        let Json(still): Json<Still> = query.fetch_one(self.conn()).await?;
        let now = self.standing_now(&standing, &still)?;
        if now.covers.is_empty() {
            return Err(now.forbidden());
        }
        self.standing = Some(Arc::new(now));
        Ok(())
    }

    /// What is left of a standing. A token that belongs to nobody has a role of its own for as long as it lives.
    fn standing_now(&self, standing: &Standing, still: &Still) -> Result<Standing> {
        if !still.alive {
            return Err(Error::Revoked);
        }
        let Some(principal) = self.principal.map(Principal::uuid) else {
            return Ok(standing.clone());
        };
        let bindings = still.bindings.iter().flatten();
        let bound: std::result::Result<Vec<_>, _> = bindings.map(BoundText::bound).collect();
        let bound = bound.map_err(|e| inconsistent("role_bindings", "role", principal, e))?;
        Ok(Standing::new(
            standing.action,
            &standing.rights.with_bound(bound),
        ))
    }
}
