//! Envoy's SDS: certificate and roots under the names that Heddle gives them everywhere, `heddle/identity` and `heddle/trust`.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::SecretDiscoveryService;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::rpc;
use futures::Stream;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::given::{Given, Identity};
use crate::pem;

const TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const IDENTITY: &str = "heddle/identity";
const TRUST: &str = "heddle/trust";
/// How many names one stream may ask for: there are two.
const NAMES: usize = 64;

/// One secret, encoded.
struct Encoded {
    version: String,
    any: Any,
}

fn source(text: String) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineBytes(text.into_bytes())),
        ..DataSource::default()
    })
}

/// A secret by its name.
fn secret(name: &str, identity: &Identity) -> Option<Encoded> {
    let (version, content) = match name {
        IDENTITY => {
            let certificate = TlsCertificate {
                certificate_chain: source(pem::certificates(&identity.chain)),
                private_key: source(pem::block("PRIVATE KEY", &identity.key).to_string()),
                ..TlsCertificate::default()
            };
            (identity.serial.clone(), Type::TlsCertificate(certificate))
        }
        TRUST => {
            let context = CertificateValidationContext {
                trusted_ca: source(pem::certificates(&identity.bundle.roots)),
                ..CertificateValidationContext::default()
            };
            let version = identity.bundle.version();
            (version, Type::ValidationContext(context))
        }
        _ => return None,
    };
    let secret = Secret {
        name: name.to_owned(),
        r#type: Some(content),
    };
    let any = Any {
        type_url: TYPE.to_owned(),
        value: secret.encode_to_vec(),
    };
    Some(Encoded { version, any })
}

/// The service.
#[derive(Clone)]
pub(crate) struct Secrets {
    given: Given,
    shutdown: CancellationToken,
}

impl Secrets {
    pub(crate) fn new(given: Given, shutdown: CancellationToken) -> Self {
        Self { given, shutdown }
    }
}

/// One stream: which secrets are wanted, and what was sent of them.
struct Course<M> {
    secrets: Secrets,
    inbound: Streaming<M>,
    wanted: BTreeSet<String>,
    /// Versions by name.
    sent: BTreeMap<String, String>,
    nonce: u64,
}

/// What a stream waits for.
enum Wake<M> {
    Said(M),
    Changed,
}

impl<M> Course<M> {
    fn new(secrets: &Secrets, inbound: Streaming<M>) -> Self {
        Self {
            secrets: secrets.clone(),
            inbound,
            wanted: BTreeSet::new(),
            sent: BTreeMap::new(),
            nonce: 0,
        }
    }

    /// `None`: the Envoy has gone.
    async fn wake(&mut self) -> Result<Option<Wake<M>>, Status> {
        tokio::select! {
            said = self.inbound.message() => Ok(said?.map(Wake::Said)),
            changed = self.secrets.given.changed() => match changed {
                Ok(()) => Ok(Some(Wake::Changed)),
                Err(_) => Err(ending()),
            },
            () = self.secrets.shutdown.cancelled() => Err(ending()),
        }
    }

    fn next_nonce(&mut self) -> String {
        self.nonce += 1;
        self.nonce.to_string()
    }

    /// Everything that is wanted and there. Without an identity nothing is, and the Envoy waits for it.
    fn there(&mut self) -> Option<Vec<(String, Encoded)>> {
        let identity = self.secrets.given.borrow_and_update().clone()?;
        let encoded = |name: &String| Some((name.clone(), secret(name, &identity)?));
        Some(self.wanted.iter().filter_map(encoded).collect())
    }

    fn note(&mut self, there: &[(String, Encoded)]) {
        let sent = there
            .iter()
            .map(|(name, one)| (name.clone(), one.version.clone()));
        self.sent = sent.collect();
    }

    fn is_news(&self, there: &[(String, Encoded)]) -> bool {
        let differs = |(name, one): &(String, Encoded)| self.sent.get(name) != Some(&one.version);
        there.iter().any(differs)
    }
}

