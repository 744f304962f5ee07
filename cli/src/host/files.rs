//! Files that the command line writes for an Envoy. Each is replaced as a whole, so that an Envoy that reads one meanwhile reads
//! the one or the other; a join token is its owner's only.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::Failure;

/// Writes a join token, for its owner only.
pub(crate) fn write_token(path: &Path, token: &SecretString) -> Result<(), Failure> {
    write(path, token.expose_secret(), 0o600)
}

/// Writes a text.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io(&format!("write {}", path.display()), &error);
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    // A temporary file is its owner's only until it has its own mode.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let permissions = Permissions::from_mode(mode);
    file.as_file()
        .set_permissions(permissions)
        .map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_its_owner_only_whatever_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write_token(&path, &SecretString::from("new")).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert!(write_token(&folder.path().join("none/token"), &SecretString::from("x")).is_err());
    }
}
