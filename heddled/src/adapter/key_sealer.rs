//! The keys of sessions and of second factors, sealed like the certificate authorities': by the same key, each for a purpose of its own.

use std::sync::Arc;

use async_trait::async_trait;
use heddle_ca::{Keyring, SealingKey as _};
use heddle_store::reseal::Place;
use heddle_store::{Cause, KeySealer};
use secrecy::SecretSlice;

use super::sealed::sealed_for;

/// Seals under the sealing key of the installation.
pub(crate) struct LocalSealer(Arc<Keyring>);

impl LocalSealer {
    pub(crate) fn new(key: Arc<Keyring>) -> Self {
        Self(key)
    }
}

#[async_trait]
impl KeySealer for LocalSealer {
    async fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, Cause> {
        self.0.seal(&sealed_for(place), plain).map_err(Into::into)
    }

    async fn open(&self, place: Place, sealed: &[u8]) -> Result<SecretSlice<u8>, Cause> {
        let plain = self.0.open(&sealed_for(place), sealed)?;
        Ok(SecretSlice::from(plain.to_vec()))
    }
}
