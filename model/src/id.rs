//! Typed identifiers: a UUIDv7 with a prefix that says what it names (the TypeID text form).
//!
//! The list at the end is append-only: an identifier that was printed once must parse for ever.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Why a text is not the identifier that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The prefix names another kind of object.
    #[error("expected {expected}, got {got}")]
    WrongKind {
        /// What the caller wanted, with its article ("a mesh id").
        expected: &'static str,
        /// What the prefix says it is.
        got: &'static str,
    },
    /// Not an identifier at all.
    #[error("not {expected}: it is `{prefix}_` followed by 26 characters of base32")]
    Malformed {
        /// What the caller wanted, with its article.
        expected: &'static str,
        /// The prefix that it would have.
        prefix: &'static str,
    },
}

fn encode(id: Uuid) -> String {
    let value = id.as_u128();
    (0..26)
        .rev()
        .map(|i| char::from(ALPHABET[((value >> (5 * i)) & 31) as usize]))
        .collect()
}

fn decode(text: &str) -> Option<Uuid> {
    // 26 characters carry 130 bits: the first one must leave the two highest clear.
    if text.len() != 26 || text.as_bytes()[0] > b'7' {
        return None;
    }
    let mut value: u128 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|a| *a == byte)?;
        value = (value << 5) | digit as u128;
    }
    Some(Uuid::from_u128(value))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $noun:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(Uuid);

            impl $name {
                /// What stands before the underscore.
                pub const PREFIX: &'static str = $prefix;

                /// Wraps a stored UUID.
                #[must_use]
                pub const fn from_uuid(id: Uuid) -> Self {
                    Self(id)
                }

                /// The stored form.
                #[must_use]
                pub const fn uuid(self) -> Uuid {
                    self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}_{}", $prefix, encode(self.0))
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, f)
                }
            }

            impl FromStr for $name {
                type Err = ParseIdError;

                fn from_str(text: &str) -> Result<Self, ParseIdError> {
                    let malformed = ParseIdError::Malformed { expected: $noun, prefix: $prefix };
                    let (prefix, rest) = text.rsplit_once('_').ok_or_else(|| malformed.clone())?;
                    if prefix != $prefix {
                        return Err(match noun_of(prefix) {
                            Some(got) => ParseIdError::WrongKind { expected: $noun, got },
                            None => malformed,
                        });
                    }
                    decode(rest).map(Self).ok_or(malformed)
                }
            }

            impl Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                    s.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                    String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
                }
            }
        )*

        fn noun_of(prefix: &str) -> Option<&'static str> {
            match prefix {
                $($prefix => Some($noun),)*
                _ => None,
            }
        }

        /// The stored form of an identifier of any kind; `None` when the text is none.
        #[must_use]
        pub fn any(text: &str) -> Option<Uuid> {
            let (prefix, rest) = text.rsplit_once('_')?;
            noun_of(prefix).and_then(|_| decode(rest))
        }

        /// What stands before the underscore, for every kind.
        pub const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

ids! {
    /// An organisation: the tenant.
    OrgId = "org", "an organisation id";
    /// A mesh.
    MeshId = "mesh", "a mesh id";
    /// A service of a mesh.
    ServiceId = "svc", "a service id";
    /// A route of a service.
    RouteId = "rt", "a route id";
    /// The split of a route.
    SplitId = "spl", "a split id";
    /// An access rule of a service; also the policy name in Envoy's RBAC filter.
    AccessRuleId = "ar", "an access rule id";
    /// A join token.
    JoinTokenId = "jt", "a join token id";
    /// A connected proxy.
    ProxyId = "px", "a proxy id";
    /// An API token.
    TokenId = "tok", "a token id";
    /// A signing key with its certificate.
    AuthorityId = "ca", "an authority id";
    /// A member: a person in one organisation.
    MemberId = "mbr", "a member id";
    /// A service account.
    ServiceAccountId = "sa", "a service account id";
    /// A role that a member or service account has.
    RoleBindingId = "rb", "a role binding id";
    /// A session of a member who signed in.
    SessionId = "ses", "a session id";
    /// A key that signs sessions' tokens.
    SessionKeyId = "sk", "a session key id";
    /// A device that waits to be let in.
    DeviceId = "dev", "a device authorization id";
    /// A profile of a mesh.
    ProfileId = "prof", "a profile id";
    /// A revocation of a proxy or a service.
    RevocationId = "rvk", "a revocation id";
    /// A rotation of a mesh's authorities.
    RotationId = "rot", "a rotation id";
    /// An invitation to become a member.
    InvitationId = "inv", "an invitation id";
    /// A mail that is to be sent.
    MailId = "mail", "a mail id";
    /// A webhook.
    WebhookId = "whk", "a webhook id";
    /// A message to webhooks.
    MessageId = "msg", "a message id";
    /// A connection to a provider that members sign in by.
    SsoConnectionId = "sso", "an SSO connection id";
    /// What a member is known by at a provider.
    IdentityId = "idn", "an identity id";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_sorts_like_the_uuid() {
        for value in [0, 1, u128::MAX, 0x0192_1234_5678_7abc_8def_0123_4567_89ab] {
            let id = MeshId::from_uuid(Uuid::from_u128(value));
            assert_eq!(id.to_string().parse::<MeshId>().unwrap(), id);
        }
        let low = MeshId::from_uuid(Uuid::from_u128(7)).to_string();
        let high = MeshId::from_uuid(Uuid::from_u128(1 << 90)).to_string();
        assert!(low < high);
    }

    #[test]
    fn another_kind_is_named_in_the_error() {
        let token = TokenId::from_uuid(Uuid::from_u128(5)).to_string();
        let error = token.parse::<MeshId>().unwrap_err();
        assert_eq!(error.to_string(), "expected a mesh id, got a token id");
    }

    #[test]
    fn junk_is_refused() {
        for text in [
            "",
            "mesh",
            "mesh_",
            "mesh_0",
            "mesh_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "mesh_il000000000000000000000000",
        ] {
            assert!(text.parse::<MeshId>().is_err(), "{text}");
        }
    }

    #[test]
    fn prefixes_are_unique() {
        let mut seen = PREFIXES.to_vec();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), PREFIXES.len());
    }
}
