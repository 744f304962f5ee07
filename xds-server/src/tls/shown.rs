//! The certificates that clients show, if they have one. Streams are let in by join tokens; a proxy that reports what it has seen does so
//! by the certificate that it has in its mesh.
//!
//! In the handshake a client proves that it has the certificate's key, and nothing more: whose it is, and whether it is still to be
//! trusted, depends on its mesh and is asked with what the client wants. A certificate that nothing is asked by opens nothing.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

/// The largest certificate that is looked at, in bytes. Leaves of a mesh have less than a quarter of that.
const LARGEST: usize = 4 << 10;
/// The most that may come with it. It is not looked at, and kept while the connection lasts.
const LARGEST_CHAIN: usize = 16 << 10;

#[derive(Debug)]
pub(super) struct ShownByClients(WebPkiSupportedAlgorithms);

impl ShownByClients {
    pub(super) const fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self(algorithms)
    }
}

impl ClientCertVerifier for ShownByClients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let others: usize = chain.iter().map(|one| one.len()).sum();
        match leaf.len() <= LARGEST && others <= LARGEST_CHAIN {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
