//! Hosts, ports and networks as a mesh's users write them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a host must match; also published in the OpenAPI document.
pub const HOST_PATTERN: &str =
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";

/// A DNS name in lower case, without a port and without a trailing dot; at most 253 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    value_type = String,
    pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
    max_length = 253,
    example = "payments.internal"
)]
pub struct Host(String);

/// The text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a host is a lower-case DNS name of at most 253 bytes, without a port")]
pub struct ParseHostError;

impl Host {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = ParseHostError;

    fn from_str(text: &str) -> Result<Self, ParseHostError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(inner)
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseHostError)
        }
    }
}

impl TryFrom<String> for Host {
    type Error = ParseHostError;

    fn try_from(text: String) -> Result<Self, ParseHostError> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(
    value_type = String,
    pattern = "^[0-9a-fA-F:.]{2,45}/[0-9]{1,3}$",
    max_length = 49,
    example = "10.20.0.0/16"
)]
pub struct Cidr(Network);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseCidrError {
    /// Not an address, a slash and a number that such an address allows.
    #[error(
        "a network is an IP address, a slash and the number of leading bits, such as 10.20.0.0/16"
    )]
    Form,
    /// An IPv4 network in the guise of an IPv6 network, where no address is ever found.
    #[error("this is an IPv4 network: write it as one")]
    Mapped,
    /// Bits are set that do not count.
    #[error("bits are set beyond the prefix: is it a network or one address?")]
    Beyond,
}

/// The bits of an address, an IPv4 address as the IPv6 address that it is mapped to.
fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Cidr {
    /// Its first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.0.address
    }

    /// How many leading bits count.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0.bits
    }

    /// The same network among IPv6 addresses: itself, or where the addresses of an IPv4 network are mapped to.
    #[must_use]
    pub fn in_v6(self) -> (Ipv6Addr, u8) {
        let more = match self.0.address {
            IpAddr::V4(_) => 96,
            IpAddr::V6(_) => 0,
        };
        (
            Ipv6Addr::from_bits(mapped(self.0.address)),
            self.0.bits + more,
        )
    }

    /// Whether an address is in it. An IPv6 address that an IPv4 address is mapped to is that IPv4 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (network, bits) = self.in_v6();
        let differ = network.to_bits() ^ mapped(address);
        address.is_ipv4() == self.0.address.is_ipv4()
            && differ.checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
    }
}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, ParseCidrError> {
        let (address, bits) = text.split_once('/').ok_or(ParseCidrError::Form)?;
        let address: IpAddr = address.parse().map_err(|_| ParseCidrError::Form)?;
        let bits: u8 = bits.parse().map_err(|_| ParseCidrError::Form)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most {
            return Err(ParseCidrError::Form);
        }
        let cidr = Self(Network { address, bits });
        let beyond = u128::MAX
            .checked_shr(u32::from(cidr.in_v6().1))
            .unwrap_or(0);
        match mapped(address) & beyond {
            _ if address.to_canonical() != address => Err(ParseCidrError::Mapped),
            0 => Ok(cidr),
            _ => Err(ParseCidrError::Beyond),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_network_holds_its_addresses_in_both_families() {
        let holds = |network: &str, address: &str| {
            let network: Cidr = network.parse().unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(holds("10.20.0.0/16", "10.20.255.1"));
        assert!(holds("10.20.0.0/16", "::ffff:10.20.1.1"));
        assert!(!holds("10.20.0.0/16", "10.21.0.0"));
        assert!(holds("0.0.0.0/0", "255.1.2.3"));
        assert!(!holds("0.0.0.0/0", "fd00::1"));
        assert!(!holds("::/0", "10.0.0.1"));
        assert!(holds("fd00:20::/32", "fd00:20:1::"));
        assert!(holds("10.0.0.7/32", "10.0.0.7"));
        assert!(!holds("10.0.0.7/32", "10.0.0.6"));
        for (text, error) in [
            ("10.0.0.1/8", ParseCidrError::Beyond),
            ("::ffff:10.0.0.0/104", ParseCidrError::Mapped),
            ("10.0.0.0/33", ParseCidrError::Form),
            ("10.0.0.0", ParseCidrError::Form),
            ("a/8", ParseCidrError::Form),
            ("fd00::/129", ParseCidrError::Form),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_published_pattern_and_the_parser_agree(text in "[a-zA-Z0-9.-]{0,40}") {
            let pattern = regex_lite::Regex::new(HOST_PATTERN).unwrap();
            prop_assert_eq!(pattern.is_match(&text), text.parse::<Host>().is_ok());
        }
    }
}
