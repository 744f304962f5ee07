//! Certificate, key and bundle as files, for whatever reads files: `svid.pem`, `key.pem` and `bundle.pem`.
//!
//! They change together. Each set lies in a folder of its own, and the names lead there through one link, `current`, which is replaced
//! in one step: whoever opens `current` first has files that belong together, and Envoy's `watched_directory` notices.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::error::Error;
use crate::given::{Bundle, Identity};
use crate::key::Key;
use crate::pem;

const CURRENT: &str = "current";
/// What the folders of sets begin with; nothing else in the folder is touched.
const SET: &str = "set-";
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
                .prefix(".set")
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

    /// Drops all sets but this one and the one before it, which somebody may be reading.
    fn clear(&self, current: &str) -> std::io::Result<()> {
        let mut sets = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(SET) && name != *current {
                sets.push((entry.metadata()?.modified()?, entry.path()));
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
