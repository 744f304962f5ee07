//! The key-encryption key in a token (a hardware security module) that speaks PKCS#11. It never leaves the token: data
//! keys are sent there to be encrypted and decrypted.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use crate::file_key::{FileKeyError, read_private};
use crate::kek::{DATA_KEY, KekId, KeyEncryptionKey};
use crate::seal::{self, SealError};
use crate::token_uri::TokenUri;

const NONCE: usize = 12;
const TAG_BITS: u64 = 128;

/// Why a key in a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The PIN could not be read.
    #[error("read the PIN of the token")]
    Pin(#[source] FileKeyError),
    /// The PIN is no text.
    #[error("the PIN of the token is no text")]
    PinText,
    /// The module or the token failed.
    #[error("{action}: {reason}")]
    Token {
        /// What was tried.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// No token, or several, are as the URI says.
    #[error("{found} tokens are as the URI says, not one")]
    WhichToken {
        /// How many are.
        found: usize,
    },
    /// No key, or several, are as the URI says.
    #[error("{found} secret keys of the token are as the URI says, not one")]
    WhichKey {
        /// How many are.
        found: usize,
    },
    /// The key is not what it should be.
    #[error("the key in the token cannot seal: {}", .faults.join("; "))]
    Unfit {
        /// All that is wrong with it.
        faults: Vec<&'static str>,
    },
}

/// A [`KeyEncryptionKey`] in a token. One session, made again when the token was away.
pub struct TokenKey {
    uri: TokenUri,
    id: KekId,
    module: Pkcs11,
    open: Mutex<Option<Open>>,
}

struct Open {
    session: Session,
    key: ObjectHandle,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKey({})", self.uri)
    }
}

fn failed(action: &'static str) -> impl FnOnce(Pkcs11Error) -> TokenKeyError {
    move |error| TokenKeyError::Token {
        action,
        reason: brief(&error),
    }
}

/// The code that PKCS#11 gives. What the library says about it is a chapter of the standard.
fn brief(error: &Pkcs11Error) -> String {
    match error {
        Pkcs11Error::Pkcs11(code, function) => format!("{function:?} says {code:?}"),
        other => other.to_string(),
    }
}

impl TokenKey {
    /// Finds the key, and makes sure that it is an AES-256 key that cannot leave its token.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub fn open(uri: TokenUri) -> Result<Self, TokenKeyError> {
        let module = Pkcs11::new(&uri.module).map_err(failed("load the token's module"))?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another key is in a token of the same module.
            Err(Pkcs11Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            other => other.map_err(failed("start the token's module"))?,
        }
        let object = uri.object.as_deref().unwrap_or_default();
        let parts = [object.as_bytes(), uri.id.as_deref().unwrap_or_default()];
        let key = Self {
            id: KekId::of("heddle key-encryption key in a token", &parts),
            module,
            open: Mutex::default(),
            uri,
        };
        let open = key.begin()?;
        fit(&open)?;
        *key.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(key)
    }

    fn begin(&self) -> Result<Open, TokenKeyError> {
        let slots = self.module.get_slots_with_token();
        let slots = slots.map_err(failed("list the tokens"))?;
        let mut there = Vec::new();
        for slot in slots {
            let info = self.module.get_token_info(slot);
            let info = info.map_err(failed("ask a token what it is"))?;
            let label = self.uri.token.as_ref().is_none_or(|l| l == info.label());
            let serial = self
                .uri
                .serial
                .as_ref()
                .is_none_or(|s| s == info.serial_number());
            if label && serial {
                there.push(slot);
            }
        }
        let [slot] = there.as_slice() else {
            return Err(TokenKeyError::WhichToken { found: there.len() });
        };
        let session = self.module.open_ro_session(*slot);
        let session = session.map_err(failed("open a session with the token"))?;
        let pin = read_private(&self.uri.pin).map_err(TokenKeyError::Pin)?;
        let pin = std::str::from_utf8(pin.trim_ascii()).map_err(|_| TokenKeyError::PinText)?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
            // Of one process all sessions with a token are logged in, or none.
            Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            other => other.map_err(failed("log in to the token"))?,
        }
        let mut wanted = vec![Attribute::Class(ObjectClass::SECRET_KEY)];
        wanted.extend(
            self.uri
                .object
                .clone()
                .map(|l| Attribute::Label(l.into_bytes())),
        );
        wanted.extend(self.uri.id.clone().map(Attribute::Id));
        let found = session.find_objects(&wanted);
        let found = found.map_err(failed("look for the key in the token"))?;
        let [key] = found.as_slice() else {
            return Err(TokenKeyError::WhichKey { found: found.len() });
        };
        Ok(Open { key: *key, session })
    }

    /// Does something with the session; when that fails, once more with a new one: tokens are restarted, and networks in
    /// front of them too.
    fn with<T>(&self, act: impl Fn(&Open) -> Result<T, Pkcs11Error>) -> Result<T, SealError> {
        let mut held = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(done)) = held.as_ref().map(&act) {
            return Ok(done);
        }
        // Closed before another one is opened: a token has few.
        *held = None;
        let open = self.begin().map_err(|error| said(&error))?;
        let done = act(&open);
        *held = Some(open);
        done.map_err(|error| match error {
            Pkcs11Error::Pkcs11(code, Function::Decrypt) if is_refusal(code) => SealError::Refused,
            other => said(&failed("use the key in the token")(other)),
        })
    }
}

