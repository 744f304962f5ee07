//! What a browser brings back from a provider.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::SecretString;

use crate::attempt::Attempt;
use crate::metadata::{Issuer, Metadata};
use crate::refused::{Refused, plain};

/// The query of the address that the provider sent somebody back to. Nothing in it can be believed before it was looked at.
#[derive(Default)]
pub struct Returned {
    /// What an identity is handed out for, once.
    pub code: Option<SecretString>,
    /// Of which sign-in it is.
    pub state: String,
    /// From which provider (RFC 9207).
    pub issuer: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// In more words.
    pub error_description: Option<String>,
}

impl std::fmt::Debug for Returned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returned").finish_non_exhaustive()
    }
}

impl Returned {
    /// The code, if this is the answer to that sign-in and from that provider.
    pub(crate) fn into_code(
        self,
        attempt: &Attempt,
        issuer: &Issuer,
        metadata: &Metadata,
    ) -> Result<SecretString, Refused> {
        let (sent, back) = (attempt.state().as_bytes(), self.state.as_bytes());
        if verify_slices_are_equal(sent, back).is_err() {
            return Err(Refused::Returned(
                "the answer belongs to another sign-in: its `state` is not the one that was sent",
            ));
        }
        // Before anything else is believed: the answer of another provider would hand that one's code to this one, or this one's to it.
        match self.issuer.as_deref() {
            Some(from) if from != issuer.as_str() => {
                return Err(Refused::Returned(
                    "the answer is from another provider: its `iss` is not the issuer of this connection",
                ));
            }
            None if metadata.sends_issuer => {
                return Err(Refused::Returned(
                    "the answer does not say which provider it is from: this one sends `iss`",
                ));
            }
            Some(_) | None => {}
        }
        if let Some(error) = self.error {
            return Err(Refused::Provider {
                error: plain(&error),
                description: self.error_description.as_deref().map(plain),
            });
        }
        self.code.ok_or(Refused::Returned(
            "the answer has neither a `code` nor an `error`",
        ))
    }
}
