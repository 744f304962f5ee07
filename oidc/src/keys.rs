//! The keys that a provider signs with.

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::refused::Refused;

/// What may sign: with a key that the provider alone has. No `none`, and no HMAC, whose key we would have too.
pub(crate) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// More than any provider has.
const MOST: usize = 100;

/// The keys of a provider.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(Vec<Jwk>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads a key set (RFC 7517). Keys of kinds that are not known here are none of ours.
    pub(crate) fn read(what: &str, body: &[u8]) -> Result<Self, Refused> {
        let unfit = |why: String| Refused::Unfit {
            what: what.to_owned(),
            why,
        };
        let document: Document = serde_json::from_slice(body)
            .map_err(|error| unfit(format!("this is no key set: {error}")))?;
        if document.keys.len() > MOST {
            return Err(unfit(format!("it has more than {MOST} keys")));
        }
        let read = |key| serde_json::from_value(key).ok();
        let keys = Self(document.keys.into_iter().filter_map(read).collect());
        if ALGORITHMS
            .iter()
            .all(|one| keys.fitting(*one, None).is_empty())
        {
            return Err(unfit(String::from(
                "it has no key that could have signed an ID token",
            )));
        }
        Ok(keys)
    }

    /// The keys that may have signed a token with this header.
    pub(crate) fn fitting(&self, algorithm: Algorithm, name: Option<&str>) -> Vec<DecodingKey> {
        let fitting = self.0.iter().filter(|key| fits(key, algorithm));
        let named = fitting.filter(|key| name.is_none() || key.common.key_id.as_deref() == name);
        named
            .filter_map(|key| DecodingKey::from_jwk(key).ok())
            .collect()
    }
}

/// Whether a key signs, and with this algorithm: one for RSA verifies nothing else, and one that names its algorithm only that.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let signs = common
        .public_key_use
        .as_ref()
        .is_none_or(|x| *x == PublicKeyUse::Signature);
    let verifies = |all: &Vec<KeyOperations>| all.contains(&KeyOperations::Verify);
    let named = |named: &KeyAlgorithm| format!("{named:?}") == format!("{algorithm:?}");
    let kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            key.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => {
            key.curve == EllipticCurve::P384
        }
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => {
            key.curve == EllipticCurve::Ed25519
        }
        (
            AlgorithmParameters::RSA(_),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => true,
        _ => false,
    };
    kind && signs
        && common.key_operations.as_ref().is_none_or(verifies)
        && common.key_algorithm.as_ref().is_none_or(named)
}
