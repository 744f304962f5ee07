//! The ready file: one JSON object that tells a program what `heddled up` tells a person.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::files::write_private;

/// What everything that runs can be reached by. Addresses are URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Ready {
    pub(crate) api: Option<String>,
    pub(crate) console: Option<String>,
    pub(crate) xds: Option<String>,
    pub(crate) frontend: Option<String>,
    pub(crate) org: Option<String>,
    pub(crate) mesh: Option<String>,
    pub(crate) token: Option<String>,
    /// Who signs in to the console, unless that member was removed.
    pub(crate) member: Option<Member>,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) pids: Pids,
}

/// The demo's member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Member {
    pub(crate) email: String,
    /// The password that it was made with.
    pub(crate) password: String,
}

/// One Envoy of the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) service: String,
    /// The URL of its admin interface.
    pub(crate) admin: String,
}

/// Process ids; those of children change when they are restarted, and the file with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Pids {
    pub(crate) supervisor: u32,
    pub(crate) server: Option<u32>,
    pub(crate) postgres: Option<u32>,
}

/// The file, which exists only while everything serves.
pub(crate) struct ReadyFile(Option<PathBuf>);

impl ReadyFile {
    /// Removes what an earlier run left.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn clear(path: Option<PathBuf>) -> anyhow::Result<Self> {
        let this = Self(path);
        if let Some(path) = &this.0 {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(this)
    }

    /// Writes it; readers see the old one or the new one, never half of it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, ready: &Ready) -> anyhow::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let mut text = serde_json::to_string_pretty(ready).context("write the ready file")?;
        text.push('\n');
        write_private(path, text)
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // It may not have been written yet.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_demo_its_fields_are_null_and_empty() {
        let text = serde_json::to_string(&Ready::default()).unwrap();
        assert_eq!(
            text,
            r#"{"api":null,"console":null,"xds":null,"frontend":null,"org":null,"mesh":null,"token":null,"member":null,"proxies":[],"pids":{"supervisor":0,"server":null,"postgres":null}}"#
        );
    }

    #[test]
    fn the_file_is_there_only_while_everything_serves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        std::fs::write(&path, "old").unwrap();
        let file = ReadyFile::clear(Some(path.clone())).unwrap();
        assert!(!path.exists());
        file.write(&Ready::default()).unwrap();
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
    }
}
