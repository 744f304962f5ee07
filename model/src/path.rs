//! Paths of requests: the one spelling that rules are compared in. Proxies bring every path into it, or refuse the request.

use std::borrow::Cow;

/// Why a path has no plain spelling, or is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPlain {
    /// `?` or `#`.
    #[error("a path has no query and no fragment")]
    Query,
    /// An encoded slash, backslash or NUL, or a percent sign that begins nothing: proxies refuse the request.
    #[error("no request with `%2F`, `%5C`, `%00` or half an escape in its path gets through")]
    Refused,
    /// The path arrives in another spelling.
    #[error(
        "this arrives in another spelling: without `.`, `..` and empty segments, without `\\`, and with letters, digits and `-._~` as they are"
    )]
    Spelling,
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes what `is` says; the rest of the escapes stays as it is.
fn decode(path: &str, is: impl Fn(u8) -> bool) -> Result<String, NotPlain> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(byte) = bytes.get(i) {
        if *byte != b'%' {
            out.push(*byte);
            i += 1;
            continue;
        }
        let digits = (bytes.get(i + 1), bytes.get(i + 2));
        let (Some(high), Some(low)) = digits else {
            return Err(NotPlain::Refused);
        };
        let (Some(h), Some(l)) = (hex(*high), hex(*low)) else {
            return Err(NotPlain::Refused);
        };
        let decoded = h * 16 + l;
        if matches!(decoded, b'/' | b'\\' | 0) {
            return Err(NotPlain::Refused);
        }
        if is(decoded) {
            out.push(decoded);
        } else {
            out.extend([b'%', *high, *low]);
        }
        i += 3;
    }
    // Only ASCII was taken out of escapes.
    String::from_utf8(out).map_err(|_| NotPlain::Refused)
}

/// The plain spelling of the path of a request: without the query, without needless escapes, without dot segments and repeated
/// slashes.
///
/// # Errors
/// The proxies refuse such a request.
pub fn plain(target: &str) -> Result<String, NotPlain> {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if path.contains('#') {
        return Err(NotPlain::Query);
    }
    let decoded = decode(&path.replace('\\', "/"), is_unreserved)?;
    let Some(rest) = decoded.strip_prefix('/') else {
        return Ok(decoded);
    };
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for segment in rest.split('/') {
        ends_in_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut plain = format!("/{}", segments.join("/"));
    if ends_in_slash && !segments.is_empty() {
        plain.push('/');
    }
    Ok(plain)
}

/// Whether a path of a rule is in the spelling that paths of requests arrive in.
///
/// # Errors
/// What is wrong with it.
pub fn check_plain(path: &str) -> Result<(), NotPlain> {
    if path.contains(['?', '#']) {
        return Err(NotPlain::Query);
    }
    match plain(path)? == path {
        true => Ok(()),
        false => Err(NotPlain::Spelling),
    }
}

/// A segment with every escape of a printable character decoded, in lower case: what lenient servers compare.
#[must_use]
pub fn lenient(segment: &str) -> Cow<'_, str> {
    let printable = |byte: u8| byte.is_ascii_graphic();
    match decode(segment, printable) {
        Ok(decoded) => Cow::Owned(decoded.to_ascii_lowercase()),
        Err(_) => Cow::Borrowed(segment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for (given, expected) in [
            ("/admin?x", "/admin"),
            ("//admin", "/admin"),
            ("/\\admin", "/admin"),
            ("/./admin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/x/%2e%2e/admin", "/admin"),
            ("/../admin/.", "/admin/"),
            ("/a/..", "/"),
            ("/a%20b/", "/a%20b/"),
            ("*", "*"),
        ] {
            assert_eq!(plain(given).as_deref(), Ok(expected), "{given}");
        }
        for given in [
            "/%2fadmin",
            "/x%5c..",
            "/admin%00",
            "/%",
            "/%4",
            "/%zz",
            "/a#b",
        ] {
            assert!(plain(given).is_err(), "{given}");
        }
    }

    #[test]
    fn a_rule_is_written_in_it() {
        for path in ["/", "/v1", "/v1/", "/a%20b", "/v1/{*}", "/a_b.c+(d)/"] {
            assert_eq!(check_plain(path), Ok(()), "{path}");
        }
        for path in ["/a//b", "/a/./b", "/%61", "/a/..", "/a?b", "/%2f"] {
            assert!(check_plain(path).is_err(), "{path}");
        }
    }
}
