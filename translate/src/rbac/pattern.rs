//! What a rule compares as Envoy's matchers. A rule that allows opens exactly what it says; one that denies takes in whatever
//! some server takes for the same.

use std::net::IpAddr;

use heddle_model::kind::access_rule::{LONGEST_VALUE, Paths, Template};
use heddle_model::kind::route::HeaderIs;
use heddle_model::net::Cidr;

use crate::envoy::core::CidrRange;
use crate::envoy::route::HeaderMatcher;
use crate::envoy::route::header_matcher::HeaderMatchSpecifier;
use crate::envoy::{exact, long_regex, matcher, number, prefix, regex};
use crate::matching::trimmed;

/// Whether it takes every path there is, also those without a slash.
pub(crate) fn is_every(paths: &Paths<'_>) -> bool {
    match paths {
        Paths::Exact(_) => false,
        Paths::Prefix(prefix) => trimmed(prefix).is_empty(),
        Paths::Template(Template { segments, open }) => *open && segments.is_empty(),
    }
}

fn literal(pattern: &mut String, character: char) {
    // RE2 takes a backslash before punctuation, but not before an underscore.
    if !character.is_ascii_alphanumeric() && character != '_' {
        pattern.push('\\');
    }
    pattern.push(character);
}

/// Exactly these paths.
pub(crate) fn narrow(paths: &Paths<'_>) -> Vec<matcher::StringMatcher> {
    match paths {
        Paths::Exact(path) => vec![exact(*path)],
        Paths::Prefix(path) => {
            let path = trimmed(path);
            vec![exact(path), prefix(format!("{path}/"))]
        }
        Paths::Template(Template { segments, open }) => {
            let mut pattern = String::new();
            for segment in segments {
                pattern.push('/');
                match segment {
                    Some(text) => text.chars().for_each(|c| literal(&mut pattern, c)),
                    None => pattern.push_str("[^/]+"),
                }
            }
            if *open {
                pattern.push_str("(?:/.*)?");
            }
            vec![long_regex(pattern)]
        }
    }
}

/// Dots at the end of a segment, and parameters: nothing to many servers.
const LITTLE: &str = r"(?:\.|%2e)*(?:(?:;|%3b)[^/]*)?";

/// A segment in every spelling: in either letter case, each character as it is or encoded.
fn spellings(pattern: &mut String, segment: &str) {
    let mut rest = segment;
    while let Some(first) = rest.chars().next() {
        let escape = rest.get(1..3).filter(|_| first == '%');
        let decoded = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (character, length) = match decoded {
            Some(byte) if byte.is_ascii_graphic() => (char::from(byte), 3),
            _ => (first, first.len_utf8()),
        };
        rest = rest.get(length..).unwrap_or_default();
        if character.is_ascii_alphanumeric() {
            pattern.push(character);
        } else if character == '%' && decoded.is_none_or(|byte| !byte.is_ascii_graphic()) {
            // The beginning of an escape that stays one: a space, a byte of a longer character.
            literal(pattern, character);
        } else {
            pattern.push_str("(?:");
            literal(pattern, character);
            pattern.push_str(&format!("|%{:02x})", u32::from(character)));
        }
    }
    pattern.push_str(LITTLE);
}

/// These paths, and every spelling of them that some server takes for the same.
pub(super) fn broad(paths: &Paths<'_>) -> matcher::StringMatcher {
    let literals = |path| -> Vec<Option<&str>> {
        let segments = trimmed(path).split('/').skip(1);
        segments.map(Some).collect()
    };
    let (mut segments, open) = match paths {
        Paths::Exact(path) => (literals(path), false),
        Paths::Prefix(path) => (literals(path), true),
        Paths::Template(Template { segments, open }) => (segments.clone(), *open),
    };
    while segments.last() == Some(&Some("")) {
        segments.pop();
    }
    let mut pattern = String::from("(?i)");
    for segment in segments {
        pattern.push('/');
        match segment {
            Some(text) => spellings(&mut pattern, text),
            None => pattern.push_str("[^/]+"),
        }
    }
    pattern.push_str(&match open {
        true => "(?:/.*)?".to_owned(),
        false => format!("(?:/{LITTLE})?"),
    });
    long_regex(pattern)
}

/// Paths with a segment that is `.` or `..` once parameters are cut off.
pub(super) fn dot_segments() -> matcher::StringMatcher {
    long_regex(r"(?i).*/(?:\.|%2e){1,2}(?:;|%3b).*")
}

/// A host, whatever its letter case, port and final dot.
pub(super) fn host(host: &str) -> HeaderMatcher {
    let mut pattern = String::from("(?i)");
    host.chars().for_each(|c| literal(&mut pattern, c));
    pattern.push_str(r"\.*(?::[0-9]*)?");
    header(":authority", long_regex(pattern), false)
}

fn header(name: &str, pattern: matcher::StringMatcher, invert_match: bool) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        invert_match,
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(pattern)),
        ..HeaderMatcher::default()
    }
}

