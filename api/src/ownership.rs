//! Whose an object is, and whether somebody else may write it.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use heddle_model::code::Code;
use heddle_model::kind::changes::{Changes, ExternalEdits};
use heddle_model::manager::ManagedBy;
use heddle_model::violation::Violation;
use heddle_store::resources::{Precondition, Stored};
use serde_json::json;

use crate::problem::Problem;

/// What a write does to the ownership of its object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// Whose it is afterwards.
    pub(crate) owner: Option<ManagedBy>,
    /// What whoever writes should know.
    pub(crate) finding: Option<Violation>,
}

/// Names the code of a finding where an answer has no body.
const FINDING: HeaderName = HeaderName::from_static("heddle-finding");

impl Verdict {
    /// Says in the headers of an answer without a body what whoever writes should know.
    pub(crate) fn mark(&self, answer: &mut Response) {
        if let Some(finding) = &self.finding {
            let code = HeaderValue::from_static(finding.code.as_str());
            answer.headers_mut().insert(FINDING, code);
        }
    }
}

/// Who writes, as the headers and parameters of a request say it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writer {
    /// The program, if it is one that looks after objects.
    pub(crate) manager: Option<ManagedBy>,
    /// Whether it means to take objects from their manager.
    pub(crate) takeover: bool,
}

impl Writer {
    /// Whether it may write an object that is owned so. The refusal is a sentence.
    pub(crate) fn judge(
        &self,
        owner: Option<&ManagedBy>,
        changes: &Changes,
    ) -> Result<Verdict, String> {
        let becomes = |owner: Option<&ManagedBy>| Verdict {
            owner: owner.cloned(),
            finding: None,
        };
        let Some(owner) = owner else {
            return Ok(becomes(self.manager.as_ref()));
        };
        match &self.manager {
            Some(manager) if manager.is(owner) || self.takeover => Ok(becomes(Some(manager))),
            None if self.takeover => Ok(becomes(None)),
            None if changes.external_edits() == ExternalEdits::Allow => Ok(becomes(Some(owner))),
            None if changes.external_edits() == ExternalEdits::Warn => Ok(Verdict {
                owner: Some(owner.clone()),
                finding: Some(Violation {
                    pointer: String::new(),
                    code: Code::ManagedElsewhere,
                    detail: format!("{owner} manages this object and may undo the change"),
                    hint: None,
                }),
            }),
            _ => Err(format!(
                "{owner} manages this object; change it there, or add `?takeover=true`"
            )),
        }
    }

    /// The same for one object, with the refusal as a problem, and with what the mesh demands of writes.
    pub(crate) fn may(
        &self,
        existing: Option<&Stored>,
        changes: &Changes,
        precondition: &Precondition,
    ) -> Result<Verdict, Problem> {
        if existing.is_some() && changes.requires_if_match() && *precondition == Precondition::None
        {
            return Err(Problem::new(
                Code::PreconditionRequired,
                "this mesh wants `If-Match`, or `meta.etag` in the body, with every change of what exists",
            )
            .with("current_etag", json!(existing.map(Stored::etag))));
        }
        let owner = existing.and_then(|stored| stored.managed_by.as_ref());
        self.judge(owner, changes).map_err(|detail| {
            Problem::new(Code::ManagedElsewhere, detail).with("managed_by", json!(owner))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_what() {
        let by = |text: &str| {
            Some(
                format!("terraform; ref=\"{text}\"")
                    .parse::<ManagedBy>()
                    .unwrap(),
            )
        };
        let edits = |external_edits| Changes {
            external_edits,
            require_if_match: None,
        };
        let (allow, warn, block) = (
            edits(Some(ExternalEdits::Allow)),
            edits(None),
            edits(Some(ExternalEdits::Block)),
        );
        // Owner before, manager of the writer, takeover, the mesh's rule: owner after and whether there is a finding.
        for (owner, manager, takeover, changes, after) in [
            (None, None, false, &block, Some((None, false))),
            (None, by("a"), false, &block, Some((by("a"), false))),
            (by("a"), by("a"), false, &block, Some((by("a"), false))),
            (by("a"), by("b"), false, &allow, None),
            (by("a"), by("b"), true, &block, Some((by("b"), false))),
            (by("a"), None, false, &allow, Some((by("a"), false))),
            (by("a"), None, false, &warn, Some((by("a"), true))),
            (by("a"), None, false, &block, None),
            (by("a"), None, true, &block, Some((None, false))),
        ] {
            let writer = Writer { manager, takeover };
            let verdict = writer.judge(owner.as_ref(), changes).ok();
            let verdict = verdict.map(|v| (v.owner, v.finding.is_some()));
            assert_eq!(verdict, after, "{owner:?} {writer:?}");
        }
    }
}
