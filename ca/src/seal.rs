//! Envelope sealing of signing keys (S53): what a database dump holds is worth nothing alone (C12).
//!
//! Every key gets a data key of its own, which the key-encryption key wraps. Both layers are
//! AES-256-GCM and bind the place the ciphertext belongs to, so a row copied to another organisation,
//! mesh, key or purpose does not open (C13).
//!
//! Layout, version 1: `version(1) kek_id(8) nonce(12) wrapped_key(32+16) nonce(12) sealed(n+16)`.

use aws_lc_rs::aead::{self, AES_256_GCM, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::kek::{DATA_KEY, ID, KekId, KeyEncryptionKey, WRAPPED};

const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;
const HEADER: usize = 1 + ID;

/// Where a sealed key belongs. Bound into the ciphertext, stored nowhere in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aad {
    /// The organisation.
    pub org: Uuid,
    /// The mesh.
    pub mesh: Uuid,
    /// The id of the key (of the authority that signs with it).
    pub key: Uuid,
    /// What the key is for.
    pub purpose: &'static str,
}

/// Why a key cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short or otherwise not ours.
    #[error("the sealed key is malformed")]
    Malformed,
    /// Made by a newer version.
    #[error("the sealed key has the unknown format version {0}")]
    UnknownVersion(u8),
    /// Sealed under a key-encryption key that is not open: the wrong key file, most likely.
    #[error("the key was sealed under the sealing key {0}, which is not among those configured")]
    OtherKey(KekId),
    /// Altered, or moved from the place it was sealed for.
    #[error(
        "the sealed key does not belong to this organisation, mesh, key and purpose, or was altered"
    )]
    Refused,
    /// The cryptographic library failed.
    #[error("encrypt a key")]
    Encrypt,
    /// The token that holds the key-encryption key did not do its part. Holds what it said.
    #[error("ask the token that holds the sealing key: {0}")]
    Token(String),
}

/// Seals and opens private keys. See [`crate::Keyring`].
pub trait SealingKey: Send + Sync {
    /// Seals `plain` for the place `aad` names.
    ///
    /// # Errors
    /// [`SealError::Encrypt`], [`SealError::Token`].
    fn seal(&self, aad: &Aad, plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Opens what was sealed for exactly this place.
    ///
    /// # Errors
    /// Every [`SealError`] but `Encrypt`; none says more than that it does not open.
    fn open(&self, aad: &Aad, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError>;
}

/// Seals under a key-encryption key.
pub(crate) fn seal(
    kek: &dyn KeyEncryptionKey,
    aad: &Aad,
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut data_key = Zeroizing::new([0_u8; DATA_KEY]);
    rand::fill(&mut *data_key).map_err(|_| SealError::Encrypt)?;
    let mut out = Vec::with_capacity(HEADER + WRAPPED + NONCE + plain.len() + TAG);
    out.push(VERSION);
    out.extend_from_slice(&kek.id().0);
    let header = out.clone();
    let wrapped = kek.wrap(&bound(aad, &header, "key"), &data_key)?;
    if wrapped.len() != WRAPPED {
        return Err(SealError::Encrypt);
    }
    out.extend_from_slice(&wrapped);
    encrypt(&data_key, &bound(aad, &header, "content"), plain, &mut out)?;
    Ok(out)
}

/// Opens what [`seal`] made under the same key for the same place.
pub(crate) fn open(
    kek: &dyn KeyEncryptionKey,
    aad: &Aad,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let id = sealed_under(sealed)?;
    if id != kek.id() {
        return Err(SealError::OtherKey(id));
    }
    let (header, rest) = sealed
        .split_at_checked(HEADER)
        .ok_or(SealError::Malformed)?;
    let (wrapped, content) = rest.split_at_checked(WRAPPED).ok_or(SealError::Malformed)?;
    let data_key = kek.unwrap(&bound(aad, header, "key"), wrapped)?;
    decrypt(&data_key, &bound(aad, header, "content"), content)
}

/// The key-encryption key that something was sealed under, as it says itself.
///
/// # Errors
/// [`SealError::Malformed`], [`SealError::UnknownVersion`].
pub fn sealed_under(sealed: &[u8]) -> Result<KekId, SealError> {
    let (version, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
    if *version != VERSION {
        return Err(SealError::UnknownVersion(*version));
    }
    rest.first_chunk()
        .copied()
        .map(KekId)
        .ok_or(SealError::Malformed)
}

/// A data key of the bytes that were wrapped.
pub(crate) fn data_key(plain: &[u8]) -> Result<Zeroizing<[u8; DATA_KEY]>, SealError> {
    let mut key = Zeroizing::new([0_u8; DATA_KEY]);
    if plain.len() != DATA_KEY {
        return Err(SealError::Malformed);
    }
    key.copy_from_slice(plain);
    Ok(key)
}

/// What a layer authenticates beside its content. Fixed-width fields first, one text last: no two
/// places give the same bytes.
fn bound(aad: &Aad, header: &[u8], layer: &'static str) -> Vec<u8> {
    let mut out = header.to_vec();
    for id in [aad.org, aad.mesh, aad.key] {
        out.extend_from_slice(id.as_bytes());
    }
    out.extend_from_slice(format!("{layer}/{}", aad.purpose).as_bytes());
    out
}

/// Appends nonce, ciphertext and tag to `out`.
pub(crate) fn encrypt(
    key: &[u8; DATA_KEY],
    aad: &[u8],
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::Encrypt)?;
    let mut buffer = Zeroizing::new(plain.to_vec());
    let (nonce, tag) = key
        .seal_in_place_separate_tag(aead::Aad::from(aad), &mut buffer)
        .map_err(|_| SealError::Encrypt)?;
    out.extend_from_slice(nonce.as_ref());
    out.extend_from_slice(&buffer);
    out.extend_from_slice(tag.as_ref());
    Ok(())
}

/// Reads nonce, ciphertext and tag.
pub(crate) fn decrypt(
    key: &[u8; DATA_KEY],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (nonce, body) = sealed.split_at_checked(NONCE).ok_or(SealError::Malformed)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Malformed)?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::Refused)?;
    let mut buffer = Zeroizing::new(body.to_vec());
    let plain = key
        .open_in_place(nonce, aead::Aad::from(aad), &mut buffer)
        .map_err(|_| SealError::Refused)?
        .len();
    buffer.truncate(plain);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{MemoryKey, id, place};

