//! What bars somebody who holds a good join token.

use std::net::IpAddr;

use heddle_model::net::Cidr;

use super::join::JoinRefused;

/// Who comes, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// What the Envoy calls itself.
    pub node_id: &'a str,
    /// The other end of its connection; `None` when nobody knows.
    pub from: Option<IpAddr>,
    /// The service that the node takes itself for, if it says. It must be the token's; looked at before anything is bound, so that a one-off
    /// token is not used up by a bootstrap that belongs to another service.
    pub claimed: Option<&'a str>,
}

/// What bars an arrival, whether it is bound already or not: a proxy that comes back from elsewhere may be a copy.
pub(super) fn bar(
    revoked: bool,
    networks: Option<&[String]>,
    from: Option<IpAddr>,
) -> Option<JoinRefused> {
    if revoked {
        return Some(JoinRefused::Revoked);
    }
    let inside = |networks: &[String]| {
        // A network that does not parse contains nobody.
        let mut networks = networks.iter().filter_map(|text| text.parse::<Cidr>().ok());
        from.is_some_and(|from| networks.any(|network| network.contains(from)))
    };
    match networks {
        Some(networks) if !inside(networks) => Some(JoinRefused::Elsewhere),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_p02_whoever_comes_from_elsewhere_or_nowhere_is_barred() {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(String::from);
        let bar = |from: Option<&str>| {
            let from = from.map(|from| from.parse().unwrap());
            super::bar(false, Some(&networks), from)
        };
        for from in ["10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"] {
            assert_eq!(bar(Some(from)), None, "{from}");
        }
        for from in [Some("11.0.0.1"), Some("2001:db9::7"), Some("::1"), None] {
            assert_eq!(bar(from), Some(JoinRefused::Elsewhere), "{from:?}");
        }
        assert_eq!(super::bar(false, None, None), None);
        let odd = [String::from("everywhere")];
        let from = "10.0.0.1".parse().ok();
        assert_eq!(
            super::bar(false, Some(&odd), from),
            Some(JoinRefused::Elsewhere)
        );
        assert_eq!(super::bar(true, None, from), Some(JoinRefused::Revoked));
    }
}
