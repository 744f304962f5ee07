//! Files that are either there in full or not at all, and directories that only their owner enters.

use std::fs::{DirBuilder, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

/// Writes a file that only its owner reads: beside it first, then in its place.
///
/// # Errors
/// The directory cannot be written.
pub(crate) fn write_private(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let written = || -> std::io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // A temporary file is made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(content.as_ref())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        std::fs::File::open(directory)?.sync_all()
    };
    written().with_context(|| format!("write {}", path.display()))
}

/// Reads a file that need not exist.
///
/// # Errors
/// It exists and cannot be read.
pub(crate) fn read_if_there(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Makes a directory (and those above it) that only its owner enters. One that exists stays as it is.
///
/// # Errors
/// It cannot be made.
pub(crate) fn private_dir(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("make the directory {}", path.display()))
}

/// Gives a directory to a user, for that user alone.
///
/// # Errors
/// We may not.
pub(crate) fn hand_over(path: &Path, account: super::process::Account) -> anyhow::Result<()> {
    std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid))
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o700)))
        .with_context(|| format!("hand {} over to user {}", path.display(), account.uid))
}

/// The key that seals private keys in the database: 32 random bytes, made once.
///
/// # Errors
/// It cannot be read or written, or the file that is there is no such key.
pub(crate) fn sealing_key(path: &Path) -> anyhow::Result<()> {
    if let Some(text) = read_if_there(path)? {
        let bytes = hex::decode(text.trim())
            .ok()
            .filter(|bytes| bytes.len() == 32);
        bytes.with_context(|| format!("{} is not 32 bytes in hexadecimal", path.display()))?;
        return Ok(());
    }
    let mut key = zeroize::Zeroizing::new([0_u8; 32]);
    aws_lc_rs::rand::fill(key.as_mut())
        .ok()
        .context("draw a random key")?;
    let text = zeroize::Zeroizing::new(hex::encode(&key[..]));
    write_private(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sealing_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/sealing.key");
        private_dir(&dir.path().join("keys")).unwrap();
        sealing_key(&path).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!(hex::decode(&first).unwrap().len(), 32);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let dir_mode = std::fs::metadata(dir.path().join("keys"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(dir_mode & 0o777, 0o700);
        sealing_key(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    }

    #[test]
    fn a_damaged_sealing_key_is_refused_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sealing.key");
        std::fs::write(&path, "abcd").unwrap();
        let error = sealing_key(&path).unwrap_err().to_string();
        assert!(error.contains("sealing.key"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abcd");
    }
}
