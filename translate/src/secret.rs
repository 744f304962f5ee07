//! SDS: the proxy's own certificate, and the roots that it trusts.
//!
//! The key passes through here on its way to one proxy; nothing here keeps, logs or hashes it. Secrets have no
//! origins: no object of a user made them.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate, secret,
};
use prost::Message as _;

use crate::naming;
use crate::resource::{Resource, ResourceType, any};

fn inline(text: &str) -> DataSource {
    DataSource {
        specifier: Some(Specifier::InlineBytes(text.as_bytes().to_vec())),
        ..DataSource::default()
    }
}

/// Certificate and key in one resource, so that both change in one step. The version is the certificate's
/// serial: it can be compared after a reconnect although the key was never kept.
#[must_use]
pub fn identity_secret(chain_pem: &str, key_pem: &str, serial: &str) -> Resource {
    let message = Secret {
        name: naming::IDENTITY.to_owned(),
        r#type: Some(secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: Some(inline(chain_pem)),
            private_key: Some(inline(key_pem)),
            ..TlsCertificate::default()
        })),
    };
    let name = naming::IDENTITY.to_owned();
    let body = Bytes::from(any(&message).encode_to_vec());
    Resource::versioned(
        ResourceType::Secret,
        name,
        body,
        serial.to_owned(),
        Vec::new(),
    )
}

/// The roots of the mesh.
#[must_use]
pub fn trust_secret(roots_pem: &str) -> Resource {
    let message = Secret {
        name: naming::TRUST.to_owned(),
        r#type: Some(secret::Type::ValidationContext(
            CertificateValidationContext {
                trusted_ca: Some(inline(roots_pem)),
                ..CertificateValidationContext::default()
            },
        )),
    };
    let name = naming::TRUST.to_owned();
    Resource::new(ResourceType::Secret, name, &message, Vec::new())
}
