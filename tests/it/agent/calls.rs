//! The calls of the Workload API, as raw as they are.

use std::collections::HashMap;
use std::path::Path;

use prost::Message;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Svid {
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) bundle: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Svids {
    #[prost(message, repeated, tag = "1")]
    pub(crate) svids: Vec<Svid>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Bundles {
    #[prost(map = "string, bytes", tag = "2")]
    pub(crate) bundles: HashMap<String, Vec<u8>>,
}

/// Asks, with this metadata; the first message and the rest.
pub(crate) async fn ask<R: Message + Default + 'static>(
    socket: &Path,
    path: &'static str,
    metadata: Option<&'static str>,
) -> Result<Streaming<R>, Status> {
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).unwrap();
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let mut request = Request::new(Empty {});
    if let Some(value) = metadata {
        let value = value.parse().unwrap();
        request.metadata_mut().insert("workload.spiffe.io", value);
    }
    let codec = tonic_prost::ProstCodec::<Empty, R>::default();
    let answer = grpc.server_streaming(request, path.parse().unwrap(), codec);
    Ok(answer.await?.into_inner())
}

/// Follows what this host's workload is.
pub(crate) async fn follow(socket: &Path) -> Streaming<Svids> {
    let path = "/SpiffeWorkloadAPI/FetchX509SVID";
    ask(socket, path, Some("true")).await.unwrap()
}

/// What it is now.
pub(crate) async fn svid(socket: &Path) -> Result<Svids, Status> {
    let message = follow(socket).await.message().await?;
    Ok(message.unwrap())
}
