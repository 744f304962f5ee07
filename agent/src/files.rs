//! Certificate, key and bundle as files, for whatever reads files: `svid.pem`, `key.pem` and `bundle.pem`.
//!
//! They change together. Each set lies in a folder of its own, and the names lead there through one link, `current`, which is replaced
//! in one step: whoever opens `current` first has files that belong together, and Envoy's `watched_directory` notices.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::error::Error;
use crate::given::{Bundle, Identity};
use crate::key::Key;
use crate::pem;

const CURRENT: &str = "current";
/// What the folders of sets begin with, and those of sets that are being written; nothing else in the folder is touched.
const SET: &str = "set-";
const UNFINISHED: &str = ".set";
/// How old one of the latter is at least that nobody writes any more.
const ABANDONED: Duration = Duration::from_secs(60);
const CERTIFICATE: &str = "svid.pem";
const KEY: &str = "key.pem";
const BUNDLE: &str = "bundle.pem";

/// The folder.
#[derive(Debug)]
pub(crate) struct Files(PathBuf);

impl Files {
    /// Makes the folder, for its owner only, when it is not there.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, Error> {
        let made = match folder.is_dir() {
            true => Ok(()),
            false => DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(&folder),
        };
        match made {
            Ok(()) => Ok(Self(folder)),
            Err(source) => Err(Error::Write {
                path: folder,
                source,
            }),
        }
    }

    /// Puts what there is now in the place of what was there.
    pub(crate) fn write(&self, identity: &Identity) -> Result<(), Error> {
        let failed = |source| Error::Write {
            path: self.0.clone(),
            source,
        };
        let name = format!("{SET}{}-{}", identity.serial, identity.bundle.version());
        self.put(&name, identity).map_err(failed)?;
        self.clear(&name).map_err(failed)
    }

    fn put(&self, name: &str, identity: &Identity) -> std::io::Result<()> {
        let folder = self.0.join(name);
        if !folder.is_dir() {
            // Complete before it has its name.
            let beside = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .tempdir_in(&self.0)?;
            let put = |name: &str, text: &str, mode: u32| {
                let mut options = OpenOptions::new();
                let file = options.write(true).create_new(true).mode(mode);
                let mut file = file.open(beside.path().join(name))?;
                file.write_all(text.as_bytes())?;
                file.sync_all()
            };
            put(CERTIFICATE, &pem::certificates(&identity.chain), 0o644)?;
            put(KEY, &pem::block("PRIVATE KEY", &identity.key), 0o600)?;
            put(BUNDLE, &pem::certificates(&identity.bundle.roots), 0o644)?;
            fs::rename(beside.path(), &folder)?;
            // It is not there under that name any more.
            let _ = beside.keep();
        }
        // The names first: they lead to something all at once.
        for file in [CERTIFICATE, KEY, BUNDLE] {
            self.link(file, &Path::new(CURRENT).join(file))?;
        }
        self.link(CURRENT, Path::new(name))?;
        fs::File::open(&self.0)?.sync_all()
    }

    /// A link, in the place of whatever has its name.
    fn link(&self, name: &str, to: &Path) -> std::io::Result<()> {
        let place = self.0.join(name);
        if fs::read_link(&place).is_ok_and(|there| there == to) {
            return Ok(());
        }
        let beside = self.0.join(format!(".{name}.new"));
        let _leftover = fs::remove_file(&beside);
        symlink(to, &beside)?;
        fs::rename(&beside, &place)
    }

    /// Drops all sets but this one and the one before it, which somebody may be reading; and what an agent that was killed had not
    /// finished.
    fn clear(&self, current: &str) -> std::io::Result<()> {
        let mut sets = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            if text.starts_with(SET) && name != *current {
                sets.push((entry.metadata()?.modified()?, entry.path()));
            } else if text.starts_with(UNFINISHED) && is_abandoned(&entry)? {
                fs::remove_dir_all(entry.path())?;
            }
        }
        sets.sort();
        sets.pop();
        for (_, old) in sets {
            fs::remove_dir_all(old)?;
        }
        Ok(())
    }

    /// What was written before, if it is whole. Whether it is still good is not looked at.
    pub(crate) fn read(&self) -> Option<Identity> {
        let folder = self.0.join(CURRENT);
        let certificates = |name: &str| -> Option<Vec<Vec<u8>>> {
            let read = CertificateDer::pem_file_iter(folder.join(name)).ok()?;
            read.map(|der| Some(der.ok()?.to_vec())).collect()
        };
        let key = PrivatePkcs8KeyDer::from_pem_file(folder.join(KEY)).ok()?;
        let key = Key::from_pkcs8(key.secret_pkcs8_der()).ok()?;
        let chain = certificates(CERTIFICATE)?;
        let roots = certificates(BUNDLE)?;
        let trust_domain = trust_domain(chain.first()?)?;
        let bundle = Bundle {
            trust_domain,
            roots,
        };
        Identity::read(chain, &key, Arc::new(bundle)).ok()
    }
}

/// By the age of it, as the file system knows it; in doubt it stays.
fn is_abandoned(folder: &fs::DirEntry) -> std::io::Result<bool> {
    let metadata = folder.metadata()?;
    let age = metadata.modified()?.elapsed();
    Ok(metadata.is_dir() && age.is_ok_and(|age| age >= ABANDONED))
}

/// That of the only name of a certificate.
fn trust_domain(der: &[u8]) -> Option<String> {
    use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let [GeneralName::URI(name)] = names.value.general_names.as_slice() else {
        return None;
    };
    let (domain, _) = name.strip_prefix("spiffe://")?.split_once('/')?;
    Some(domain.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn the_folder_is_for_its_owner_and_what_was_not_finished_is_cleared_away() {
        let beside = tempfile::tempdir().unwrap();
        let folder = beside.path().join("identity");
        let files = Files::open(folder.clone()).unwrap();
        let (old, new) = (folder.join(".setold"), folder.join(".setnew"));
        for unfinished in [&old, &new] {
            fs::create_dir(unfinished).unwrap();
            fs::write(unfinished.join(KEY), "a key").unwrap();
        }
        let opened = fs::File::open(&old).unwrap();
        opened.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let identity = Identity {
            spiffe_id: "spiffe://a/b".to_owned(),
            serial: "1".to_owned(),
            chain: Vec::new(),
            key: Zeroizing::new(Vec::new()),
            not_before: 0,
            not_after: 1,
            bundle: Arc::new(Bundle {
                trust_domain: "a".to_owned(),
                roots: Vec::new(),
            }),
        };
        files.write(&identity).unwrap();
        assert!(!old.exists());
        assert!(new.exists(), "somebody may be writing it");
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.clone()), 0o700);
        assert_eq!(mode(folder.join(KEY)), 0o600);
    }
}
