//! A key-encryption key in this process's memory, read from a file or from the configuration.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::kek::{DATA_KEY, KekId, KeyEncryptionKey};
use crate::seal::{self, SealError};

pub(crate) const KEY: usize = 32;

/// A [`KeyEncryptionKey`] of 32 bytes. Wiped when dropped; `Debug` is a fixed word.
pub struct LocalKey(pub(crate) Zeroizing<[u8; KEY]>);

impl LocalKey {
    /// The key that a text spells: 64 hex digits, or the base64 of 32 bytes. White space around it does not count.
    /// `None` for any other text.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        decode(text.trim_ascii()).map(Self)
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey(redacted)")
    }
}

impl KeyEncryptionKey for LocalKey {
    fn id(&self) -> KekId {
        KekId::of("heddle key-encryption key id", &[self.0.as_slice()])
    }

    fn wrap(&self, aad: &[u8], data_key: &[u8; DATA_KEY]) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::new();
        seal::encrypt(&self.0, aad, data_key, &mut out)?;
        Ok(out)
    }

    fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<[u8; DATA_KEY]>, SealError> {
        seal::data_key(&seal::decrypt(&self.0, aad, wrapped)?)
    }
}

/// 64 hex digits or the base64 of 32 bytes.
fn decode(text: &[u8]) -> Option<Zeroizing<[u8; KEY]>> {
    let mut key = Zeroizing::new([0_u8; KEY]);
    if text.len() == 2 * KEY {
        hex::decode_to_slice(text, key.as_mut_slice()).ok()?;
        return Some(key);
    }
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    if bytes.len() != KEY {
        return None;
    }
    key.copy_from_slice(&bytes);
    Some(key)
}
