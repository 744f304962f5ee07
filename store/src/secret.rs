//! The text form of tokens: `heddle_<kind>_` + 43 random characters + 6 of checksum.
//!
//! The prefix names the kind for people and secret scanners; the checksum lets a scanner (and us, before any
//! query) tell a token from something that only looks like one. The database holds the SHA-256 of the whole text.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 > 2^256.
const RANDOM: usize = 43;
/// 62^6 > 2^32.
const CHECKSUM: usize = 6;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A person's.
    Personal,
    /// A machine's.
    Service,
    /// A proxy's.
    Join,
    /// A device's that waits to be let in.
    Device,
    /// In a link by which a member sets a password anew.
    Reset,
    /// In a link by which somebody becomes a member.
    Invitation,
    /// Whoever has shown a password and is to show a second factor.
    Challenge,
    /// Whoever was sent to a provider.
    SsoSignIn,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Personal,
        Self::Service,
        Self::Join,
        Self::Device,
        Self::Reset,
        Self::Invitation,
        Self::Challenge,
        Self::SsoSignIn,
    ];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Personal => "heddle_pat_",
            Self::Service => "heddle_svc_",
            Self::Join => "heddle_join_",
            Self::Device => "heddle_dev_",
            Self::Reset => "heddle_rst_",
            Self::Invitation => "heddle_inv_",
            Self::Challenge => "heddle_mfa_",
            Self::SsoSignIn => "heddle_sso_",
        }
    }
}

/// What a refresh secret begins with.
const REFRESH: &str = "heddle_ref_";

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("draw random bytes")]
pub(crate) struct NoRandomness;

/// Draws a token of 256 random bits. Always from the operating system's generator: no test double can weaken it.
pub(crate) fn draw(kind: Kind) -> Result<SecretString, NoRandomness> {
    let mut text = String::with_capacity(kind.prefix().len() + RANDOM + CHECKSUM);
    text.push_str(kind.prefix());
    fill(&mut text, RANDOM, ALPHABET)?;
    let sum = checksum(&text);
    text.push_str(&sum);
    Ok(SecretString::from(text))
}

/// Appends random characters of an alphabet of at most 256.
fn fill(text: &mut String, count: usize, alphabet: &[u8]) -> Result<(), NoRandomness> {
    let whole = text.len() + count;
    // The largest multiple of the alphabet: what lies above would make some characters likelier than others.
    let fair = 256 - 256 % alphabet.len();
    let mut bytes = [0_u8; 64];
    while text.len() < whole {
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        let fair = bytes
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|byte| *byte < fair);
        text.extend(
            fair.map(|byte| char::from(alphabet[byte % alphabet.len()]))
                .take(whole - text.len()),
        );
    }
    Ok(())
}

/// Draws a text of random letters and digits.
pub(crate) fn draw_text(count: usize) -> Result<SecretString, NoRandomness> {
    let mut text = String::with_capacity(count);
    fill(&mut text, count, ALPHABET)?;
    Ok(SecretString::from(text))
}

/// Draws a refresh secret: two halves of 256 random bits. The first half is that of `before`, when there is one.
pub(crate) fn draw_refresh(before: Option<&SecretString>) -> Result<SecretString, NoRandomness> {
    let mut text = String::with_capacity(REFRESH.len() + 2 * RANDOM + CHECKSUM);
    text.push_str(REFRESH);
    match before.and_then(|before| refresh_halves(before.expose_secret())) {
        Some((family, _)) => text.push_str(family),
        None => fill(&mut text, RANDOM, ALPHABET)?,
    }
    fill(&mut text, RANDOM, ALPHABET)?;
    let sum = checksum(&text);
    text.push_str(&sum);
    Ok(SecretString::from(text))
}

fn refresh_halves(text: &str) -> Option<(&str, &str)> {
    let body = text.strip_prefix(REFRESH)?;
    if body.len() != 2 * RANDOM + CHECKSUM || !body.bytes().all(|b| ALPHABET.contains(&b)) {
        return None;
    }
    let (signed, sum) = text.split_at(text.len() - CHECKSUM);
    (checksum(signed) == sum).then(|| body[..2 * RANDOM].split_at(RANDOM))
}

/// What the database knows the two halves of a refresh secret by; `None` when the text is none.
pub(crate) fn refresh_digests(secret: &SecretString) -> Option<(Vec<u8>, Vec<u8>)> {
    let (family, generation) = refresh_halves(secret.expose_secret())?;
    Some((digest(family), digest(generation)))
}

/// What people type from one screen into another: consonants that look like nothing else and spell no words (RFC 8628, 6.1).
const TYPED: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// How many of them, in two halves. 20^8 > 2^34.
const TYPED_HALF: usize = 4;

/// Draws a code that people type: two halves of four letters.
pub(crate) fn draw_typed() -> Result<SecretString, NoRandomness> {
    let mut text = String::with_capacity(2 * TYPED_HALF + 1);
    fill(&mut text, TYPED_HALF, TYPED)?;
    text.push('-');
    fill(&mut text, TYPED_HALF, TYPED)?;
    Ok(SecretString::from(text))
}

/// The code that somebody typed as it was drawn: whatever the case, with or without what stands between the halves. `None`
/// when it cannot be one.
pub(crate) fn typed(text: &str) -> Option<String> {
    let letters = text.bytes().filter(|b| !matches!(b, b'-' | b' '));
    // One more than there can be: a longer text is no code.
    let mut letters: Vec<u8> = letters.take(2 * TYPED_HALF + 1).collect();
    letters.make_ascii_uppercase();
    let fits = letters.len() == 2 * TYPED_HALF && letters.iter().all(|b| TYPED.contains(b));
    let code = String::from_utf8(letters).ok().filter(|_| fits)?;
    let (one, two) = code.split_at(TYPED_HALF);
    Some(format!("{one}-{two}"))
}

