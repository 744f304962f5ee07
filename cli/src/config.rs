//! What the command line remembers: contexts (which server, which organisation, which mesh) and the sessions that go with them. Two files that
//! nobody else may read, replaced as a whole, so that a command that is interrupted leaves the one or the other.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use crate::failure::{Exit, Failure};

/// A place to work at, under a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Where the API is.
    pub(crate) server: String,
    /// The organisation; absent: the credential's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) org: Option<String>,
    /// The mesh that commands are about unless they say another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mesh: Option<String>,
    /// Where its token lies; absent: `heddle login` keeps a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
}

/// The first file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Contexts {
    /// The name of the one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// Somebody who signed in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Session {
    /// Where it was begun: it is never shown to another server.
    pub(crate) server: String,
    #[serde(serialize_with = "expose")]
    pub(crate) access_token: SecretString,
    pub(crate) expires_at: DateTime<Utc>,
    #[serde(serialize_with = "expose")]
    pub(crate) refresh_token: SecretString,
}

/// The second file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sessions {
    /// By the name of the context.
    pub(crate) sessions: BTreeMap<String, Session>,
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// The folder with both files.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

/// A lock that ends when it is dropped, or the process does.
pub(crate) struct Lock {
    _file: std::fs::File,
}

impl Home {
    /// `HEDDLE_CONFIG_DIR`, or `heddle` in the user's folder for configuration.
    pub(crate) fn find() -> Result<Self, Failure> {
        let path = |name: &str| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from)
        };
        let folder = path("HEDDLE_CONFIG_DIR")
            .or_else(|| Some(path("XDG_CONFIG_HOME")?.join("heddle")))
            .or_else(|| Some(path("HOME")?.join(".config/heddle")));
        folder.map(Self).ok_or_else(|| {
            Failure::error("there is no folder for the configuration").hint("set HEDDLE_CONFIG_DIR")
        })
    }

    pub(crate) fn contexts(&self) -> Result<Contexts, Failure> {
        self.read("config.toml")
    }

    pub(crate) fn write_contexts(&self, contexts: &Contexts) -> Result<(), Failure> {
        self.write("config.toml", contexts)
    }

    pub(crate) fn sessions(&self) -> Result<Sessions, Failure> {
        self.read("sessions.toml")
    }

    pub(crate) fn write_sessions(&self, sessions: &Sessions) -> Result<(), Failure> {
        self.write("sessions.toml", sessions)
    }

    /// One command at a time reads, changes and writes: a secret that gets the next token works once.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        self.make()?;
        let path = self.0.join("lock");
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file));
        let file =
            file.map_err(|error| Failure::io(&format!("lock {}", path.display()), &error))?;
        Ok(Lock { _file: file })
    }

    fn make(&self) -> Result<(), Failure> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        made.map_err(|error| Failure::io(&format!("make the folder {}", self.0.display()), &error))
    }

    fn read<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Failure> {
        let path = self.0.join(name);
        let text = match private(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(T::default()),
            Err(failure) => return Err(failure),
        };
        toml::from_str(&text).map_err(|error| {
            // Not the text itself: it may hold a secret.
            Failure::error(format!(
                "{} is not what this program wrote: {}",
                path.display(),
                error.message()
            ))
            .hint("mend it, or remove it and sign in again")
        })
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Failure> {
        self.make()?;
        let path = self.0.join(name);
        let text = toml::to_string(value)
            .map_err(|error| Failure::error(format!("write {}: {error}", path.display())))?;
        // A temporary file is its owner's only.
        let written = tempfile::NamedTempFile::new_in(&self.0).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        });
        match written {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::io(&format!("write {}", path.display()), &error)),
        }
    }
}

/// Reads a file that only its owner may read; none when it is not there.
///
/// # Errors
/// It cannot be read, or others may read it, too.
pub(crate) fn private(path: &Path) -> Result<Option<String>, Failure> {
    let failed = |error: &std::io::Error| Failure::io(&format!("read {}", path.display()), error);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        let what = format!("{} holds secrets, and others may read it", path.display());
        return Err(Failure::new(Exit::Auth, what).hint(format!("chmod 600 {}", path.display())));
    }
    std::fs::read_to_string(path)
        .map(Some)
        .map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home(folder.path().join("below").join("heddle"));
        let mut sessions = Sessions::default();
        let session = Session {
            server: String::from("http://localhost:1"),
            access_token: SecretString::from("access"),
            expires_at: "2026-05-01T12:00:00Z".parse().unwrap(),
            refresh_token: SecretString::from("refresh"),
        };
        sessions.sessions.insert(String::from("acme"), session);
        home.write_sessions(&sessions).unwrap();
        home.write_contexts(&Contexts::default()).unwrap();
        drop(home.lock().unwrap());
        for file in ["sessions.toml", "config.toml", "lock"] {
            let mode = std::fs::metadata(home.0.join(file))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let mode = std::fs::metadata(&home.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let read = home.sessions().unwrap();
        assert_eq!(
            read.sessions["acme"].refresh_token.expose_secret(),
            "refresh"
        );
        assert!(!format!("{read:?}").contains("refresh\""));
        // One that others may read is not used.
        let file = home.0.join("sessions.toml");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = home.sessions().unwrap_err();
        assert_eq!(refused.exit(), Exit::Auth);
        // One that is broken is not shown.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "[sessions.a]\nrefresh_token = \"secret\"\nx = 1\n").unwrap();
        let broken = home.sessions().unwrap_err();
        assert!(!broken.render().contains("secret\""), "{}", broken.render());
    }
}
