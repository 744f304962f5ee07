//! SPIFFE ids and trust domains as values that cannot be malformed (rules S01 to S06).
//!
//! Own code instead of the `spiffe` crate: that one brings a Workload API client, and the rules are a page.

use std::fmt;

use crate::{Error, Random};

/// Longest trust domain in bytes (S02).
const MAX_TRUST_DOMAIN: usize = 255;
/// Longest SPIFFE id in bytes (S04).
const MAX_ID: usize = 2048;
/// RFC 4648 base32 in lower case: no capital, nothing that a name may not hold.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Why a text is not a SPIFFE id or trust domain. Variants follow the rules, not the parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// The scheme is not `spiffe`.
    #[error("the scheme is not spiffe://")]
    Scheme,
    /// The trust domain is empty.
    #[error("the trust domain is empty")]
    EmptyTrustDomain,
    /// The trust domain has more than 255 bytes.
    #[error("the trust domain is longer than 255 bytes")]
    TrustDomainTooLong,
    /// The trust domain has a character outside of `[a-z0-9.-_]`.
    #[error("the trust domain may hold only a-z, 0-9, '.', '-' and '_'")]
    TrustDomainCharacter,
    /// The id carries user information.
    #[error("a SPIFFE id has no user information")]
    UserInfo,
    /// The id carries a port.
    #[error("a SPIFFE id has no port")]
    Port,
    /// The id carries a query.
    #[error("a SPIFFE id has no query")]
    Query,
    /// The id carries a fragment.
    #[error("a SPIFFE id has no fragment")]
    Fragment,
    /// A path segment is empty, or the path ends in a slash.
    #[error("the path has an empty segment or ends in a slash")]
    EmptySegment,
    /// A path segment is `.` or `..`.
    #[error("the path has a relative segment")]
    RelativeSegment,
    /// A path segment has a character outside of `[A-Za-z0-9.-_]`.
    #[error("a path segment may hold only letters, digits, '.', '-' and '_'")]
    PathCharacter,
    /// The whole id has more than 2048 bytes.
    #[error("the id is longer than 2048 bytes")]
    TooLong,
}

/// The name of a trust domain: lower case, at most 255 bytes, nothing percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// Reads a trust domain as it is registered: strict, capitals are refused (S02).
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeError> {
        if text.is_empty() {
            return Err(SpiffeError::EmptyTrustDomain);
        }
        if text.len() > MAX_TRUST_DOMAIN {
            return Err(SpiffeError::TrustDomainTooLong);
        }
        let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if !text.bytes().all(allowed) {
            return Err(SpiffeError::TrustDomainCharacter);
        }
        Ok(Self(text.to_owned()))
    }

    /// `<mesh>-<8 base32 characters>.<suffix>`: unguessable and never chosen by a tenant, so that two
    /// tenants cannot claim one trust domain (S06).
    ///
    /// # Errors
    /// [`Error::Spiffe`] when the parts do not make a trust domain, [`Error::Random`].
    pub fn generate(mesh_name: &str, random: &dyn Random, suffix: &str) -> Result<Self, Error> {
        let mut bytes = [0_u8; 8];
        random.fill(&mut bytes)?;
        let tag: String = bytes
            .iter()
            .map(|b| char::from(BASE32[usize::from(b & 31)]))
            .collect();
        Ok(Self::parse(&format!("{mesh_name}-{tag}.{suffix}"))?)
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the trust domain itself, without a path: what signing certificates carry (S12).
    #[must_use]
    pub fn id(&self) -> SpiffeId {
        SpiffeId {
            text: format!("spiffe://{}", self.0),
            path_at: "spiffe://".len() + self.0.len(),
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for TrustDomain {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        Self::parse(text)
    }
}

/// A SPIFFE id in its one canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: String,
    path_at: usize,
}

impl SpiffeId {
    /// Reads an id. Scheme and trust domain are compared without case and come out in lower case
    /// (S05); the path is taken as it is.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeError> {
        if text.len() > MAX_ID {
            return Err(SpiffeError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(SpiffeError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("spiffe") {
            return Err(SpiffeError::Scheme);
        }
        if rest.contains('#') {
            return Err(SpiffeError::Fragment);
        }
        if rest.contains('?') {
            return Err(SpiffeError::Query);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(SpiffeError::UserInfo);
        }
        if authority.contains(':') && !authority.starts_with('[') {
            return Err(SpiffeError::Port);
        }
        let domain = TrustDomain::parse(&authority.to_ascii_lowercase())?;
        check_path(path)?;
        let TrustDomain(domain) = domain;
        let path_at = "spiffe://".len() + domain.len();
        Ok(Self {
            text: format!("spiffe://{domain}{path}"),
            path_at,
        })
    }

    /// `spiffe://<trust domain>/service/<service>`: the identity of every proxy of a service.
    ///
    /// # Errors
    /// The rule that the service name breaks; a name is exactly one segment.
    pub fn service(trust_domain: &TrustDomain, service: &str) -> Result<Self, SpiffeError> {
        if service.contains('/') {
            return Err(SpiffeError::PathCharacter);
        }
        Self::parse(&format!("spiffe://{trust_domain}/service/{service}"))
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain the id belongs to.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain(self.text["spiffe://".len()..self.path_at].to_owned())
    }

    /// The path with its leading slash; empty for the id of a trust domain.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }

    /// The service that the id names, when it is the id of a service.
    #[must_use]
    pub fn service_name(&self) -> Option<&str> {
        self.path()
            .strip_prefix("/service/")
            .filter(|name| !name.contains('/'))
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        Self::parse(text)
    }
}

/// S03: a path is empty, or segments that are neither empty nor relative nor encoded.
fn check_path(path: &str) -> Result<(), SpiffeError> {
    let Some(segments) = path.strip_prefix('/') else {
        return Ok(()); // `split_at` left either nothing or a text that starts with a slash
    };
    for segment in segments.split('/') {
        match segment {
            "" => return Err(SpiffeError::EmptySegment),
            "." | ".." => return Err(SpiffeError::RelativeSegment),
            _ => {}
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if !segment.bytes().all(allowed) {
            return Err(SpiffeError::PathCharacter);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
