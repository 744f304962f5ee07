//! The key-encryption keys of an installation: the one that seals, and those before it, which still open.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::kek::{KekId, KeyEncryptionKey};
use crate::seal::{self, Aad, SealError, SealingKey};

/// A [`SealingKey`] of one key-encryption key that seals and any number that open. Which one opens is what the sealed
/// key says itself, so nothing is tried.
#[derive(Clone, Debug)]
pub struct Keyring {
    sealing: Arc<dyn KeyEncryptionKey>,
    before: Vec<Arc<dyn KeyEncryptionKey>>,
}

impl Keyring {
    /// A keyring that seals with `sealing` and opens what was sealed with it or with any of `before`.
    #[must_use]
    pub fn new(sealing: Arc<dyn KeyEncryptionKey>, before: Vec<Arc<dyn KeyEncryptionKey>>) -> Self {
        Self { sealing, before }
    }

    /// The key that seals.
    #[must_use]
    pub fn sealing(&self) -> KekId {
        self.sealing.id()
    }

    /// All keys that open: the one that seals first.
    pub fn opening(&self) -> impl Iterator<Item = KekId> {
        self.all().map(|key| key.id())
    }

    /// Seals anew, under the key that seals now and for the same place, what was sealed under another one (C14). `None` when
    /// there is nothing to do.
    ///
    /// # Errors
    /// As [`SealingKey::open`] and [`SealingKey::seal`].
    pub fn reseal(&self, aad: &Aad, sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        if seal::sealed_under(sealed)? == self.sealing.id() {
            return Ok(None);
        }
        let plain = self.open(aad, sealed)?;
        self.seal(aad, &plain).map(Some)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn KeyEncryptionKey>> {
        std::iter::once(&self.sealing).chain(&self.before)
    }
}

impl SealingKey for Keyring {
    fn seal(&self, aad: &Aad, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        seal::seal(&*self.sealing, aad, plain)
    }

    fn open(&self, aad: &Aad, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = seal::sealed_under(sealed)?;
        let key = self.all().find(|key| key.id() == id);
        seal::open(&**key.ok_or(SealError::OtherKey(id))?, aad, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalKey;
    use crate::testing::{id, place};

    fn key(byte: u8) -> Arc<dyn KeyEncryptionKey> {
        let text = hex::encode([byte; 32]);
        Arc::new(LocalKey::from_text(text.as_bytes()).expect("64 digits"))
    }

    #[test]
    fn sec_c14_what_the_old_key_sealed_opens_until_it_is_sealed_anew_and_then_without_it() {
        let old = Keyring::new(key(1), Vec::new());
        let sealed = old.seal(&place(), b"secret").expect("seal");

        let both = Keyring::new(key(2), vec![key(1)]);
        assert_eq!(
            both.open(&place(), &sealed).expect("open").as_slice(),
            b"secret"
        );
        let again = both
            .reseal(&place(), &sealed)
            .expect("reseal")
            .expect("another key");
        assert_eq!(
            both.reseal(&place(), &again),
            Ok(None),
            "nothing is done twice"
        );

        let new = Keyring::new(key(2), Vec::new());
        assert_eq!(
            new.open(&place(), &again).expect("open").as_slice(),
            b"secret"
        );
        assert_eq!(
            new.open(&place(), &sealed),
            Err(SealError::OtherKey(old.sealing()))
        );
        assert_eq!(
            old.open(&place(), &again),
            Err(SealError::OtherKey(new.sealing())),
            "the old key is worth nothing any more"
        );
    }

    #[test]
    fn sec_c13_a_moved_ciphertext_is_not_sealed_anew_either() {
        let sealed = Keyring::new(key(1), Vec::new())
            .seal(&place(), b"secret")
            .expect("seal");
        let elsewhere = Aad {
            org: id(9),
            ..place()
        };
        let both = Keyring::new(key(2), vec![key(1)]);
        assert_eq!(both.reseal(&elsewhere, &sealed), Err(SealError::Refused));
        assert_eq!(both.reseal(&place(), &[]), Err(SealError::Malformed));
    }
}
