//! What wraps data keys: one trait, whether the key lies in memory or never leaves a token.

use std::fmt;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::seal::SealError;

/// The length of a data key, in bytes.
pub(crate) const DATA_KEY: usize = 32;
/// Nonce, data key and tag: what every key-encryption key makes of a data key.
pub(crate) const WRAPPED: usize = 12 + DATA_KEY + 16;
/// The length of a [`KekId`], in bytes.
pub(crate) const ID: usize = 8;

/// The name of a key-encryption key, which every sealed key begins with. It tells nothing about the key, but which one
/// is needed, so that several can be open at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KekId(pub(crate) [u8; ID]);

impl KekId {
    /// A name that follows from what only this key has. `kind` keeps the kinds of keys apart.
    pub(crate) fn of(kind: &'static str, parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(kind.as_bytes());
        for part in parts {
            context.update(b"\0");
            context.update(part);
        }
        let mut id = [0_u8; ID];
        for (to, from) in id.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(id)
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KekId({self})")
    }
}

/// A key-encryption key: AES-256-GCM over data keys, wherever the key itself is.
pub trait KeyEncryptionKey: fmt::Debug + Send + Sync {
    /// Its name.
    fn id(&self) -> KekId;

    /// Nonce (12 bytes), ciphertext and tag (16 bytes) of a data key, bound to `aad`.
    ///
    /// # Errors
    /// [`SealError::Encrypt`], [`SealError::Token`].
    fn wrap(&self, aad: &[u8], data_key: &[u8; DATA_KEY]) -> Result<Vec<u8>, SealError>;

    /// What [`Self::wrap`] was given, for the same `aad`.
    ///
    /// # Errors
    /// [`SealError::Refused`] when it was made by another key, for another `aad` or altered; [`SealError::Malformed`],
    /// [`SealError::Token`].
    fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<[u8; DATA_KEY]>, SealError>;
}
