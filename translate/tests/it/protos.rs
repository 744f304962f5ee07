//! Encoded resources as JSON for people and for Envoy, by the descriptors of the `.proto` files that the
//! `envoy-types` package carries.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use heddle_translate::Resource;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

/// Files whose messages stand inside an `Any`; what they import comes along.
const FILES: [&str; 19] = [
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/extensions/access_loggers/file/v3/file.proto",
    "envoy/extensions/access_loggers/open_telemetry/v3/logs_service.proto",
    "envoy/extensions/access_loggers/stream/v3/stream.proto",
    "envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto",
    "envoy/extensions/filters/http/health_check/v3/health_check.proto",
    "envoy/extensions/filters/http/jwt_authn/v3/config.proto",
    "envoy/extensions/filters/http/rbac/v3/rbac.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
    "envoy/extensions/rbac/principals/mtls_authenticated/v3/mtls_authenticated.proto",
    "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
];

fn envoy_types() -> PathBuf {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .other_options([
            "--offline".to_owned(),
            "--filter-platform=host-tuple".to_owned(),
        ])
        .exec()
        .unwrap();
    let package = metadata.packages.iter().find(|p| *p.name == "envoy-types");
    let manifest = package.unwrap().manifest_path.as_std_path();
    manifest.parent().unwrap().to_owned()
}

fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let protos = envoy_types().join("proto");
        let directory = tempfile::tempdir().unwrap();
        let descriptors = directory.path().join("descriptors.bin");
        let mut protoc = Command::new(protoc_bin_vendored::protoc_bin_path().unwrap());
        protoc.arg("--include_imports");
        protoc.arg(format!("--descriptor_set_out={}", descriptors.display()));
        protoc.arg(format!(
            "--proto_path={}",
            protoc_bin_vendored::include_path().unwrap().display()
        ));
        for root in std::fs::read_dir(&protos).unwrap() {
            let root = root.unwrap().path();
            // One of the packages keeps its files a level below.
            let nested = root.join("proto");
            let root = if nested.is_dir() { nested } else { root };
            protoc.arg(format!("--proto_path={}", root.display()));
        }
        let output = protoc.args(FILES).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        DescriptorPool::decode(std::fs::read(&descriptors).unwrap().as_slice()).unwrap()
    })
}

/// A message by its full name.
pub(crate) fn decode(name: &str, bytes: bytes::Bytes) -> DynamicMessage {
    let descriptor = pool().get_message_by_name(name).unwrap();
    DynamicMessage::decode(descriptor, bytes).unwrap()
}

/// A resource as JSON, with `@type`; keys sorted, defaults left out.
pub(crate) fn json(resource: &Resource) -> Value {
    let any = pool().get_message_by_name("google.protobuf.Any").unwrap();
    let message = DynamicMessage::decode(any, resource.body.clone()).unwrap();
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(true);
    let value = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .unwrap();
    sorted(value)
}

/// Objects in the order of their keys: those of a protobuf map have none of their own.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            let entries = entries.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(entries.collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}
