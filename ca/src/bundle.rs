//! The trust bundle of a mesh as a SPIFFE bundle document: what others need who verify its certificates without being one of
//! its proxies (SPIFFE Trust Domain and Bundle, sections 4 and 5.2).

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::authority::read_pem;
use crate::error::Error;

/// How often to fetch it again, in seconds.
const REFRESH_HINT: u32 = 300;

/// A JWK Set with one key for each root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrustBundle {
    keys: Vec<Key>,
    spiffe_sequence: u64,
    spiffe_refresh_hint: u32,
}

/// A root. It has no `kid`: certificates name what signed them by other means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Key {
    #[serde(rename = "use")]
    purpose: &'static str,
    #[serde(flatten)]
    key: PublicKey,
    /// Exactly the root itself.
    x5c: [String; 1],
}

/// A public key as RFC 7518 writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kty")]
enum PublicKey {
    #[serde(rename = "EC")]
    Ec {
        crv: &'static str,
        x: String,
        y: String,
    },
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
}

impl TrustBundle {
    /// The bundle of these roots, each in PEM, in this order. `sequence` grows whenever the roots change.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] for what is not one certificate with a key that authorities may have: ECDSA on P-256 or P-384, or RSA.
    pub fn of<'a>(roots: impl IntoIterator<Item = &'a str>, sequence: u64) -> Result<Self, Error> {
        Ok(Self {
            keys: roots.into_iter().map(key).collect::<Result<_, _>>()?,
            spiffe_sequence: sequence,
            spiffe_refresh_hint: REFRESH_HINT,
        })
    }
}

fn key(root_pem: &str) -> Result<Key, Error> {
    let broken = || Error::Inconsistent("certificate of a root");
    let der = read_pem(root_pem)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| broken())?;
    let parsed = certificate.public_key().parsed().map_err(|_| broken())?;
    Ok(Key {
        purpose: "x509-svid",
        key: public_key(&parsed).ok_or_else(broken)?,
        x5c: [BASE64_STANDARD.encode(&der)],
    })
}

fn public_key(key: &x509_parser::public_key::PublicKey<'_>) -> Option<PublicKey> {
    use x509_parser::public_key::PublicKey as Parsed;
    let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    match key {
        Parsed::EC(point) => {
            // Uncompressed: a byte that says so, and both coordinates.
            let (form, both) = point.data().split_first()?;
            let crv = match (form, both.len()) {
                (4, 64) => "P-256",
                (4, 96) => "P-384",
                _ => return None,
            };
            let (x, y) = both.split_at(both.len() / 2);
            let (x, y) = (text(x), text(y));
            Some(PublicKey::Ec { crv, x, y })
        }
        Parsed::RSA(key) => {
            // Without the byte that keeps the number positive in DER.
            let positive = |bytes: &[u8]| text(bytes.strip_prefix(&[0]).unwrap_or(bytes));
            let (n, e) = (positive(key.modulus), positive(key.exponent));
            Some(PublicKey::Rsa { n, e })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::SystemRandom;
    use crate::authority::{AuthorityRow, create_hierarchy};
    use crate::testing::{MemoryKey, mesh, start};

    fn root(n: u128) -> AuthorityRow {
        let made = create_hierarchy(&mesh(n), &MemoryKey::new(1), start(), &SystemRandom);
        made.unwrap().root
    }

    fn document(roots: &[&str], sequence: u64) -> Value {
        serde_json::to_value(TrustBundle::of(roots.iter().copied(), sequence).unwrap()).unwrap()
    }

    #[test]
    fn spiffe_s20_s21_a_bundle_is_a_key_set_with_one_certificate_a_key_and_no_key_ids() {
        let (one, two) = (root(1), root(2));
        let bundle = document(&[&one.certificate_pem, &two.certificate_pem], 7);
        assert_eq!(bundle["spiffe_sequence"], 7);
        assert_eq!(bundle["spiffe_refresh_hint"], 300);
        let keys = bundle["keys"].as_array().unwrap();
        for (key, root) in keys.iter().zip([&one, &two]) {
            assert_eq!(key["use"], "x509-svid");
            assert_eq!(key.get("kid"), None);
            let der = read_pem(&root.certificate_pem).unwrap();
            assert_eq!(key["x5c"], json!([BASE64_STANDARD.encode(&der)]));
            // The key beside the certificate is the certificate's.
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            let both = ["x", "y"].map(|name| key[name].as_str().unwrap());
            let both = both.map(|text| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap());
            let spki = certificate.public_key().raw;
            assert!(spki.ends_with(&both.concat()), "{key}");
        }
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn a_mesh_without_roots_has_an_empty_bundle() {
        assert_eq!(document(&[], 0)["keys"], json!([]));
    }

    #[test]
    fn what_is_no_root_is_said() {
        for bad in [
            "",
            "junk",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(TrustBundle::of([bad], 1).is_err(), "{bad}");
        }
    }
}