/// The token did its part, and what it was given is not what it made. Modules have no word of their own for a wrong tag.
fn is_refusal(code: RvError) -> bool {
    matches!(
        code,
        RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::GeneralError
    )
}

/// Whether the key may do what it should, and nothing else.
fn fit(open: &Open) -> Result<(), TokenKeyError> {
    let asked = [
        AttributeType::KeyType,
        AttributeType::ValueLen,
        AttributeType::Encrypt,
        AttributeType::Decrypt,
        AttributeType::Sensitive,
        AttributeType::Extractable,
    ];
    let said = open.session.get_attributes(open.key, &asked);
    let said = said.map_err(failed("ask what the key in the token may do"))?;
    let wanted = [
        (Attribute::KeyType(KeyType::AES), "it is not for AES"),
        (Attribute::ValueLen(32_u64.into()), "it has not 256 bits"),
        (Attribute::Encrypt(true), "it may not encrypt"),
        (Attribute::Decrypt(true), "it may not decrypt"),
        (
            Attribute::Sensitive(true),
            "the token would show it (not sensitive)",
        ),
        (
            Attribute::Extractable(false),
            "it could leave the token (extractable)",
        ),
    ];
    let missing = wanted
        .into_iter()
        .filter(|(attribute, _)| !said.contains(attribute));
    let faults: Vec<&'static str> = missing.map(|(_, fault)| fault).collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(TokenKeyError::Unfit { faults })
}

/// What went wrong, with its cause: the one text that is passed on.
fn said(error: &TokenKeyError) -> SealError {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    SealError::Token(format!("{error}{}", source.unwrap_or_default()))
}

impl KeyEncryptionKey for TokenKey {
    fn id(&self) -> KekId {
        self.id
    }

    fn wrap(&self, aad: &[u8], data_key: &[u8; DATA_KEY]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE];
        rand::fill(&mut nonce).map_err(|_| SealError::Encrypt)?;
        self.with(|open| {
            // A token may put a nonce of its own in the place of ours.
            let mut used = nonce;
            let params = GcmParams::new(&mut used, aad, TAG_BITS.into())?;
            let sealed = (open.session).encrypt(&Mechanism::AesGcm(params), open.key, data_key)?;
            Ok([used.as_slice(), &sealed].concat())
        })
    }

    fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<[u8; DATA_KEY]>, SealError> {
        let (nonce, sealed) = wrapped
            .split_first_chunk::<NONCE>()
            .ok_or(SealError::Malformed)?;
        let plain = self.with(|open| {
            let mut nonce = *nonce;
            let params = GcmParams::new(&mut nonce, aad, TAG_BITS.into())?;
            (open.session).decrypt(&Mechanism::AesGcm(params), open.key, sealed)
        })?;
        seal::data_key(&Zeroizing::new(plain))
    }
}

#[cfg(test)]
mod tests;
