//! The SPIFFE Workload API, X.509 profile: who an application is, and whom to trust (`proto/workload.proto`, from the standard).
//!
//! Nobody is asked who he is: whoever may open the socket is the workload of this host (S40). The service is not extended, and what the
//! standard has beside X.509 is not implemented (S43).

use std::collections::BTreeMap;

use futures::future::{BoxFuture, Ready, ready};
use futures::stream::BoxStream;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::given::{Given, Identity};

/// What every call must carry: something that no browser and no redirected request sends by itself.
const HEADER: &str = "workload.spiffe.io";

/// Of both calls.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Empty {}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct X509Svid {
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) hint: String,
}

impl std::fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "X509Svid({})", self.spiffe_id)
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct X509SvidResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) svids: Vec<X509Svid>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) crl: Vec<Vec<u8>>,
    #[prost(btree_map = "string, bytes", tag = "3")]
    pub(crate) federated_bundles: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct X509BundlesResponse {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) crl: Vec<Vec<u8>>,
    #[prost(btree_map = "string, bytes", tag = "2")]
    pub(crate) bundles: BTreeMap<String, Vec<u8>>,
}

impl From<&Identity> for X509SvidResponse {
    fn from(identity: &Identity) -> Self {
        let svid = X509Svid {
            spiffe_id: identity.spiffe_id.clone(),
            x509_svid: identity.chain.concat(),
            x509_svid_key: identity.key.to_vec(),
            bundle: identity.bundle.roots.concat(),
            hint: String::new(),
        };
        Self {
            svids: vec![svid],
            ..Self::default()
        }
    }
}

impl From<&Identity> for X509BundlesResponse {
    fn from(identity: &Identity) -> Self {
        let of = format!("spiffe://{}", identity.bundle.trust_domain);
        Self {
            crl: Vec::new(),
            bundles: [(of, identity.bundle.roots.concat())].into(),
        }
    }
}

/// The service.
#[derive(Clone)]
pub(crate) struct WorkloadApi {
    given: Given,
    shutdown: CancellationToken,
}

impl WorkloadApi {
    pub(crate) fn new(given: Given, shutdown: CancellationToken) -> Self {
        Self { given, shutdown }
    }

    pub(crate) async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        // Also for what is not implemented: a call that comes by mistake learns nothing.
        let marked = request.headers().get(HEADER);
        if marked.is_none_or(|value| value != "true") {
            let what = "the metadata `workload.spiffe.io: true` is missing";
            return Status::invalid_argument(what).into_http();
        }
        match request.uri().path() {
            "/SpiffeWorkloadAPI/FetchX509SVID" => self.stream::<X509SvidResponse>(request).await,
            "/SpiffeWorkloadAPI/FetchX509Bundles" => {
                self.stream::<X509BundlesResponse>(request).await
            }
            _ => Status::unimplemented("only X.509 is served here").into_http(),
        }
    }

    async fn stream<R>(self, request: http::Request<Body>) -> http::Response<Body>
    where
        R: Message + Default + PartialEq + Clone + for<'a> From<&'a Identity> + 'static,
    {
        let told = Told {
            given: self.given,
            shutdown: self.shutdown,
            last: None,
        };
        let mut grpc = Grpc::new(ProstCodec::<R, Empty>::default());
        grpc.server_streaming(Stream(Some(told)), request).await
    }
}

/// A call that is answered with a stream, as the server of tonic wants it.
struct Stream<R>(Option<Told<R>>);

impl<R> ServerStreamingService<Empty> for Stream<R>
where
    R: PartialEq + Clone + Send + Sync + for<'a> From<&'a Identity> + 'static,
{
    type Response = R;
    type ResponseStream = BoxStream<'static, Result<R, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<Empty>) -> Self::Future {
        let told = futures::stream::unfold(self.0.take(), |told| async {
            let mut told = told?;
            match told.next().await {
                Ok(response) => Some((Ok(response), Some(told))),
                Err(status) => Some((Err(status), None)),
            }
        });
        ready(Ok(Response::new(Box::pin(told) as _)))
    }
}

/// What somebody was told last.
struct Told<R> {
    given: Given,
    shutdown: CancellationToken,
    last: Option<R>,
}

impl<R> Told<R>
where
    R: PartialEq + Clone + for<'a> From<&'a Identity>,
{
    /// Everything, at once and again whenever some of it has changed (S41).
    async fn next(&mut self) -> Result<R, Status> {
        loop {
            let identity = self.given.borrow_and_update().clone();
            let Some(identity) = identity else {
                return Err(Status::permission_denied(
                    "there is no identity on this host",
                ));
            };
            let now = R::from(&identity);
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                return Ok(now);
            }
            let changed: BoxFuture<'_, _> = Box::pin(self.given.changed());
            tokio::select! {
                changed = changed => changed.map_err(|_| ending())?,
                () = self.shutdown.cancelled() => return Err(ending()),
            }
        }
    }
}

fn ending() -> Status {
    Status::unavailable("the agent ends; connect again")
}
