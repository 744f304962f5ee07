//! The messages, as protocol buffers. Numbers are never given to another field: both ends may be of two releases for a while.

use std::fmt;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use prost::Message;
use uuid::Uuid;

/// What can be asked: the names of the calls.
pub(crate) mod call {
    pub(crate) const ISSUE: &str = "/heddle.ca.v1.Authority/Issue";
    pub(crate) const CERTIFY: &str = "/heddle.ca.v1.Authority/Certify";
    pub(crate) const MAKE_ROOT: &str = "/heddle.ca.v1.Authority/MakeRoot";
    pub(crate) const MAKE_ISSUING: &str = "/heddle.ca.v1.Authority/MakeIssuing";
    pub(crate) const MAKE_REQUEST: &str = "/heddle.ca.v1.Authority/MakeRequest";
    pub(crate) const SEAL_SESSION_KEY: &str = "/heddle.ca.v1.Authority/SealSessionKey";
    pub(crate) const OPEN_SESSION_KEY: &str = "/heddle.ca.v1.Authority/OpenSessionKey";
    pub(crate) const SEAL_SECOND_FACTOR: &str = "/heddle.ca.v1.Authority/SealSecondFactor";
    pub(crate) const OPEN_SECOND_FACTOR: &str = "/heddle.ca.v1.Authority/OpenSecondFactor";
    pub(crate) const SEAL_SSO_CONNECTION: &str = "/heddle.ca.v1.Authority/SealSsoConnection";
    pub(crate) const OPEN_SSO_CONNECTION: &str = "/heddle.ca.v1.Authority/OpenSsoConnection";
    pub(crate) const SEAL_WEBHOOK: &str = "/heddle.ca.v1.Authority/SealWebhook";
    pub(crate) const OPEN_WEBHOOK: &str = "/heddle.ca.v1.Authority/OpenWebhook";
    pub(crate) const CHECK: &str = "/heddle.ca.v1.Authority/Check";
}

/// A mesh.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Mesh {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) org: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) mesh: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(crate) trust_domain: String,
}

/// A leaf is wanted for a proxy that has proved who it is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct IssueRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) mesh: Option<Mesh>,
    #[prost(string, tag = "2")]
    pub(crate) service: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) proxy: Vec<u8>,
    /// The issuing authority that whoever asks takes for the one that signs now.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) issuing: Vec<u8>,
}

/// A leaf with its private key, unless whoever asked has that. `Debug` shows neither.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct IssueResponse {
    #[prost(string, tag = "1")]
    pub(crate) serial: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) authority: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(crate) spiffe_id: String,
    #[prost(string, tag = "4")]
    pub(crate) chain_pem: String,
    #[prost(string, tag = "5")]
    pub(crate) key_pem: String,
    /// Microseconds since 1970, as are all times.
    #[prost(int64, tag = "6")]
    pub(crate) issued_at: i64,
    #[prost(int64, tag = "7")]
    pub(crate) not_before: i64,
    #[prost(int64, tag = "8")]
    pub(crate) not_after: i64,
    #[prost(int64, tag = "9")]
    pub(crate) renew_at: i64,
}

impl fmt::Debug for IssueResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssueResponse({})", self.serial)
    }
}

/// A leaf is wanted for a key that somebody else has.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CertifyRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) leaf: Option<IssueRequest>,
    /// PKCS#10, in DER: the proof is looked at where the signature is made.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) request: Vec<u8>,
}

/// An authority, its private key sealed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Authority {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) certificate_pem: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) sealed_key: Vec<u8>,
    #[prost(string, tag = "4")]
    pub(crate) serial: String,
    #[prost(int64, tag = "5")]
    pub(crate) not_before: i64,
    #[prost(int64, tag = "6")]
    pub(crate) not_after: i64,
}

/// A root with an issuing authority under it is wanted.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeRootRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) mesh: Option<Mesh>,
}

/// They are made; nothing is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeRootResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) root: Option<Authority>,
    #[prost(message, optional, tag = "2")]
    pub(crate) issuing: Option<Authority>,
}

/// An issuing authority is wanted under a stored root, to follow a stored one.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeIssuingRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) mesh: Option<Mesh>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) root: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) issuing: Vec<u8>,
}

/// It is made; nothing is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeIssuingResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) issuing: Option<Authority>,
}

/// A key is wanted, and a request for an issuing authority under a root of somebody else.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeRequestRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) mesh: Option<Mesh>,
}

/// It is made; nothing is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeRequestResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) request_pem: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) sealed_key: Vec<u8>,
}

/// A key that signs sessions' tokens, to be sealed or opened; and the answer. `Debug` shows nothing.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct SessionKey {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) key: Vec<u8>,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(redacted)")
    }
}

/// Something that an organisation keeps sealed, such as the key of a member's second factor, to be sealed or opened; and the answer. `Debug` shows nothing.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct OrgSecret {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) org: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) key: Vec<u8>,
}

impl fmt::Debug for OrgSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrgSecret(redacted)")
    }
}

/// Whether it could sign now.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckRequest {}

/// It could.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckResponse {}

/// An identifier of 16 bytes.
pub(crate) fn id(bytes: &[u8]) -> anyhow::Result<Uuid> {
    Uuid::from_slice(bytes).context("an identifier has not 16 bytes")
}

/// A time of microseconds.
pub(crate) fn time(micros: i64) -> anyhow::Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).context("a time is out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_c15_no_message_prints_a_key() {
        let key = "MIGHAgEAMBMGByqGSM49AgEG".to_owned();
        let leaf = IssueResponse {
            key_pem: key.clone(),
            ..IssueResponse::default()
        };
        let session = SessionKey {
            id: vec![1],
            key: key.clone().into_bytes(),
        };
        let factor = OrgSecret {
            org: vec![1],
            id: vec![2],
            key: key.clone().into_bytes(),
        };
        let printed = format!("{leaf:?} {session:?} {factor:?} {leaf:#?} {session:#?} {factor:#?}");
        assert!(
            !printed.contains("MIGH") && !printed.contains("77, 73"),
            "{printed}"
        );
    }
}
