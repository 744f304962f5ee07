//! Passwords: Argon2id, a few at a time. Hashing one takes memory and time on purpose, so a flood of them is shed and never
//! queues up before everything else.

use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::secret;
use crate::store::Store;

/// How many hashes are computed at once.
const AT_ONCE: usize = 2;
/// How long one waits for its turn before it is turned away.
const PATIENCE: Duration = Duration::from_secs(5);

/// The work of the process on passwords.
pub(crate) struct Passwords {
    turns: Semaphore,
    /// A hash of nothing that anybody knows, of the same cost: what an unknown address is checked against.
    nobody: tokio::sync::OnceCell<String>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            nobody: tokio::sync::OnceCell::new(),
        }
    }
}

/// 19 MiB, two passes, one lane: OWASP's recommendation.
fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("the parameters are within bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Draws a password for somebody to begin with: 20 characters, about 119 bits.
///
/// # Errors
/// [`Error::Database`] when the operating system gives no random bytes.
pub fn draw_password() -> Result<SecretString> {
    secret::draw_text(20).map_err(|e| Error::Database(Box::new(e)))
}

impl Store {
    /// Hashes a password for keeping: Argon2id in PHC form.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many are being hashed.
    pub async fn hash_password(&self, password: SecretString) -> Result<String> {
        self.compute(move || {
            let hash = argon2().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| hash.to_string())
                .map_err(|e| Error::Database(e.to_string().into()))
        })
        .await?
    }

    /// Whether a password is the one that was hashed. Without a hash the answer is no, after the same work.
    pub(crate) async fn verify_password(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool> {
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => {
                let nobody = self
                    .passwords()
                    .nobody
                    .get_or_try_init(async || self.hash_password(draw_password()?).await);
                nobody.await?.clone()
            }
        };
        let equal = self.compute(move || {
            let parsed = PasswordHash::new(&hash).ok()?;
            let password = password.expose_secret().as_bytes();
            argon2().verify_password(password, &parsed).ok()
        });
        Ok(equal.await?.is_some() && known)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let turn = self.passwords().turns.acquire();
        let turn = tokio::time::timeout(PATIENCE, turn).await;
        // The semaphore is never closed.
        let Ok(Ok(_turn)) = turn else {
            return Err(Error::Busy);
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| Error::Database(Box::new(e)))
    }
}
