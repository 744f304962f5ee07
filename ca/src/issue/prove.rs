//! Showing that an authority could sign, without a leaf that nobody asked for.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{PublicKeyData as _, SigningKey as _};

use super::Issuer;
use crate::ambient::Random;
use crate::error::Error;

impl Issuer {
    /// Signs something that is no certificate and never could be one, and verifies it with the key of the certificate: shows that this
    /// authority could sign, without a leaf that nobody asked for.
    ///
    /// # Errors
    /// [`Error::Random`], [`Error::Key`].
    pub fn prove(&self, random: &dyn Random) -> Result<(), Error> {
        let mut nonce = [0_u8; 32];
        random.fill(&mut nonce)?;
        // What is signed in a certificate begins with 0x30.
        let probe = [b"heddle: a probe, and no certificate".as_slice(), &nonce].concat();
        let signature = self.key.sign(&probe).map_err(|_| Error::Key)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.key.der_bytes())
            .verify(&probe, &signature)
            .map_err(|_| Error::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use crate::SystemRandom;

    #[test]
    fn an_authority_proves_that_it_could_sign() {
        Bench::new(1).issuer.prove(&SystemRandom).expect("it signs");
    }
}
