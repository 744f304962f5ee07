//! Whether an ID token vouches for somebody, to us, now (OpenID Connect Core 1.0, 3.1.3.7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::keys::{ALGORITHMS, Keys};
use crate::refused::plain;

/// How far clocks may be apart, in seconds.
const SKEW: i64 = 60;
/// No token is good for longer: what claims to be has a mistake in it.
const LONGEST: i64 = 366 * 24 * 60 * 60;
/// More than any provider sends.
const MOST_BYTES: usize = 64 << 10;
/// More than any provider knows anybody by.
const MOST_SUBJECT: usize = 255;

/// Whom a provider vouches for. Made here alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the provider knows them by, for good: the only thing that anybody is recognised by.
    pub subject: String,
    /// An address that the provider has of them. It may be another one tomorrow, and somebody else's: good to show, and for nothing else.
    pub email: Option<String>,
    /// What the provider calls them.
    pub name: Option<String>,
    /// When they showed the provider who they are, if it says so.
    pub authenticated_at: Option<DateTime<Utc>>,
}

/// Why an ID token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not three parts of base64url, or not JSON in them.
    #[error("it is malformed")]
    Malformed,
    /// Signed in a way that is not taken, or not at all.
    #[error("it is signed with `{0}`, which is not taken")]
    Algorithm(String),
    /// Its header wants something that is not known here, or says where its key is.
    #[error("its header has `{0}`, which is not taken")]
    Header(&'static str),
    /// None of the provider's keys is the one that its header names.
    #[error("the provider has no such key: if it changed keys just now, try again in a minute")]
    Key,
    /// The signature is not the key's.
    #[error("its signature is not the provider's")]
    Signature,
    /// Something is missing or of another type.
    #[error("`{0}` is missing, or is not what it should be")]
    Claim(&'static str),
    /// From somebody else.
    #[error("its issuer is `{0}`, which is not that of the connection")]
    Issuer(String),
    /// For somebody else.
    #[error("it is for `{0}`, which is not the client of the connection")]
    Audience(String),
    /// For another sign-in.
    #[error("it was made for another sign-in: its `nonce` is not the one that was sent")]
    Nonce,
    /// Too old.
    #[error("it expired {0} seconds ago: is the clock of the provider, or that of Heddle, wrong?")]
    Expired(i64),
    /// Not yet.
    #[error(
        "it is from {0} seconds in the future: is the clock of the provider, or that of Heddle, wrong?"
    )]
    Early(i64),
}

/// What a token has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) now: DateTime<Utc>,
}

/// What a token says about its signature.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: Option<String>,
}

#[derive(Deserialize)]
struct RawHead {
    alg: String,
    kid: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// The header of a token that could be one.
pub(crate) fn head(token: &str) -> Result<Head, Invalid> {
    let mut parts = token.split('.');
    let head = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    if token.len() > MOST_BYTES || rest.len() != 2 || rest[0].is_empty() {
        return Err(Invalid::Malformed);
    }
    let head = URL_SAFE_NO_PAD
        .decode(head)
        .map_err(|_| Invalid::Malformed)?;
    let head: RawHead = serde_json::from_slice(&head).map_err(|_| Invalid::Malformed)?;
    // A key is the provider's because it is in the provider's key set, and never because the token says where it is.
    for odd in ["crit", "jku", "jwk", "x5u", "b64", "zip"] {
        if head.more.contains_key(odd) {
            return Err(Invalid::Header(odd));
        }
    }
    let named = |one: &&Algorithm| format!("{one:?}") == head.alg;
    let algorithm = ALGORITHMS.iter().find(named);
    let algorithm = *algorithm.ok_or_else(|| Invalid::Algorithm(plain(&head.alg)))?;
    if rest[1].is_empty() {
        return Err(Invalid::Signature);
    }
    Ok(Head {
        algorithm,
        key: head.kid,
    })
}

/// Whom a token vouches for.
pub(crate) fn verify(
    token: &str,
    head: &Head,
    keys: &Keys,
    expected: &Expected<'_>,
) -> Result<Identity, Invalid> {
    let fitting = keys.fitting(head.algorithm, head.key.as_deref());
    match fitting.as_slice() {
        [] => return Err(Invalid::Key),
        // Which of several it is, the token has to say.
        [_, _, ..] if head.key.is_none() => return Err(Invalid::Key),
        _ => {}
    }
    // Nothing but the signature: what the claims say is judged below, one by one.
    let mut validation = Validation::new(head.algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let verified = fitting
        .iter()
        .find_map(|key| jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation).ok());
    let claims = verified.ok_or(Invalid::Signature)?.claims;
    judge(&claims, expected)
}

fn judge(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Identity, Invalid> {
    let text = |name: &'static str| match claims.get(name) {
        Some(Value::String(text)) => Ok(text.as_str()),
        _ => Err(Invalid::Claim(name)),
    };
    let issuer = text("iss")?;
    if issuer != expected.issuer {
        return Err(Invalid::Issuer(plain(issuer)));
    }
    audience(claims, expected.client)?;
    if text("nonce")? != expected.nonce {
        return Err(Invalid::Nonce);
    }
    let now = expected.now.timestamp();
    let (exp, iat) = (time(claims, "exp")?, time(claims, "iat")?);
    let (exp, iat) = (
        exp.ok_or(Invalid::Claim("exp"))?,
        iat.ok_or(Invalid::Claim("iat"))?,
    );
    if exp > now.saturating_add(LONGEST) {
        return Err(Invalid::Claim("exp"));
    }
    if exp.saturating_add(SKEW) <= now {
        return Err(Invalid::Expired(now.saturating_sub(exp)));
    }
    for start in [Some(iat), time(claims, "nbf")?].into_iter().flatten() {
        if start > now.saturating_add(SKEW) {
            return Err(Invalid::Early(start.saturating_sub(now)));
        }
    }
    let subject = text("sub")?;
    let printable = subject.chars().all(|c| !c.is_control());
    if subject.is_empty() || subject.len() > MOST_SUBJECT || !printable {
        return Err(Invalid::Claim("sub"));
    }
    let shown = |name: &'static str| claims.get(name).and_then(Value::as_str).map(plain);
    let at = time(claims, "auth_time")?;
    Ok(Identity {
        subject: subject.to_owned(),
        email: shown("email"),
        name: shown("name"),
        authenticated_at: at.and_then(|at| DateTime::from_timestamp(at.min(now), 0)),
    })
}

/// For us, and if for others as well, then by our doing.
fn audience(claims: &Map<String, Value>, client: &str) -> Result<(), Invalid> {
    let all: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => return Err(Invalid::Claim("aud")),
    };
    if !all.contains(&client) {
        return Err(Invalid::Audience(plain(&all.join(", "))));
    }
    match claims.get("azp") {
        Some(Value::String(by)) if by == client => Ok(()),
        Some(Value::String(by)) => Err(Invalid::Audience(plain(by))),
        Some(_) => Err(Invalid::Claim("azp")),
        None if all.len() > 1 => Err(Invalid::Claim("azp")),
        None => Ok(()),
    }
}

/// A time in seconds since 1970, of this age of the world.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Invalid> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    // Some send fractions.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is beyond saturates, and is refused"
    )]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|x| x as i64));
    let seconds = seconds.filter(|seconds| *seconds > 0);
    seconds.map(Some).ok_or(Invalid::Claim(name))
}

#[cfg(test)]
mod tests;
