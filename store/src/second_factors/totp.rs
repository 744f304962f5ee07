//! Codes that change every half minute (RFC 6238): six digits of HMAC-SHA-1 over the time, as every authenticator makes them.

use chrono::{DateTime, Utc};
use heddle_model::name::Name;
use secrecy::SecretString;
use totp_rs::{Builder, Secret, Totp};

use crate::error::{Error, Result};

/// What RFC 4226 recommends.
const KEY_BYTES: usize = 20;

/// Draws a key. Always from the operating system's generator: no test double can weaken it.
pub(super) fn draw_key() -> Result<Secret> {
    let mut key = [0_u8; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| Error::Database("draw random bytes".into()))?;
    Ok(Secret::new(Box::new(key)))
}

/// SHA-1, six digits, steps of 30 seconds, and one step to each side for clocks that differ.
fn totp(key: &[u8]) -> Result<Totp> {
    let built = Builder::new().with_secret(key.to_vec()).build();
    built.map_err(|e| Error::Database(e.to_string().into()))
}

/// The step of time that a code belongs to, if it is one of now.
pub(super) fn step_of(key: &[u8], code: &str, now: DateTime<Utc>) -> Result<Option<i64>> {
    let typed: String = code.chars().filter(|c| *c != ' ').collect();
    if typed.len() != 6 || !typed.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    let step = totp(key)?.check(&typed, seconds);
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

/// A key as people type it: base32.
pub(super) fn written(key: &Secret) -> SecretString {
    SecretString::from(key.to_base32())
}

/// A key as authenticators read it, mostly off a screen.
pub(super) fn uri(key: &Secret, org: &Name, email: &str) -> SecretString {
    let issuer = format!("Heddle%20{org}");
    let (email, key) = (escaped(email), key.to_base32());
    SecretString::from(format!(
        "otpauth://totp/{issuer}:{email}?secret={key}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
    ))
}

/// Everything but what no part of an address takes for something else.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, its last six digits.
        let key = b"12345678901234567890";
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = step_of(key, code, at(seconds)).unwrap();
            assert_eq!(step, Some(seconds / 30), "{seconds}");
            // Clocks differ by so much and no more.
            for off in [-30, 30] {
                assert_eq!(step_of(key, code, at(seconds + off)).unwrap(), step);
            }
            for late in [seconds - 90, seconds + 90]
                .into_iter()
                .filter(|at| *at > 0)
            {
                assert_ne!(step_of(key, code, at(late)).unwrap(), step, "{seconds}");
            }
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        let key = b"12345678901234567890";
        for junk in [
            "",
            "28708",
            "2870822",
            "28708a",
            "٢٨٧٠٨٢",
            "-87082",
            "287-082",
        ] {
            assert_eq!(step_of(key, junk, at(59)).unwrap(), None, "{junk}");
        }
        assert_eq!(step_of(key, "287 082", at(59)).unwrap(), Some(1));
    }

    #[test]
    fn an_authenticator_reads_who_it_is_for() {
        let key = Secret::new(Box::new(*b"12345678901234567890"));
        let acme = "acme".parse().unwrap();
        assert_eq!(
            uri(&key, &acme, "a+b@example.com").expose_secret(),
            "otpauth://totp/Heddle%20acme:a%2Bb%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Heddle%20acme&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(
            written(&key).expose_secret(),
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        );
        assert_ne!(
            draw_key().unwrap().as_bytes(),
            draw_key().unwrap().as_bytes()
        );
    }
}
