//! The Envoy binary: where it is, and which.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use heddle_model::envoy;

/// The oldest that is supported: every one of these is tested at its ends.
pub(crate) const OLDEST: Version = Version(envoy::OLDEST.0, envoy::OLDEST.1);

/// Major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// In `1.40.0`, `1.40.0-dev`, `9e55.../1.40.0/Clean/RELEASE/BoringSSL`.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let words = text
            .split(['/', ' ', '\n'])
            .map(|word| word.trim_start_matches('v'));
        words
            .filter_map(|word| {
                let mut parts = word.split(['.', '-']);
                let major = parts.next()?.parse().ok()?;
                let minor = parts.next()?.parse().ok()?;
                parts.next()?.parse::<u32>().ok()?;
                Some(Self(major, minor))
            })
            .next()
    }

    pub(crate) fn is_supported(self) -> bool {
        self >= OLDEST
    }
}

/// The binary that is meant: a path, or what the shell would find under the name.
pub(crate) fn find(given: Option<&Path>) -> Option<PathBuf> {
    let name = given.unwrap_or_else(|| Path::new("envoy"));
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// What a binary says that it is.
pub(crate) async fn version(binary: &Path) -> Result<Version, String> {
    let run = tokio::process::Command::new(binary)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let patience = std::time::Duration::from_secs(10);
    let output = match tokio::time::timeout(patience, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("it does not start: {error}")),
        Err(_) => {
            return Err(String::from(
                "it does not say its version within 10 seconds",
            ));
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    Version::find(&text).ok_or_else(|| String::from("it does not say its version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, version) in [
            (
                "envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL",
                Some(Version(1, 40)),
            ),
            (
                "9e55/1.36.2-dev/Modified/DEBUG/BoringSSL",
                Some(Version(1, 36)),
            ),
            ("v1.9.1", Some(Version(1, 9))),
            ("bash 5", None),
            ("", None),
        ] {
            assert_eq!(Version::find(text), version, "{text}");
        }
        assert!(
            !Version(1, 9).is_supported() && OLDEST.is_supported() && Version(2, 0).is_supported()
        );
    }
}
