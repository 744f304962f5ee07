//! Session tickets (RFC 8446 4.6.1) that every server with the same private key makes and takes, with nothing stored and nothing
//! sent between servers: the keys are derived from that private key and the time.
//!
//! For TLS 1.3 alone. There a ticket only proves that client and server met before: each session agrees on a secret of its own, so
//! keys of tickets that come to light open nothing that was recorded. What resumes a session of TLS 1.2 also opens what was said in
//! it, so whoever came by the server's key could read what was recorded long ago, workloads' keys included. Clients that know no
//! newer one go through the whole handshake each time.

use std::sync::{PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use heddle_model::clock::SharedClock;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

/// How long tickets are made with one key, in seconds. They are taken for as long again, and no key makes anywhere near the 2^32
/// tickets that random nonces allow.
const TERM: u32 = 6 * 60 * 60;
/// What the keys are for: no other use of the private key comes to the same ones.
const PURPOSE: &[u8] = b"heddle xds session tickets 1";
const TERM_BYTES: usize = 8;
/// TLS 1.3 as its messages name it.
const TLS_1_3: [u8; 2] = [3, 4];

/// Seals and opens tickets: the number of the term, a nonce, and what rustls wants to find again.
pub(super) struct Tickets {
    secret: RwLock<Prk>,
    clock: SharedClock,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

/// The length of a key, as HKDF wants to be told.
struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        AES_256_GCM.key_len()
    }
}

fn extract(private_key: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, PURPOSE).extract(private_key)
}

/// The version of TLS in what rustls wants to find again: after a flag and, when that is set, the host in its length and bytes. Were
/// it to stand elsewhere one day, no tickets were made, which a test of the server would tell.
fn version(plain: &[u8]) -> Option<[u8; 2]> {
    let (has_host, rest) = plain.split_first()?;
    let rest = match has_host {
        0 => rest,
        _ => rest.get(usize::from(*rest.first()?) + 1..)?,
    };
    rest.first_chunk().copied()
}

impl Tickets {
    pub(super) fn new(private_key: &[u8], clock: SharedClock) -> Self {
        let secret = RwLock::new(extract(private_key));
        Self { secret, clock }
    }

    /// Another private key from now on.
    pub(super) fn replace(&self, private_key: &[u8]) {
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = extract(private_key);
    }

    fn term(&self) -> u64 {
        let now = self.clock.now().timestamp();
        u64::try_from(now).unwrap_or(0) / u64::from(TERM)
    }

    fn key(&self, term: u64) -> Option<RandomizedNonceKey> {
        let mut key = Zeroizing::new([0; 32]);
        let secret = self.secret.read().unwrap_or_else(PoisonError::into_inner);
        let info = [&term.to_be_bytes()[..]];
        secret.expand(&info, KeyLength).ok()?.fill(&mut *key).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &*key).ok()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TERM
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if version(plain)? != TLS_1_3 {
            return None;
        }
        let term = self.term();
        let mut sealed = plain.to_vec();
        let nonce = self
            .key(term)?
            .seal_in_place_append_tag(Aad::from(term.to_be_bytes()), &mut sealed)
            .ok()?;
        Some([&term.to_be_bytes()[..], nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (term, rest) = ticket.split_first_chunk::<TERM_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (made, now) = (u64::from_be_bytes(*term), self.term());
        // The next one too: another server's clock may be ahead.
        if !(now.saturating_sub(1)..=now + 1).contains(&made) {
            return None;
        }
        let mut plain = sealed.to_vec();
        let length = self
            .key(made)?
            .open_in_place(Nonce::from(nonce), Aad::from(*term), &mut plain)
            .ok()?
            .len();
        plain.truncate(length);
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use heddle_model::clock::TestClock;

    use super::*;

    /// What rustls would hand over of a session with this version of TLS.
    fn session(version: [u8; 2]) -> Vec<u8> {
        [b"\x01\x09localhost", &version[..], b"and so on"].concat()
    }

    fn clock() -> Arc<TestClock> {
        Arc::new(TestClock::at("2026-11-26T05:00:00Z".parse().unwrap()))
    }

    #[test]
    fn any_server_with_the_key_takes_a_ticket_until_its_time_is_over() {
        let clock = clock();
        let ours = Tickets::new(b"a private key", clock.clone());
        let ticket = ours.encrypt(&session(TLS_1_3)).unwrap();
        assert_ne!(ours.encrypt(&session(TLS_1_3)).unwrap(), ticket);
        let other = Tickets::new(b"a private key", clock.clone());
        assert_eq!(other.decrypt(&ticket).unwrap(), session(TLS_1_3));
        clock.advance(TimeDelta::seconds(TERM.into()));
        assert_eq!(other.decrypt(&ticket).unwrap(), session(TLS_1_3));
        clock.advance(TimeDelta::seconds(TERM.into()));
        assert_eq!(other.decrypt(&ticket), None);
    }

    #[test]
    fn sessions_of_older_versions_get_none() {
        let ours = Tickets::new(b"a private key", clock());
        assert_eq!(ours.encrypt(&session([3, 3])), None);
        assert_eq!(ours.encrypt(b"\x00\x03\x03and so on"), None);
        assert!(ours.encrypt(b"\x00\x03\x04and so on").is_some());
        for short in [&b""[..], b"\x00", b"\x01", b"\x01\x09local"] {
            assert_eq!(ours.encrypt(short), None);
        }
    }

    #[test]
    fn no_other_ticket_is_taken() {
        let clock = clock();
        let ours = Tickets::new(b"a private key", clock.clone());
        let ticket = ours.encrypt(&session(TLS_1_3)).unwrap();
        let stranger = Tickets::new(b"another one", clock);
        assert_eq!(stranger.decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut altered = ticket.clone();
            altered[at] ^= 1;
            assert_eq!(ours.decrypt(&altered), None, "byte {at}");
            assert_eq!(ours.decrypt(&ticket[..at]), None, "{at} bytes");
        }
        stranger.replace(b"a private key");
        assert_eq!(stranger.decrypt(&ticket).unwrap(), session(TLS_1_3));
        ours.replace(b"a new one");
        assert_eq!(ours.decrypt(&ticket), None);
    }
}
