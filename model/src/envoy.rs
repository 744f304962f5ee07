//! Which releases of Envoy may be given configuration.

/// Major, minor and patch.
pub(crate) type Release = (u32, u32, u32);

/// The oldest minor release that is supported. What is generated uses fields that older ones do not know, or read differently:
/// an access rule that is half understood lets in whom it should not.
pub const OLDEST: (u32, u32) = (1, 36);

/// Whether an Envoy that says this of itself must not be given any configuration. Who says nothing that can be read as a
/// release is given it: a build of one's own knows best what it is.
#[must_use]
pub fn is_too_old(version: &str) -> bool {
    release(version).is_some_and(|(major, minor, _)| (major, minor) < OLDEST)
}

/// `1.36.4`, also with something behind it: `1.36.4-dev`, `1.36.4+contrib`.
pub(crate) fn release(text: &str) -> Option<Release> {
    let release = text.split(['-', '+']).next()?;
    let mut parts = release.split('.').map(str::parse);
    let version = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_oldest_is_too_old() {
        for old in ["1.35.13", "1.9.0", "0.99.99", "1.35.0-dev"] {
            assert!(is_too_old(old), "{old}");
        }
        for good in [
            "1.36.0",
            "1.36.4-dev",
            "1.40.0",
            "2.0.0",
            "",
            "main",
            "1.35",
        ] {
            assert!(!is_too_old(good), "{good}");
        }
    }
}