impl Course<DiscoveryRequest> {
    async fn next(&mut self) -> Result<Option<DiscoveryResponse>, Status> {
        loop {
            let Some(wake) = self.wake().await? else {
                return Ok(None);
            };
            if let Wake::Said(said) = wake {
                refused(said.error_detail.as_ref());
                let wanted: BTreeSet<String> = said.resource_names.into_iter().collect();
                if wanted.len() > NAMES {
                    return Err(Status::resource_exhausted("too many names"));
                }
                if wanted != self.wanted {
                    self.wanted = wanted;
                    self.sent.clear();
                }
            }
            let Some(there) = self.there() else {
                continue;
            };
            if !self.is_news(&there) {
                continue;
            }
            self.note(&there);
            let versions: Vec<&str> = there.iter().map(|(_, one)| one.version.as_str()).collect();
            return Ok(Some(DiscoveryResponse {
                version_info: versions.join("/"),
                type_url: TYPE.to_owned(),
                nonce: self.next_nonce(),
                resources: there.into_iter().map(|(_, one)| one.any).collect(),
                ..DiscoveryResponse::default()
            }));
        }
    }
}

impl Course<DeltaDiscoveryRequest> {
    async fn next(&mut self) -> Result<Option<DeltaDiscoveryResponse>, Status> {
        loop {
            let Some(wake) = self.wake().await? else {
                return Ok(None);
            };
            let mut unknown = Vec::new();
            if let Wake::Said(said) = wake {
                refused(said.error_detail.as_ref());
                for name in said.resource_names_subscribe {
                    // Repeating a name asks for it again.
                    self.sent.remove(&name);
                    if !matches!(name.as_str(), IDENTITY | TRUST) {
                        unknown.push(name);
                    } else {
                        self.wanted.insert(name);
                    }
                }
                if unknown.len() > NAMES {
                    return Err(Status::resource_exhausted("too many names"));
                }
                for name in said.resource_names_unsubscribe {
                    self.wanted.remove(&name);
                    self.sent.remove(&name);
                }
            }
            let there = self.there().unwrap_or_default();
            if !self.is_news(&there) && unknown.is_empty() {
                continue;
            }
            let sent = std::mem::take(&mut self.sent);
            self.note(&there);
            let news = there
                .into_iter()
                .filter(|(name, one)| sent.get(name) != Some(&one.version));
            let resources = news.map(|(name, one)| Resource {
                name,
                version: one.version,
                resource: Some(one.any),
                ..Resource::default()
            });
            return Ok(Some(DeltaDiscoveryResponse {
                type_url: TYPE.to_owned(),
                resources: resources.collect(),
                removed_resources: unknown,
                nonce: self.next_nonce(),
                ..DeltaDiscoveryResponse::default()
            }));
        }
    }
}

/// What an Envoy does not take is its own matter, and said here.
fn refused(detail: Option<&rpc::Status>) {
    if let Some(detail) = detail {
        let message: String = detail
            .message
            .chars()
            .take(500)
            .flat_map(char::escape_debug)
            .collect();
        tracing::warn!(message, "the Envoy refuses what it was given");
    }
}

fn ending() -> Status {
    Status::unavailable("the agent ends; connect again")
}

type Responses<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

#[tonic::async_trait]
impl SecretDiscoveryService for Secrets {
    type DeltaSecretsStream = Responses<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Responses<DiscoveryResponse>;

    async fn delta_secrets(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        let course = Course::new(self, request.into_inner());
        let told = futures::stream::unfold(Some(course), |course| async {
            let mut course = course?;
            match course.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(course))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let course = Course::new(self, request.into_inner());
        let told = futures::stream::unfold(Some(course), |course| async {
            let mut course = course?;
            match course.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(course))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn fetch_secrets(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("only streams are served here"))
    }
}
