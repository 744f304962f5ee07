//! Quotas: what an organisation may have so many of, and no more.

use std::collections::BTreeMap;
use std::fmt;

use crate::kind::Kind;

macro_rules! quotas {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $things:literal, $default:literal;)*) => {
        /// What is limited.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Quota {
            $($(#[$doc])* $name,)*
        }

        impl Quota {
            /// All of them, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The text form used in the API, in settings and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it is a number of, as a sentence says it.
            #[must_use]
            pub const fn things(self) -> &'static str {
                match self {
                    $(Self::$name => $things,)*
                }
            }

            /// How many an organisation may have when nobody says otherwise.
            #[must_use]
            pub const fn built_in(self) -> u64 {
                match self {
                    $(Self::$name => $default,)*
                }
            }
        }
    };
}

quotas! {
    /// Meshes that are not deleted.
    Meshes = "meshes", "meshes", 100;
    /// Profiles, in all meshes together.
    Profiles = "profiles", "profiles", 5_000;
    /// Services, in all meshes together.
    Services = "services", "services", 20_000;
    /// Routes, of all services together.
    Routes = "routes", "routes", 100_000;
    /// Splits, of all routes together.
    Splits = "splits", "splits", 100_000;
    /// Access rules, of all services together.
    AccessRules = "access_rules", "access rules", 100_000;
    /// Proxies that are bound to a join token, connected or not, until they are forgotten.
    Proxies = "proxies", "proxies", 50_000;
    /// Join tokens that are neither revoked nor expired.
    JoinTokens = "join_tokens", "join tokens", 20_000;
    /// Members, and invitations that can be accepted.
    Members = "members", "members and open invitations", 2_000;
    /// Service accounts.
    ServiceAccounts = "service_accounts", "service accounts", 2_000;
    /// API tokens that are neither revoked nor expired.
    Tokens = "tokens", "API tokens", 10_000;
    /// Webhooks.
    Webhooks = "webhooks", "webhooks", 50;
    /// Connections to identity providers.
    SsoConnections = "sso_connections", "connections to identity providers", 20;
    /// Certificates that are asked for by the API on one day, in UTC. Those of proxies are not limited: traffic depends on them.
    CertificatesPerDay = "certificates_per_day", "certificates by the API a day", 100_000;
}

impl Quota {
    /// What limits how many objects of a kind there are.
    #[must_use]
    pub const fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::Mesh => Self::Meshes,
            Kind::Profile => Self::Profiles,
            Kind::Service => Self::Services,
            Kind::Route => Self::Routes,
            Kind::Split => Self::Splits,
            Kind::AccessRule => Self::AccessRules,
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Quota {
    type Err = UnknownQuota;

    fn from_str(text: &str) -> Result<Self, UnknownQuota> {
        let mut all = Self::ALL.iter().copied();
        all.find(|quota| quota.as_str() == text)
            .ok_or_else(|| UnknownQuota(text.to_owned()))
    }
}

/// The text names no quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownQuota(String);

impl fmt::Display for UnknownQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Quota::ALL.iter().map(|quota| quota.as_str()).collect();
        write!(
            f,
            "there is no quota {:?}; there are {}",
            self.0,
            known.join(", ")
        )
    }
}

impl std::error::Error for UnknownQuota {}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many and no more.
    AtMost(u64),
    /// As many as they like.
    Unlimited,
}

impl Limit {
    /// The number, where there is one.
    #[must_use]
    pub const fn number(self) -> Option<u64> {
        match self {
            Self::AtMost(number) => Some(number),
            Self::Unlimited => None,
        }
    }
}

