//! The key-encryption key in a file: for one machine, and for secrets mounted by a scheduler.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use zeroize::{Zeroize as _, Zeroizing};

use crate::local_key::{KEY, LocalKey};

/// More than any spelling of 32 bytes needs; a larger file is not a key.
const MAX_FILE: u64 = 256;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileKeyError {
    /// Reading or writing failed.
    #[error("{action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Group or others may read or write the file.
    #[error("{path} is open to others (mode {mode:04o}): run chmod 600 on it", path = path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a regular file.
    #[error("{path} is not a regular file", path = path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Not 32 bytes in hex or base64.
    #[error("the sealing key {path} does not hold 32 bytes in hex or base64", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// No random bytes for a new key.
    #[error("draw random bytes for a new sealing key")]
    Random,
}

/// Keys from files that only their owner may read.
impl LocalKey {
    /// Reads the key, or makes a new one (32 random bytes in hex, mode 0600) when there is none. Two
    /// processes that start at once end with the same key.
    ///
    /// # Errors
    /// [`FileKeyError`]; an existing file is never changed.
    pub fn load_or_create(path: &Path) -> Result<Self, FileKeyError> {
        match Self::load(path) {
            Err(FileKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::load(path)
            }
            other => other,
        }
    }

    /// Reads an existing key.
    ///
    /// # Errors
    /// [`FileKeyError`].
    pub fn load(path: &Path) -> Result<Self, FileKeyError> {
        let text = read_private(path)?;
        Self::from_text(&text).ok_or(FileKeyError::Content {
            path: path.to_owned(),
        })
    }
}

/// A small secret from a file that only its owner may read.
///
/// # Errors
/// Every [`FileKeyError`] but `Content`.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileKeyError> {
    let fault = |action| {
        move |source| FileKeyError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let file = File::open(path).map_err(fault("open"))?;
    // Asked of the open file, not of the path: nothing can be swapped in between.
    let metadata = file.metadata().map_err(fault("examine"))?;
    if !metadata.is_file() {
        return Err(FileKeyError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileKeyError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(512)); // larger than MAX_FILE: never grows
    file.take(MAX_FILE)
        .read_to_end(&mut text)
        .map_err(fault("read"))?;
    Ok(text)
}

/// Writes a new key beside its place and links it there, so that the file is either absent or whole and
/// the first of two creators wins.
fn create(path: &Path) -> Result<(), FileKeyError> {
    let fault = |action| {
        move |source| FileKeyError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let mut key = Zeroizing::new([0_u8; KEY]);
    rand::fill(&mut *key).map_err(|_| FileKeyError::Random)?;
    let mut salt = [0_u8; 8];
    rand::fill(&mut salt).map_err(|_| FileKeyError::Random)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{}", hex::encode(salt)));
    let beside = PathBuf::from(beside);

    let mut text = Zeroizing::new([0_u8; 2 * KEY + 1]);
    text[2 * KEY] = b'\n';
    let written = hex::encode_to_slice(key.as_slice(), &mut text[..2 * KEY]);
    key.zeroize();
    written.expect("the slice has two digits for every byte of the key");

    let attempt = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text.as_slice())?;
        file.sync_all()?;
        match fs::hard_link(&beside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    })();
    let removed = match fs::remove_file(&beside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    attempt.map_err(fault("create"))?;
    removed.map_err(fault("create"))?;
    // The name is durable only once its directory is; keys sealed under a lost file are lost too.
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(fault("create"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::testing::id;
    use crate::{Aad, seal};

    const TEXT: &str = "00112233445566778899aabbccddeeff0123456789abcdefFEDCBA9876543210";

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).expect("write");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn a_key_is_made_once_owner_only_and_found_again() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("sealing.key");
        let made = LocalKey::load_or_create(&path).expect("create");
        let again = LocalKey::load_or_create(&path).expect("load");
        assert_eq!(*made.0, *again.0);
        assert_eq!(
            fs::metadata(&path).expect("metadata").mode() & 0o7777,
            0o600
        );
        assert_eq!(fs::read_to_string(&path).expect("read").trim().len(), 64);
        assert_eq!(
            fs::read_dir(folder.path()).expect("list").count(),
            1,
            "nothing left beside it"
        );

        let aad = Aad {
            org: id(1),
            mesh: id(2),
            key: id(3),
            purpose: "x",
        };
        let sealed = seal::seal(&made, &aad, b"secret").expect("seal");
        assert_eq!(
            seal::open(&again, &aad, &sealed).expect("open").as_slice(),
            b"secret"
        );
    }

    #[test]
    fn concurrent_creators_end_with_one_key() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("sealing.key");
        let keys: Vec<[u8; KEY]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| *LocalKey::load_or_create(&path).expect("key").0))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("thread"))
                .collect()
        });
        assert!(keys.iter().all(|k| k == &keys[0]));
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }

    #[test]
    fn hex_and_base64_are_read_and_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        write(&path, &format!("{TEXT}\n"), 0o400);
        let hex_key = LocalKey::load(&path).expect("hex");
        assert_eq!(hex_key.0[..4], [0x00, 0x11, 0x22, 0x33]);
        fs::remove_file(&path).expect("remove");
        write(&path, &STANDARD.encode(*hex_key.0), 0o600);
        assert_eq!(*LocalKey::load(&path).expect("base64").0, *hex_key.0);
        for bad in [
            "",
            "abc",
            &TEXT[1..],
            &format!("{TEXT}00"),
            &"zz".repeat(32),
            &"A".repeat(4096),
        ] {
            write(&path, bad, 0o600);
            let error = LocalKey::load_or_create(&path).expect_err("not a key");
            assert!(matches!(error, FileKeyError::Content { .. }), "{error:?}");
            assert_eq!(
                fs::read_to_string(&path).expect("read"),
                bad,
                "left as it was"
            );
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_its_mode() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        for mode in [0o644, 0o640, 0o660, 0o602, 0o601] {
            write(&path, TEXT, mode);
            let error = LocalKey::load_or_create(&path).expect_err("too open");
            let text = error.to_string();
            assert!(
                text.contains(&format!("{mode:04o}")) && text.contains("chmod 600"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_folder_and_a_missing_parent_are_errors() {
        let folder = tempfile::tempdir().expect("folder");
        let error = LocalKey::load_or_create(folder.path()).expect_err("a folder");
        assert!(matches!(error, FileKeyError::NotAFile { .. }), "{error:?}");
        let nowhere = folder.path().join("no/such/key");
        assert!(matches!(
            LocalKey::load_or_create(&nowhere),
            Err(FileKeyError::Io { .. })
        ));
    }
}