/// What people write down: base32 (RFC 4648), whose letters and digits do not look like each other.
const WRITTEN: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// How many of them, in four groups: 80 bits, so that the hash of one tells nobody which it is.
const WRITTEN_LENGTH: usize = 16;

/// Draws a code that people write down: four groups of four letters and digits.
pub(crate) fn draw_written() -> Result<SecretString, NoRandomness> {
    let mut text = String::with_capacity(WRITTEN_LENGTH + 3);
    for group in 0..WRITTEN_LENGTH / 4 {
        if group > 0 {
            text.push('-');
        }
        fill(&mut text, 4, WRITTEN)?;
    }
    Ok(SecretString::from(text))
}

/// What the database knows a written code by: whatever the case, with or without what stands between the groups. `None` when it
/// cannot be one.
pub(crate) fn written_digest(text: &str) -> Option<Vec<u8>> {
    let letters = text.bytes().filter(|b| !matches!(b, b'-' | b' '));
    // One more than there can be: a longer text is no code.
    let mut letters: Vec<u8> = letters.take(WRITTEN_LENGTH + 1).collect();
    letters.make_ascii_uppercase();
    let fits = letters.len() == WRITTEN_LENGTH && letters.iter().all(|b| WRITTEN.contains(b));
    fits.then(|| Sha256::digest(&letters).to_vec())
}

fn checksum(text: &str) -> String {
    let mut value = crc32fast::hash(text.as_bytes()) as usize;
    let mut digits = ['0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(ALPHABET[value % 62]);
        value /= 62;
    }
    digits.iter().collect()
}

/// The kind of a well-formed token.
pub(crate) fn kind_of(text: &str) -> Option<Kind> {
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| text.starts_with(kind.prefix()))?;
    let body = &text.as_bytes()[kind.prefix().len()..];
    if body.len() != RANDOM + CHECKSUM || !body.iter().all(|byte| ALPHABET.contains(byte)) {
        return None;
    }
    let (signed, sum) = text.split_at(text.len() - CHECKSUM);
    (checksum(signed) == sum).then_some(kind)
}

/// What the database knows a token by. No comparison of ours touches the secret: the database looks the digest up.
pub(crate) fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

/// [`digest`] of a token that was just drawn.
pub(crate) fn digest_of(secret: &SecretString) -> Vec<u8> {
    digest(secret.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_token_is_well_formed_and_never_the_same() {
        for kind in Kind::ALL {
            let token = draw(kind).unwrap();
            let other = draw(kind).unwrap();
            assert_eq!(kind_of(token.expose_secret()), Some(kind));
            assert_eq!(token.expose_secret().len(), kind.prefix().len() + 49);
            assert_ne!(token.expose_secret(), other.expose_secret());
        }
    }

    #[test]
    fn a_refresh_secret_keeps_its_first_half() {
        let one = draw_refresh(None).unwrap();
        let two = draw_refresh(Some(&one)).unwrap();
        let (one, two) = (
            refresh_digests(&one).unwrap(),
            refresh_digests(&two).unwrap(),
        );
        assert_eq!(one.0, two.0);
        assert_ne!(one.1, two.1);
        let cut = SecretString::from("heddle_ref_");
        assert_eq!(refresh_digests(&cut), None);
    }

    #[test]
    fn a_typed_code_is_read_as_people_type_it() {
        let drawn = draw_typed().unwrap();
        let drawn = drawn.expose_secret();
        assert_eq!(drawn.len(), 9);
        let bare = drawn.replace('-', "");
        for text in [
            drawn.to_owned(),
            drawn.to_ascii_lowercase(),
            bare.clone(),
            bare.replace("", " "),
        ] {
            assert_eq!(typed(&text).as_deref(), Some(drawn), "{text}");
        }
        let long = format!("{drawn}B");
        for junk in ["", "BCDF-GHJ", "BCDF-GHJA", "BCDF_GHJK", "BCDF-GHJÉ", &long] {
            assert_eq!(typed(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_written_code_is_read_as_people_type_it() {
        let drawn = draw_written().unwrap();
        let drawn = drawn.expose_secret();
        assert_eq!(drawn.len(), 19);
        let known = written_digest(drawn).unwrap();
        let bare = drawn.replace('-', "");
        for text in [
            drawn.to_ascii_lowercase(),
            bare.clone(),
            bare.replace("", " "),
        ] {
            assert_eq!(written_digest(&text).as_ref(), Some(&known), "{text}");
        }
        let long = format!("{drawn}A");
        for junk in ["", "ABCD-EFGH-IJKL", "ABCD-EFGH-IJKL-MNO1", "123456", &long] {
            assert_eq!(written_digest(junk), None, "{junk}");
        }
    }

    #[test]
    fn sec_a11_a_token_with_any_character_changed_is_not_one() {
        let token = draw(Kind::Personal).unwrap();
        let token = token.expose_secret();
        for at in 0..token.len() {
            let mut bytes = token.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(kind_of(&text), None, "position {at}");
        }
        assert_eq!(kind_of(&token[..token.len() - 1]), None);
        assert_eq!(kind_of(&format!("{token}0")), None);
        assert_eq!(kind_of(&token.to_ascii_lowercase()), None);
        for junk in ["", "heddle_pat_", "heddle_join_é", "Bearer x"] {
            assert_eq!(kind_of(junk), None, "{junk}");
        }
    }
}
