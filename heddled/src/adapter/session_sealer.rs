//! The keys that sign sessions' tokens, sealed like the certificate authorities': by the same key, for a purpose of their own.

use std::sync::Arc;

use async_trait::async_trait;
use heddle_ca::{Keyring, SealingKey as _};
use heddle_store::reseal::Place;
use heddle_store::{Cause, KeySealer};
use secrecy::SecretSlice;
use uuid::Uuid;

use super::sealed::sealed_for;

/// Seals under the sealing key of the installation.
pub(crate) struct SessionSealer(Arc<Keyring>);

impl SessionSealer {
    pub(crate) fn new(key: Arc<Keyring>) -> Self {
        Self(key)
    }
}

#[async_trait]
impl KeySealer for SessionSealer {
    async fn seal(&self, key: Uuid, plain: &[u8]) -> Result<Vec<u8>, Cause> {
        let place = sealed_for(Place::SessionKey { id: key });
        self.0.seal(&place, plain).map_err(Into::into)
    }

    async fn open(&self, key: Uuid, sealed: &[u8]) -> Result<SecretSlice<u8>, Cause> {
        let place = sealed_for(Place::SessionKey { id: key });
        let plain = self.0.open(&place, sealed)?;
        Ok(SecretSlice::from(plain.to_vec()))
    }
}
