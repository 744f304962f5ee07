//! One sign-in under way: what is shown to the provider, and what proves that whoever comes back is who began.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

/// What belongs to one sign-in. All of it follows from a secret of 256 random bits that never leaves the browser but to us: of neither of
/// the three can another one, or the secret, be told.
pub struct Attempt {
    state: String,
    nonce: String,
    verifier: SecretString,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}

impl Attempt {
    /// What belongs to this secret.
    #[must_use]
    pub fn of(secret: &SecretString) -> Self {
        let key = Key::new(HMAC_SHA256, secret.expose_secret().as_bytes());
        let derived = |what: &str| URL_SAFE_NO_PAD.encode(sign(&key, what.as_bytes()));
        Self {
            state: derived("state"),
            nonce: derived("nonce"),
            verifier: derived("code_verifier").into(),
        }
    }

    /// Comes back with the answer: whoever brings another one did not begin this sign-in.
    pub(crate) fn state(&self) -> &str {
        &self.state
    }

    /// Comes back inside of the ID token: one that was made for another sign-in has another one.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Shown with the code (RFC 7636): a code alone is of no use.
    pub(crate) fn verifier(&self) -> &SecretString {
        &self.verifier
    }

    /// What is shown of it before.
    pub(crate) fn challenge(&self) -> String {
        let hash = digest(&SHA256, self.verifier.expose_secret().as_bytes());
        URL_SAFE_NO_PAD.encode(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_a07_all_that_belongs_to_a_sign_in_differs_and_is_the_same_again() {
        let one = Attempt::of(&SecretString::from("heddle_sso_one"));
        let again = Attempt::of(&SecretString::from("heddle_sso_one"));
        let two = Attempt::of(&SecretString::from("heddle_sso_two"));
        let all = |attempt: &Attempt| {
            let verifier = attempt.verifier.expose_secret().to_owned();
            let all = [attempt.state.clone(), attempt.nonce.clone(), verifier];
            [all.as_slice(), &[attempt.challenge()]].concat()
        };
        assert_eq!(all(&one), all(&again));
        let mut both = [all(&one), all(&two)].concat();
        // 43 characters of base64url: what RFC 7636 takes at least.
        assert!(both.iter().all(|text| text.len() == 43));
        both.sort();
        both.dedup();
        assert_eq!(both.len(), 8);
        assert!(!format!("{one:?}").contains(&one.state));
    }

    #[test]
    fn the_challenge_is_that_of_the_specification() {
        let attempt = Attempt {
            state: String::new(),
            nonce: String::new(),
            verifier: SecretString::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        };
        assert_eq!(
            attempt.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