fn present(name: &str, invert_match: bool) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        invert_match,
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..HeaderMatcher::default()
    }
}

/// What must match a header, and what must not.
pub(super) struct Conditions {
    pub(super) must: HeaderMatcher,
    pub(super) must_not: Option<HeaderMatcher>,
}

/// A list in which some value between the commas is not this one or, of a beginning, does not begin like this. RE2 cannot look
/// ahead, so it is spelt out: nothing, or another first character, or the same one and then the same again of the rest. `\C` is any
/// byte: a dot is none that is not UTF-8, and one such byte somewhere would hide all of the list. Where it stands within the
/// value, a character that the right one does not have gives that away.
fn some_other(value: &str, is_beginning: bool) -> String {
    // After all of it: a beginning is right, and a whole value must not go on.
    let mut rest = (!is_beginning).then(|| r"\s*[^,\s]\C*".to_owned());
    for (i, character) in value.char_indices().rev() {
        let mut one = String::new();
        literal(&mut one, character);
        // Spaces before a value are none of it.
        let apart = if i == 0 { r",\s" } else { "," };
        let same = rest.map(|rest| format!("|{one}{rest}"));
        let same = same.unwrap_or_default();
        rest = Some(format!(r"(?:(?:[^{one}{apart}]\C*)?{same})"));
    }
    // Without a character, a beginning is every beginning.
    let other = rest.unwrap_or_else(|| r"[^\s\S]".to_owned());
    let mut known = String::new();
    value.chars().for_each(|c| literal(&mut known, c));
    let before = match is_beginning {
        true => format!(r"\C{{0,{}}}", value.len().saturating_sub(1)),
        false => r"\C*".to_owned(),
    };
    format!(r"(?:\C*,)?\s*(?:{other}\s*(?:,\C*)?|{before}[^{known},\s]\C*)")
}

/// What a rule that allows wants: of a header with several values, between commas or each on its own line, every one has to be
/// right. Older Envoys compare the lines joined by commas, newer ones each by itself and are content with one, whether they
/// invert or not; in between, what is inverted has to fit none. That no value is another one is what makes them agree. `None`:
/// too long to be said.
pub(super) fn narrow_header(name: &str, wants: HeaderIs<'_>) -> Option<Conditions> {
    let all = |value: &str, is_beginning: bool| {
        let mut first = String::from(r"\s*");
        value.chars().for_each(|c| literal(&mut first, c));
        first.push_str(if is_beginning { ".*" } else { r"\s*(?:,.*)?" });
        (value.len() <= LONGEST_VALUE).then(|| Conditions {
            must: header(name, long_regex(first), false),
            must_not: Some(header(
                name,
                long_regex(some_other(value, is_beginning)),
                false,
            )),
        })
    };
    let only = |must| {
        Some(Conditions {
            must,
            must_not: None,
        })
    };
    match wants {
        HeaderIs::Exactly(value) => all(value, false),
        HeaderIs::Beginning(value) => all(value, true),
        HeaderIs::Present => only(present(name, false)),
        HeaderIs::Absent => only(present(name, true)),
    }
}

/// What a rule that denies wants, any of these: one value suffices, also between commas. So does a byte beyond printable ASCII, by which
/// an expression can be kept from matching; one that is not UTF-8 and on a line of its own, only where lines are joined or each
/// of them may be the odd one.
pub(super) fn broad_header(name: &str, wants: HeaderIs<'_>) -> Vec<Conditions> {
    let only = |must| Conditions {
        must,
        must_not: None,
    };
    let listed = |value: &str, is_beginning: bool| {
        let mut pattern = String::from(r"(?i)(?:\C*,)?\s*");
        value.chars().for_each(|c| literal(&mut pattern, c));
        pattern.push_str(if is_beginning {
            r"\C*"
        } else {
            r"\s*(?:,\C*)?"
        });
        // Some value is not printable, of joined ones and of single ones.
        let odd = header(name, regex(r"[\t -~]*"), true);
        let one_odd = header(name, regex(r"\C*[^\t -~]\C*"), false);
        let listed = header(name, long_regex(pattern), false);
        [listed, odd, one_odd].map(only).into()
    };
    match wants {
        HeaderIs::Exactly(value) => listed(value, false),
        HeaderIs::Beginning(value) => listed(value, true),
        HeaderIs::Present => vec![only(present(name, false))],
        HeaderIs::Absent => vec![only(present(name, true))],
    }
}

/// A network, as itself and as a listener for both families sees it.
pub(super) fn ranges(network: Cidr) -> Vec<CidrRange> {
    let range = |address: IpAddr, bits: u8| CidrRange {
        address_prefix: address.to_string(),
        prefix_len: number(bits.into()),
    };
    let mut ranges = vec![range(network.address(), network.bits())];
    let (mapped, bits) = network.in_v6();
    if network.address().is_ipv4() {
        ranges.push(range(mapped.into(), bits));
    }
    ranges
}
