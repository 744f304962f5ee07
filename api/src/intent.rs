//! What a client says about a write beside its content, and how a write ends: kept, or only tried.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use heddle_model::authz::{Permission, access};
use heddle_store::Tx;

use crate::extract::Query;
use crate::problem::Problem;

/// Marks the answer of a write that was only tried.
const DRY_RUN: HeaderName = HeaderName::from_static("heddle-dry-run");

/// What is wanted of a write.
#[derive(Debug)]
pub(crate) struct Intent {
    /// Do everything but keep it: the same checks, the same answer, nothing stored.
    pub(crate) dry_run: bool,
}

impl Intent {
    /// Takes its parameters out of a query.
    pub(crate) fn take(query: &mut Query) -> Result<Self, Problem> {
        Ok(Self {
            dry_run: query.flag("dry_run")?,
        })
    }

    /// Ends the transaction: whatever it did is kept, or undone when it was only tried. The answer is made before, so
    /// that trying and doing cannot answer differently.
    pub(crate) async fn finish<P: Permission<Access = access::Write>>(
        &self,
        tx: Tx<P>,
        mut answer: Response,
    ) -> Result<Response, Problem> {
        if self.dry_run {
            tx.roll_back().await?;
            answer
                .headers_mut()
                .insert(DRY_RUN, HeaderValue::from_static("true"));
        } else {
            tx.commit().await?;
        }
        Ok(answer)
    }
}