impl From<Option<u64>> for Limit {
    fn from(number: Option<u64>) -> Self {
        number.map_or(Self::Unlimited, Self::AtMost)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(number) => write!(f, "{number}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

impl std::str::FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Self, BadLimit> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        // No sign, and no more than the database counts to.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| *number <= MOST);
        match number {
            Some(number) if plain => Ok(Self::AtMost(number)),
            _ => Err(BadLimit),
        }
    }
}

/// The largest limit that is none but in name.
const MOST: u64 = 1_000_000_000_000;

/// The text is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a limit is a whole number from 0 to {MOST}, or `unlimited`")]
pub struct BadLimit;

/// What organisations may have unless they are told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas(BTreeMap<Quota, Limit>);

impl Quotas {
    /// How many of these.
    #[must_use]
    pub fn limit(&self, quota: Quota) -> Limit {
        let set = self.0.get(&quota).copied();
        set.unwrap_or(Limit::AtMost(quota.built_in()))
    }

    /// Says so many of these.
    #[must_use]
    pub fn with(mut self, quota: Quota, limit: Limit) -> Self {
        self.0.insert(quota, limit);
        self
    }
}

impl fmt::Display for Quotas {
    /// What [`Quotas::from_str`](std::str::FromStr::from_str) reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (quota, limit)) in self.0.iter().enumerate() {
            let space = if n == 0 { "" } else { " " };
            write!(f, "{space}{quota}={limit}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Quotas {
    type Err = BadQuotas;

    /// Such as `services=500 proxies=unlimited`; what is not named stays as it is built in.
    fn from_str(text: &str) -> Result<Self, BadQuotas> {
        let mut quotas = Self::default();
        for one in text.split_whitespace() {
            let Some((quota, limit)) = one.split_once('=') else {
                return Err(BadQuotas::Form(one.to_owned()));
            };
            let quota: Quota = quota.parse()?;
            let limit = limit.parse().map_err(|why| BadQuotas::Limit(quota, why))?;
            if quotas.0.insert(quota, limit).is_some() {
                return Err(BadQuotas::Twice(quota));
            }
        }
        Ok(quotas)
    }
}

/// The text names no quotas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuotas {
    /// It is not `quota=limit`.
    #[error("{0:?} is not QUOTA=LIMIT")]
    Form(String),
    /// There is no such quota.
    #[error(transparent)]
    Quota(#[from] UnknownQuota),
    /// The limit is none.
    #[error("{0}: {1}")]
    Limit(Quota, BadLimit),
    /// One is named twice.
    #[error("{0} is named twice")]
    Twice(Quota),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_back_from_their_names() {
        for quota in Quota::ALL {
            assert_eq!(quota.as_str().parse(), Ok(*quota));
        }
        let all: std::collections::BTreeSet<_> = Quota::ALL.iter().collect();
        assert_eq!(all.len(), Quota::ALL.len());
    }

    #[test]
    fn what_is_not_said_is_built_in() {
        let quotas: Quotas = "services=500  proxies=unlimited".parse().unwrap();
        assert_eq!(quotas.limit(Quota::Services), Limit::AtMost(500));
        assert_eq!(quotas.limit(Quota::Proxies), Limit::Unlimited);
        assert_eq!(quotas.limit(Quota::Meshes), Limit::AtMost(100));
        assert_eq!("".parse(), Ok(Quotas::default()));
        assert_eq!(quotas.to_string().parse(), Ok(quotas));
    }

    #[test]
    fn what_is_wrong_with_settings_is_said() {
        let why = |text: &str| text.parse::<Quotas>().unwrap_err().to_string();
        assert_eq!(why("services"), "\"services\" is not QUOTA=LIMIT");
        assert!(why("bananas=1").starts_with("there is no quota \"bananas\"; there are meshes, "));
        for bad in [
            "-1",
            "+1",
            "",
            "1.5",
            "1000000000001",
            "99999999999999999999",
        ] {
            assert_eq!(
                why(&format!("services={bad}")),
                "services: a limit is a whole number from 0 to 1000000000000, or `unlimited`",
                "{bad}"
            );
        }
        assert_eq!(why("tokens=1 tokens=2"), "tokens is named twice");
    }
}
