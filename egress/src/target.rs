//! An address that somebody named to be called.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// An address of HTTPS, read the way it will be dialled: whatever way an IP address is written, it is read as one here already.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

/// Why an address is none to be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// No address.
    #[error("this is no URL")]
    NoUrl,
    /// Not HTTPS.
    #[error("only https:// is called")]
    NotHttps,
    /// A user or a password in it.
    #[error("a URL to call names no user and no password")]
    User,
    /// Something after `#`.
    #[error("a URL to call has no fragment")]
    Fragment,
    /// Longer than any that is of use.
    #[error("a URL to call has at most 2048 characters")]
    Long,
}

/// The longest that is taken.
const LONGEST: usize = 2048;

impl Target {
    /// The whole address, as it is dialled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host in it, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The IP address that stands in it in place of a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let host = self.host();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        bare.unwrap_or(host).parse().ok()
    }

    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        if text.len() > LONGEST {
            return Err(BadTarget::Long);
        }
        // What a parser would forgive (RFC 3986 does not): white space around it, line ends within, and `\` for `/`.
        if text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return Err(BadTarget::NoUrl);
        }
        let url = Url::parse(text).map_err(|_| BadTarget::NoUrl)?;
        if url.scheme() != "https" {
            return Err(BadTarget::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(BadTarget::User);
        }
        if url.fragment().is_some() {
            return Err(BadTarget::Fragment);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BadTarget::NoUrl);
        }
        Ok(Self(url))
    }
}

/// What stands between `//` and the path: an empty user, too, has no business there.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_i11_an_address_is_read_as_it_is_dialled() {
        for (text, address) in [
            ("https://2130706433/", "127.0.0.1"),
            ("https://0x7f.1/", "127.0.0.1"),
            ("https://0177.0.0.1/", "127.0.0.1"),
            ("https://127.1:8443/x", "127.0.0.1"),
            ("https://[::ffff:7f00:1]/", "::ffff:127.0.0.1"),
            ("https://[::1]:9/", "::1"),
            ("https://\u{ff11}27.0.0.1/", "127.0.0.1"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.address(), Some(address.parse().unwrap()), "{text}");
        }
        let named: Target = "https://id.example.com/a?b=c".parse().unwrap();
        assert_eq!((named.host(), named.address()), ("id.example.com", None));
    }

    #[test]
    fn sec_i11_what_is_no_address_of_https_is_not_called() {
        for (text, why) in [
            ("http://example.com/", BadTarget::NotHttps),
            ("gopher://example.com/", BadTarget::NotHttps),
            ("file:///etc/passwd", BadTarget::NotHttps),
            ("HTTPS:example.com@evil", BadTarget::User),
            ("https://a@b/", BadTarget::User),
            ("https://@b/", BadTarget::User),
            ("https://:p@b/", BadTarget::User),
            ("https://example.com\\@evil/", BadTarget::NoUrl),
            ("https://exa mple.com/", BadTarget::NoUrl),
            ("https://example.com/\n", BadTarget::NoUrl),
            ("https:///", BadTarget::NoUrl),
            ("example.com", BadTarget::NoUrl),
            ("https://example.com/#x", BadTarget::Fragment),
            (
                &format!("https://example.com/{}", "a".repeat(2048)),
                BadTarget::Long,
            ),
        ] {
            assert_eq!(text.parse::<Target>(), Err(why), "{text}");
        }
    }
}
