//! How workloads get certificates for keys of their own: the messages of `heddle.identity.v1`, as
//! `proto/heddle/identity/v1/certificates.proto` describes them to others.
//!
//! What does not live here: who may have which certificate, and anything that connects. The xDS server answers, the agent asks; both
//! depend on this crate, so neither depends on the other.
#![warn(missing_docs)]

use prost::Message;

/// The names of the calls.
pub mod call {
    /// A certificate for the key of a request.
    pub const ISSUE: &str = "/heddle.identity.v1.Certificates/Issue";
    /// What to trust, and when to replace what is held.
    pub const WATCH: &str = "/heddle.identity.v1.Certificates/Watch";
}

/// Who asks. Proved by the join token that comes along.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Caller {
    /// The name of the proxy, unique within its service.
    #[prost(string, tag = "1")]
    pub proxy: String,
    /// The service, where whoever asks knows it.
    #[prost(string, tag = "2")]
    pub service: String,
}

/// A certificate is wanted.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct IssueRequest {
    /// By whom.
    #[prost(message, optional, tag = "1")]
    pub caller: Option<Caller>,
    /// PKCS#10, in DER.
    #[prost(bytes = "vec", tag = "2")]
    pub request: Vec<u8>,
    /// Whether whoever asks says by `Watch` what it holds.
    #[prost(bool, tag = "3")]
    pub watches: bool,
}

/// It is there.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct IssueResponse {
    /// The only name in it.
    #[prost(string, tag = "1")]
    pub spiffe_id: String,
    /// It, and the one that signed it, in DER.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub chain: Vec<Vec<u8>>,
    /// Whom to trust, in DER.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub bundle: Vec<Vec<u8>>,
    /// The trust domain of all that, without the scheme.
    #[prost(string, tag = "4")]
    pub trust_domain: String,
    /// Its serial number, in hexadecimal digits.
    #[prost(string, tag = "5")]
    pub serial: String,
    /// When it ends, in seconds since 1970.
    #[prost(int64, tag = "6")]
    pub not_after: i64,
    /// When to replace it, in seconds since 1970.
    #[prost(int64, tag = "7")]
    pub renew_at: i64,
    /// Names this bundle.
    #[prost(string, tag = "8")]
    pub version: String,
}

/// Somebody wants to be told.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WatchRequest {
    /// Who.
    #[prost(message, optional, tag = "1")]
    pub caller: Option<Caller>,
    /// The certificate that is held.
    #[prost(string, tag = "2")]
    pub serial: String,
    /// The version of the bundle that is in use.
    #[prost(string, tag = "3")]
    pub version: String,
}

/// What is trusted now.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WatchResponse {
    /// The trust domain, without the scheme.
    #[prost(string, tag = "1")]
    pub trust_domain: String,
    /// All of its roots, in DER.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub bundle: Vec<Vec<u8>>,
    /// Names this bundle.
    #[prost(string, tag = "3")]
    pub version: String,
    /// When to replace the certificate that is held, in seconds since 1970.
    #[prost(int64, tag = "4")]
    pub renew_at: i64,
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _};

    use super::*;

    /// What the description says that a message of ours is.
    fn described(pool: &DescriptorPool, name: &str, message: &impl Message) -> String {
        let full = format!("heddle.identity.v1.{name}");
        let descriptor = pool.get_message_by_name(&full).expect("it is described");
        let bytes = message.encode_to_vec();
        let read = DynamicMessage::decode(descriptor, bytes.as_slice()).expect("it is readable");
        assert_eq!(
            read.unknown_fields().count(),
            0,
            "{name} has undescribed fields"
        );
        assert_eq!(
            read.fields().count(),
            read.descriptor().fields().count(),
            "{name} leaves fields out"
        );
        read.fields().fold(String::new(), |text, (field, value)| {
            text + &format!("{}={value:?};", field.name())
        })
    }

    #[test]
    fn the_messages_are_those_that_the_description_promises() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("set");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let protoc = protoc_bin_vendored::protoc_bin_path().expect("protoc");
        let status = Command::new(protoc)
            .arg("-I")
            .arg(&root)
            .arg(format!("--descriptor_set_out={}", out.display()))
            .arg("heddle/identity/v1/certificates.proto")
            .status();
        assert!(status.expect("protoc runs").success());
        let bytes = std::fs::read(&out).expect("a set");
        let pool = DescriptorPool::decode(bytes.as_slice()).expect("a set");

        let caller = Caller {
            proxy: "p".to_owned(),
            service: "s".to_owned(),
        };
        let text = described(&pool, "Caller", &caller);
        assert_eq!(text, r#"proxy=String("p");service=String("s");"#);
        let issue = IssueRequest {
            caller: Some(caller.clone()),
            request: vec![1],
            watches: true,
        };
        described(&pool, "IssueRequest", &issue);
        let issued = IssueResponse {
            spiffe_id: "id".to_owned(),
            chain: vec![vec![1]],
            bundle: vec![vec![2]],
            trust_domain: "td".to_owned(),
            serial: "5e".to_owned(),
            not_after: 6,
            renew_at: 7,
            version: "v".to_owned(),
        };
        let text = described(&pool, "IssueResponse", &issued);
        assert!(
            text.contains("not_after=I64(6);renew_at=I64(7);") && text.contains("serial=String"),
            "{text}"
        );
        let watch = WatchRequest {
            caller: Some(caller),
            serial: "5e".to_owned(),
            version: "v".to_owned(),
        };
        described(&pool, "WatchRequest", &watch);
        let seen = WatchResponse {
            trust_domain: "td".to_owned(),
            bundle: vec![vec![2]],
            version: "v".to_owned(),
            renew_at: 7,
        };
        described(&pool, "WatchResponse", &seen);

        let service = pool.get_service_by_name("heddle.identity.v1.Certificates");
        let service = service.expect("the service");
        let calls: Vec<String> = service
            .methods()
            .map(|method| format!("/{}/{}", service.full_name(), method.name()))
            .collect();
        assert_eq!(calls, [call::ISSUE, call::WATCH]);
    }
}
