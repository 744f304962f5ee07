//! What a client says about a write beside its content, and how a write ends: kept, or only tried.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::Response;
use heddle_model::authz::{Permission, access};
use heddle_model::code::Code;
use heddle_store::Tx;
use serde_json::json;

use crate::extract::Query;
use crate::once::Once;
use crate::ownership::Writer;
use crate::problem::Problem;

/// Marks the answer of a write that was only tried.
const DRY_RUN: HeaderName = HeaderName::from_static("heddle-dry-run");
/// Says which program writes.
const MANAGER: &str = "heddle-manager";

/// Says that ports may be closed to callers in plain text that are left.
pub(crate) const ACCEPT_PLAIN_CALLERS: &str = "accept_plain_callers";

/// What is wanted of a write.
#[derive(Debug)]
pub(crate) struct Intent {
    /// Do everything but keep it: the same checks, the same answer, nothing stored.
    pub(crate) dry_run: bool,
    /// Who writes.
    pub(crate) writer: Writer,
    /// Ports may be closed although somebody calls them in plain text.
    pub(crate) accept_plain_callers: bool,
    once: Option<Once>,
}

impl Intent {
    /// What a write of something that nobody manages may say.
    pub(crate) fn take(query: &mut Query) -> Result<Self, Problem> {
        Ok(Self {
            dry_run: query.flag("dry_run")?,
            writer: Writer::default(),
            accept_plain_callers: false,
            once: None,
        })
    }

    /// What a write of a declarative object may say: also who looks after it.
    pub(crate) fn owning(query: &mut Query, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut intent = Self::take(query)?;
        intent.writer.takeover = query.flag("takeover")?;
        // Only where the document promises it: elsewhere it has been refused by now.
        intent.accept_plain_callers = query.flag(ACCEPT_PLAIN_CALLERS)?;
        let mut values = headers.get_all(MANAGER).iter();
        if let Some(value) = values.next() {
            let bad = |why: &str| {
                Problem::new(Code::BadParameter, format!("`Heddle-Manager`: {why}"))
                    .with("parameter", json!("Heddle-Manager"))
            };
            let text = value.to_str().map_err(|_| bad("not plain text"))?;
            let manager = text.parse().map_err(|error| {
                let error: heddle_model::manager::ParseManagerError = error;
                bad(&error.to_string())
            })?;
            if values.next().is_some() {
                return Err(bad("given twice"));
            }
            intent.writer.manager = Some(manager);
        }
        Ok(intent)
    }

    /// The same for a POST, which may carry an `Idempotency-Key`. What is only tried may be tried again.
    pub(crate) fn once(
        mut self,
        headers: &HeaderMap,
        uri: &Uri,
        body: &[u8],
    ) -> Result<Self, Problem> {
        self.once = Once::take(headers, uri, body)?.filter(|_| !self.dry_run);
        Ok(self)
    }

    /// The answer, if this very request was answered before. To be asked before anything is written.
    pub(crate) async fn replay<P: Permission<Access = access::Write>>(
        &self,
        tx: &mut Tx<P>,
    ) -> Result<Option<Response>, Problem> {
        match &self.once {
            Some(once) => once.replay(tx).await,
            None => Ok(None),
        }
    }

    /// Ends the transaction: whatever it did is kept, or undone when it was only tried. The answer is made before, so
    /// that trying and doing cannot answer differently.
    pub(crate) async fn finish<P: Permission<Access = access::Write>>(
        &self,
        mut tx: Tx<P>,
        mut answer: Response,
    ) -> Result<Response, Problem> {
        if self.dry_run {
            tx.roll_back().await?;
            answer
                .headers_mut()
                .insert(DRY_RUN, HeaderValue::from_static("true"));
            return Ok(answer);
        }
        if let Some(once) = &self.once {
            answer = once.keep(&mut tx, answer).await?;
        }
        tx.commit().await?;
        Ok(answer)
    }
}
