//! One certificate that somebody else asks for: the key is made here, and put away with the answer.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::error::Error;
use crate::files::Files;
use crate::given::{Bundle, Identity};
use crate::key::Key;
use crate::pem;

/// A key that waits for its certificate.
pub struct NewKey(Key);

/// What a server answers to a request.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The trust domain of the mesh.
    pub trust_domain: &'a str,
    /// The certificate, then the one that signed it, in PEM.
    pub chain_pem: &'a str,
    /// Whom to trust, in PEM.
    pub bundle_pem: &'a str,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl NewKey {
    /// A new one, on P-256.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn generate() -> Result<Self, Error> {
        Key::generate().map(Self)
    }

    /// What is sent to a server: a request that it has signed, in PEM.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn request_pem(&self) -> Result<String, Error> {
        let request = self.0.request()?;
        Ok(pem::block("CERTIFICATE REQUEST", &request).to_string())
    }

    /// Puts it away with its certificate, as an agent does: `svid.pem`, `key.pem` for its owner only, and `bundle.pem`, all at once. The
    /// answer is read before: a certificate of another key, or of another trust domain, is not kept.
    ///
    /// # Errors
    /// [`Error::Senseless`], [`Error::Write`].
    pub fn keep(&self, answer: &Answer<'_>, folder: PathBuf) -> Result<(), Error> {
        let bundle = Bundle {
            trust_domain: answer.trust_domain.to_owned(),
            roots: ders(answer.bundle_pem)?,
        };
        let identity = Identity::read(ders(answer.chain_pem)?, &self.0, Arc::new(bundle))?;
        Files::open(folder)?.write(&identity)
    }
}

fn ders(pem: &str) -> Result<Vec<Vec<u8>>, Error> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes());
    let read: Result<Vec<_>, _> = read.map(|der| der.map(|der| der.to_vec())).collect();
    read.map_err(|_| Error::Senseless("what should be certificates is none"))
}
