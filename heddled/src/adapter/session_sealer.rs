//! The keys that sign sessions' tokens, sealed like the certificate authorities': by the same key, for a purpose of their own.

use heddle_ca::{Aad, FileKey, SealingKey as _};
use heddle_store::{Cause, KeySealer};
use secrecy::SecretSlice;
use uuid::Uuid;

/// Seals under the sealing key of the installation.
pub(crate) struct SessionSealer(FileKey);

impl SessionSealer {
    pub(crate) fn new(key: FileKey) -> Self {
        Self(key)
    }
}

/// The installation's own: no organisation, no mesh.
fn place(key: Uuid) -> Aad {
    Aad {
        org: Uuid::nil(),
        mesh: Uuid::nil(),
        key,
        purpose: "session",
    }
}

impl KeySealer for SessionSealer {
    fn seal(&self, key: Uuid, plain: &[u8]) -> Result<Vec<u8>, Cause> {
        self.0.seal(&place(key), plain).map_err(Into::into)
    }

    fn open(&self, key: Uuid, sealed: &[u8]) -> Result<SecretSlice<u8>, Cause> {
        let plain = self.0.open(&place(key), sealed)?;
        Ok(SecretSlice::from(plain.to_vec()))
    }
}
