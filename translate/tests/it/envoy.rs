//! Real Envoys: the oldest and the newest that are supported, and our resources as a static configuration, so that
//! an Envoy can judge and run them without a control plane.

use std::path::{Path, PathBuf};
use std::process::Command;

use heddle_translate::{Resource, ResourceType, naming};
use rcgen::SanType;
use serde_json::{Map, Value, json};

use crate::case::TRUST_DOMAIN;
use crate::protos;

/// The binaries that `make setup` puts in the repository: the oldest and the newest, or the one from between that
/// `HEDDLE_TEST_ENVOY` (such as `1.38`) names: `make test-envoys`.
pub(crate) fn binaries() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let of = |venv: &str| {
        let lib = root.join(".tools").join(venv).join("lib");
        let python = std::fs::read_dir(&lib).ok()?.next()?.ok()?.path();
        let binary = python.join("site-packages/envoy/_bin/envoy");
        binary.is_file().then_some(binary)
    };
    let venvs = std::env::var_os("HEDDLE_TEST_ENVOY").map_or_else(
        || vec![String::from("venv-oldest"), String::from("venv")],
        |version| vec![format!("venv-{}", version.display())],
    );
    venvs
        .into_iter()
        .map(|venv| {
            of(&venv).unwrap_or_else(|| panic!("no Envoy in .tools/{venv}: run make setup"))
        })
        .collect()
}

/// Panics with Envoy's complaint if one of the supported versions refuses the configuration.
pub(crate) fn assert_accepted(what: &str, bootstrap: &Value) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("envoy.json");
    std::fs::write(&path, serde_json::to_vec_pretty(bootstrap).unwrap()).unwrap();
    for binary in binaries() {
        let output = Command::new(&binary)
            .args(["--mode", "validate", "--log-level", "error", "-c"])
            .arg(&path)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{what}: {} refuses it:\n{complaint}",
            binary.display()
        );
    }
}

/// A throw-away authority with one leaf: what SDS would bring.
pub(crate) struct Identity {
    pub(crate) roots_pem: String,
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
}

impl Identity {
    /// A leaf for this SPIFFE id, which its own root signed.
    pub(crate) fn of(spiffe_id: &str) -> Self {
        Self::family(&[spiffe_id]).remove(0)
    }

    /// A leaf for each of these SPIFFE ids, which one root signed.
    pub(crate) fn family(spiffe_ids: &[&str]) -> Vec<Self> {
        let uri = |id: &&str| vec![SanType::URI((*id).try_into().unwrap())];
        Self::named(&spiffe_ids.iter().map(uri).collect::<Vec<_>>())
    }

    /// A leaf for each of these lists of names, which one root signed.
    pub(crate) fn named(names: &[Vec<SanType>]) -> Vec<Self> {
        use rcgen::{
            BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose,
        };
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let leaf = |names: &Vec<SanType>| {
            let mut leaf = CertificateParams::new(Vec::new()).unwrap();
            leaf.subject_alt_names.clone_from(names);
            leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            let key = KeyPair::generate().unwrap();
            let leaf = leaf.signed_by(&key, &root).unwrap();
            Self {
                roots_pem: root.pem(),
                chain_pem: leaf.pem(),
                key_pem: key.serialize_pem(),
            }
        };
        names.iter().map(leaf).collect()
    }

    /// A leaf for a service of the cases' trust domain.
    pub(crate) fn of_service(service: &str) -> Self {
        Self::of(&naming::spiffe_id(TRUST_DOMAIN, &service.parse().unwrap()))
    }

    pub(crate) fn secrets(&self) -> [Resource; 2] {
        [
            heddle_translate::identity_secret(&self.chain_pem, &self.key_pem, "01"),
            heddle_translate::trust_secret(&self.roots_pem),
        ]
    }
}

fn message(resource: &Resource) -> Value {
    let mut value = protos::json(resource);
    value.as_object_mut().unwrap().remove("@type");
    value
}

/// The same resources without a control plane: what a listener, cluster or TLS context would ask for stands in its
/// place.
pub(crate) fn static_bootstrap(resources: &[Resource], identity: &Identity) -> Value {
    let named = |kind: ResourceType| -> Map<String, Value> {
        resources
            .iter()
            .filter(|resource| resource.kind == kind)
            .map(|resource| (resource.name.clone(), message(resource)))
            .collect()
    };
    let (routes, assignments) = (named(ResourceType::Route), named(ResourceType::Endpoints));
    let inline = |mut value: Value| {
        replace(&mut value, &routes, &assignments);
        value
    };
    let of = |kind| named(kind).into_iter().map(|(_, value)| inline(value));
    let secrets: Vec<Value> = identity.secrets().iter().map(message).collect();
    json!({
        "node": {"id": "test", "cluster": "test"},
        "static_resources": {
            "listeners": of(ResourceType::Listener).collect::<Vec<_>>(),
            "clusters": of(ResourceType::Cluster).collect::<Vec<_>>(),
            "secrets": secrets,
        },
    })
}

fn replace(value: &mut Value, routes: &Map<String, Value>, assignments: &Map<String, Value>) {
    if let Value::Array(values) = value {
        for value in values {
            replace(value, routes, assignments);
        }
        return;
    }
    let Value::Object(object) = value else { return };
    if let Some(rds) = object.remove("rds") {
        let name = rds["route_config_name"].as_str().unwrap();
        object.insert("route_config".to_owned(), routes[name].clone());
    }
    if object.remove("eds_cluster_config").is_some() {
        let name = object["name"].as_str().unwrap();
        let assignment = assignments[name].clone();
        object.insert("load_assignment".to_owned(), assignment);
        object.insert("type".to_owned(), json!("STATIC"));
    }
    // A secret that is asked for by name alone is looked up among the static ones.
    object.remove("sds_config");
    for value in object.values_mut() {
        replace(value, routes, assignments);
    }
}