    #[test]
    fn sec_c12_a_dump_without_the_key_encryption_key_opens_nothing() {
        let plain = b"the private key of an authority";
        let sealed = MemoryKey::new(1).seal(&place(), plain).expect("seal");
        assert_eq!(
            MemoryKey::new(1)
                .open(&place(), &sealed)
                .expect("open")
                .as_slice(),
            plain
        );
        assert_eq!(
            MemoryKey::new(2).open(&place(), &sealed),
            Err(SealError::OtherKey(MemoryKey::new(1).id()))
        );
        assert!(!sealed.windows(8).any(|w| plain.windows(8).any(|p| p == w)));

        // Also when the wrong key pretends to be the right one.
        let mut renamed = sealed;
        renamed[1..HEADER].copy_from_slice(&MemoryKey::new(2).id().0);
        assert_eq!(
            MemoryKey::new(2).open(&place(), &renamed),
            Err(SealError::Refused)
        );
    }

    #[test]
    fn sec_c13_a_ciphertext_moved_to_another_place_is_refused() {
        let key = MemoryKey::new(1);
        let sealed = key.seal(&place(), b"secret").expect("seal");
        let elsewhere = [
            Aad {
                org: id(9),
                ..place()
            },
            Aad {
                mesh: id(9),
                ..place()
            },
            Aad {
                key: id(9),
                ..place()
            },
            Aad {
                purpose: "root",
                ..place()
            },
            Aad {
                org: id(2),
                mesh: id(1),
                ..place()
            },
        ];
        for aad in elsewhere {
            assert_eq!(key.open(&aad, &sealed), Err(SealError::Refused), "{aad:?}");
        }
    }

    #[test]
    fn a_newer_format_and_a_torso_are_told_apart_from_tampering() {
        let key = MemoryKey::new(1);
        let mut sealed = key.seal(&place(), b"secret").expect("seal");
        assert_eq!(key.open(&place(), &[]), Err(SealError::Malformed));
        assert_eq!(
            key.open(&place(), &sealed[..HEADER + WRAPPED]),
            Err(SealError::Malformed)
        );
        sealed[0] = 2;
        assert_eq!(
            key.open(&place(), &sealed),
            Err(SealError::UnknownVersion(2))
        );
    }

    #[test]
    fn two_sealings_of_one_secret_share_nothing() {
        let key = MemoryKey::new(1);
        let (a, b) = (key.seal(&place(), &[7; 64]), key.seal(&place(), &[7; 64]));
        let (a, b) = (a.expect("seal"), b.expect("seal"));
        assert_eq!(a[..HEADER], b[..HEADER]);
        assert!(
            !a[HEADER..]
                .windows(8)
                .any(|w| b[HEADER..].windows(8).any(|o| o == w))
        );
    }

    proptest! {
        #[test]
        fn property_every_altered_byte_is_noticed(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<proptest::sample::Index>(),
            flip in 1_u8..,
        ) {
            let key = MemoryKey::new(1);
            let mut sealed = key.seal(&place(), &plain).expect("seal");
            prop_assert_eq!(&*key.open(&place(), &sealed).expect("open"), &plain);
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert!(key.open(&place(), &sealed).is_err());
        }

        #[test]
        fn property_arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(MemoryKey::new(1).open(&place(), &bytes).is_err());
        }
    }
}
