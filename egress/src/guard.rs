//! Which addresses are anybody's, and which are ours to keep.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heddle_model::net::Cidr;

/// Which addresses may be called.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<Cidr>,
    denied: Vec<Cidr>,
}

/// An address that is not called, and why. The text does not show it: what a name of our own network stands for is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// Not an address of the internet at large.
    #[error("its address is not one of the public internet")]
    NotPublic(IpAddr),
    /// In a network that the operator keeps for itself.
    #[error("its address is in a network that this installation does not call")]
    Denied(IpAddr),
}

impl Guard {
    /// Public addresses without those in `denied`, and those in `allowed`, public or not. Where both say something, `denied` does.
    #[must_use]
    pub fn new(allowed: Vec<Cidr>, denied: Vec<Cidr>) -> Self {
        Self { allowed, denied }
    }

    /// Whether an address may be called.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: IpAddr) -> Result<(), Kept> {
        // What is written in another address counts as well: whoever translates between them connects to it.
        let inner = inner(address).map(IpAddr::V4);
        let within = |networks: &[Cidr]| {
            let any = |address: IpAddr| networks.iter().any(|network| network.contains(address));
            any(address) || inner.is_some_and(any)
        };
        if within(&self.denied) {
            return Err(Kept::Denied(address));
        }
        if within(&self.allowed) || is_public(address) {
            Ok(())
        } else {
            Err(Kept::NotPublic(address))
        }
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped (RFC 4291), or by a translator (RFC 6052).
fn inner(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else {
        return None;
    };
    let nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let low =
        Ipv4Addr::from(u32::try_from(v6.to_bits() & u128::from(u32::MAX)).unwrap_or_default());
    v6.to_ipv4_mapped().or(nat64.then_some(low))
}

fn is_public(address: IpAddr) -> bool {
    match (address, inner(address)) {
        (IpAddr::V4(v4), _) | (IpAddr::V6(_), Some(v4)) => is_public_v4(v4),
        (IpAddr::V6(v6), None) => is_public_v6(v6),
    }
}

/// Everything but what the registry of special addresses keeps from the internet
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>), multicast, and what nobody has yet.
fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let kept = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !kept
}

/// Of what is given out (2000::/3) everything but protocols, examples, and 6to4, which leads to an IPv4 address of anybody's choice
/// (<https://www.iana.org/assignments/iana-ipv6-special-registry>).
fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [a, b, ..] = v6.segments();
    let kept = matches!(
        (a, b),
        (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x2002, _) | (0x3fff, 0x0000..=0x0fff)
    );
    (0x2000..=0x3fff).contains(&a) && !kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(guard: &Guard, address: &str) -> Result<(), Kept> {
        guard.check(address.parse().unwrap())
    }

    #[test]
    fn sec_i11_only_public_addresses_are_called() {
        let guard = Guard::default();
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            // Compatible with IPv4, long out of use.
            "::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(
                matches!(judged(&guard, address), Err(Kept::NotPublic(_))),
                "{address}"
            );
        }
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.88.98.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860:4860::8888",
            "2606:4700::1111",
        ] {
            assert_eq!(judged(&guard, address), Ok(()), "{address}");
        }
    }

    #[test]
    fn sec_i11_the_operator_says_more_and_less() {
        let network = |text: &str| text.parse::<Cidr>().unwrap();
        let guard = Guard::new(
            vec![network("10.0.0.0/8"), network("127.0.0.1/32")],
            vec![network("10.9.0.0/16"), network("8.8.8.0/24")],
        );
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "1.1.1.1"] {
            assert_eq!(judged(&guard, address), Ok(()), "{address}");
        }
        for address in ["10.9.0.1", "::ffff:10.9.0.1", "8.8.8.8", "64:ff9b::808:808"] {
            assert!(
                matches!(judged(&guard, address), Err(Kept::Denied(_))),
                "{address}"
            );
        }
        for address in ["127.0.0.2", "192.168.0.1", "::1"] {
            assert!(
                matches!(judged(&guard, address), Err(Kept::NotPublic(_))),
                "{address}"
            );
        }
    }
}
