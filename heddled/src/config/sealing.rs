//! What seals private keys in the database: which key-encryption keys there are, and where each is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use heddle_ca::{KeyEncryptionKey, Keyring, LocalKey, TokenKey, TokenUri};
use zeroize::Zeroizing;

/// Where a key-encryption key is. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// In a file that is there.
    File(PathBuf),
    /// In a file, which is made when it is not there.
    NewFile(PathBuf),
    /// In this environment variable.
    Env(String),
    /// In a token.
    Token(Box<TokenUri>),
}

impl FromStr for KeySource {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text.starts_with("pkcs11:") {
            return Ok(Self::Token(Box::new(text.parse()?)));
        }
        // A key that stands here itself is not repeated in what is printed.
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            _ => bail!(
                "it is not file: and a path, env: and the name of a variable, or a pkcs11: URI"
            ),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::NewFile(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Token(uri) => write!(f, "{uri}"),
        }
    }
}

impl KeySource {
    fn open(&self) -> anyhow::Result<Arc<dyn KeyEncryptionKey>> {
        Ok(match self {
            Self::File(path) => Arc::new(LocalKey::load(path)?),
            Self::NewFile(path) => Arc::new(LocalKey::load_or_create(path)?),
            Self::Env(name) => Arc::new(from_variable(name)?),
            Self::Token(uri) => Arc::new(TokenKey::open(TokenUri::clone(uri))?),
        })
    }
}

fn from_variable(name: &str) -> anyhow::Result<LocalKey> {
    let text = std::env::var_os(name).context("the variable is not set")?;
    let text = Zeroizing::new(text.into_encoded_bytes());
    LocalKey::from_text(&text).context("it does not hold 32 bytes in hex or base64")
}

/// The key-encryption keys of an installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sealing {
    /// The one that seals; `None`: this process has none.
    with: Option<KeySource>,
    /// Those before it, which still open.
    before: Vec<KeySource>,
}

impl Sealing {
    /// Understands what was set.
    ///
    /// # Errors
    /// A source is none, or the key that seals is set twice.
    pub(super) fn settle(
        key: Option<&str>,
        file: Option<PathBuf>,
        before: &[String],
    ) -> anyhow::Result<Self> {
        let with = match (key, file) {
            (Some(_), Some(_)) => bail!("of sealing_key and sealing_key_file, set one"),
            (Some(key), None) => Some(key.parse().context("sealing_key")?),
            (None, file) => file.map(KeySource::NewFile),
        };
        let before = before.iter().filter(|text| !text.is_empty());
        let before = before.map(|text| text.parse().context("sealing_keys_before"));
        Ok(Self {
            with,
            before: before.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Opens all of them.
    ///
    /// # Errors
    /// None is set, or one cannot be used: the text names it.
    pub(crate) fn open(&self) -> anyhow::Result<Keyring> {
        let open = |source: &KeySource| {
            let opened = source.open();
            opened.with_context(|| format!("open the sealing key {source}"))
        };
        let with = self.with.as_ref().context(
            "there is no sealing key: use --sealing-key, HEDDLE_SEALING_KEY or sealing_key in the file, or --sealing-key-file",
        )?;
        let before = self.before.iter().map(open);
        let before = before.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Keyring::new(open(with)?, before))
    }

    /// Whether any key is set.
    pub(crate) fn is_set(&self) -> bool {
        self.with.is_some() || !self.before.is_empty()
    }

    /// Whether a child process needs more than [`super::Config::environment`] to find them.
    pub(crate) fn is_in_variables(&self) -> bool {
        let is = |source: &KeySource| matches!(source, KeySource::Env(_));
        self.with.iter().chain(&self.before).any(is)
    }

    /// The same as environment variables.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut all = Vec::new();
        match &self.with {
            Some(KeySource::NewFile(file)) => all.push(("HEDDLE_SEALING_KEY_FILE", path(file))),
            Some(source) => all.push(("HEDDLE_SEALING_KEY", source.to_string())),
            None => {}
        }
        if !self.before.is_empty() {
            let before: Vec<String> = self.before.iter().map(ToString::to_string).collect();
            all.push(("HEDDLE_SEALING_KEYS_BEFORE", before.join(" ")));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(key: Option<&str>, file: Option<&str>, before: &[&str]) -> anyhow::Result<Sealing> {
        let before: Vec<String> = before.iter().map(|text| (*text).to_owned()).collect();
        Sealing::settle(key, file.map(PathBuf::from), &before)
    }

    #[test]
    fn sources_are_spelled_as_they_are_read() {
        let token = "pkcs11:token=a;object=b?module-path=/m&pin-source=file:/p";
        for text in ["file:/keys/2026", "env:HEDDLE_KEK", token] {
            assert_eq!(text.parse::<KeySource>().unwrap().to_string(), text);
        }
        let sealing = settle(Some(token), None, &["file:/a", "env:B"]).unwrap();
        let before = ("HEDDLE_SEALING_KEYS_BEFORE", "file:/a env:B".to_owned());
        let expected = vec![("HEDDLE_SEALING_KEY", token.to_owned()), before];
        assert_eq!(sealing.environment(), expected);
        assert!(sealing.is_in_variables());
    }

    #[test]
    fn sec_c15_a_key_in_the_place_of_its_source_is_refused_and_not_repeated() {
        let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        let error = format!("{:#}", settle(Some(key), None, &[]).unwrap_err());
        assert!(
            error.contains("sealing_key") && !error.contains("0011"),
            "{error}"
        );
        let error = format!("{:#}", settle(None, None, &[key]).unwrap_err());
        assert!(
            error.contains("sealing_keys_before") && !error.contains("0011"),
            "{error}"
        );
        assert!(settle(Some("file:/a"), Some("/b"), &[]).is_err());
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = format!("{:#}", settle(None, None, &[]).unwrap().open().unwrap_err());
        assert!(error.contains("HEDDLE_SEALING_KEY"), "{error}");
        let nowhere = settle(Some("file:/no/such/key"), None, &[]).unwrap();
        let error = format!("{:#}", nowhere.open().unwrap_err());
        assert!(error.contains("file:/no/such/key"), "{error}");
        let unset = settle(Some("env:HEDDLE_NO_SUCH_VARIABLE"), None, &[]).unwrap();
        let error = format!("{:#}", unset.open().unwrap_err());
        assert!(error.contains("HEDDLE_NO_SUCH_VARIABLE"), "{error}");
    }
}
