//! Asks the server.

use std::path::PathBuf;
use std::time::Duration;

use heddle_identity::{
    Caller, IssueRequest, IssueResponse, WatchRequest, WatchResponse, call as path,
};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;
use zeroize::Zeroizing;

use crate::error::Error;

/// How long connecting, and then an answer, may take.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);
/// How often a silent server is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_WAIT: Duration = Duration::from_secs(10);

/// Where an agent asks, and by what right.
#[derive(Debug)]
pub struct Server {
    /// `HOST:PORT` of the xDS server.
    pub address: String,
    /// What its certificate is checked against, in PEM.
    pub ca_pem: String,
    /// The name that its certificate has, when that is not the host's.
    pub name: Option<String>,
    /// The join token.
    pub token: Token,
}

/// Where the join token is.
pub enum Token {
    /// In a file, which is read for each call: to replace the token, replace the file.
    File(PathBuf),
    /// Here.
    Inline(Zeroizing<String>),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline(_) => f.write_str("Inline(redacted)"),
        }
    }
}

impl Token {
    fn header(&self) -> Result<MetadataValue<Ascii>, Error> {
        let text = match self {
            Self::Inline(text) => text.clone(),
            Self::File(path) => {
                Zeroizing::new(std::fs::read_to_string(path).map_err(|source| Error::Read {
                    what: "the join token",
                    path: path.clone(),
                    source,
                })?)
            }
        };
        let text = text.trim();
        if let (Self::File(path), true) = (self, text.is_empty()) {
            return Err(Error::Content {
                what: "join token",
                path: path.clone(),
            });
        }
        let mut value: MetadataValue<Ascii> = Zeroizing::new(format!("Bearer {text}"))
            .parse()
            .map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The server, for one proxy.
pub(crate) struct Control {
    channel: Channel,
    address: String,
    token: Token,
    caller: Caller,
}

impl Control {
    /// Connects when something is to be said.
    pub(crate) fn new(server: Server, proxy: String, service: String) -> Result<Self, Error> {
        let address = || Error::Address(server.address.clone());
        let uri: http::Uri = format!("https://{}", server.address)
            .parse()
            .map_err(|_| address())?;
        let (Some(host), Some(_)) = (uri.host(), uri.port_u16()) else {
            return Err(address());
        };
        let name = server
            .name
            .unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned());
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&server.ca_pem))
            .domain_name(name);
        let endpoint = Endpoint::from(uri)
            .tls_config(tls)
            .map_err(|_| {
                Error::Senseless("what the server's certificate is checked against is no PEM")
            })?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT)
            .keep_alive_while_idle(true);
        // Said at once when it cannot be used.
        server.token.header()?;
        Ok(Self {
            channel: endpoint.connect_lazy(),
            address: server.address,
            token: server.token,
            caller: Caller { proxy, service },
        })
    }

    /// A certificate for the key of a request; `watches`: whether it will be said by a watch that it is held.
    pub(crate) async fn issue(
        &self,
        request: Vec<u8>,
        watches: bool,
    ) -> Result<IssueResponse, Error> {
        let asked = self.asked(IssueRequest {
            caller: Some(self.caller.clone()),
            request,
            watches,
        })?;
        let call = async {
            let mut grpc = self.ready().await?;
            let codec = ProstCodec::default();
            let path = PathAndQuery::from_static(path::ISSUE);
            let answer = grpc.unary(asked, path, codec).await;
            answer.map_err(|status| Error::status(&self.address, &status))
        };
        Ok(self.in_time(call).await?.into_inner())
    }

    /// What to trust, now and whenever that changes; `serial` and `version` are what is held.
    pub(crate) async fn watch(
        &self,
        serial: String,
        version: String,
    ) -> Result<Streaming<WatchResponse>, Error> {
        let asked = self.asked(WatchRequest {
            caller: Some(self.caller.clone()),
            serial,
            version,
        })?;
        let call = async {
            let mut grpc = self.ready().await?;
            let codec = ProstCodec::default();
            let path = PathAndQuery::from_static(path::WATCH);
            let answer = grpc.server_streaming(asked, path, codec).await;
            answer.map_err(|status| Error::status(&self.address, &status))
        };
        Ok(self.in_time(call).await?.into_inner())
    }

    /// What the end of a stream means.
    pub(crate) fn ended(&self, status: &tonic::Status) -> Error {
        Error::status(&self.address, status)
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Error> {
        let mut grpc = Grpc::new(self.channel.clone());
        let ready = grpc.ready().await;
        ready.map_err(|error| {
            Error::status(&self.address, &tonic::Status::from_error(Box::new(error)))
        })?;
        Ok(grpc)
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let late = || Error::Away {
            server: self.address.clone(),
            why: "it did not answer in time".to_owned(),
        };
        let outcome = tokio::time::timeout(ANSWER, call).await;
        outcome.unwrap_or_else(|_| Err(late()))
    }

    fn asked<M: Message>(&self, message: M) -> Result<Request<M>, Error> {
        let mut request = Request::new(message);
        let token = self.token.header()?;
        request.metadata_mut().insert("authorization", token);
        Ok(request)
    }
}
