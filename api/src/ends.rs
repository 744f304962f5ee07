//! The two ends of a connection, and which names of this server a request may be believed.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::serve::IncomingStream;
use tokio::net::TcpListener;

/// Where a request came from, and where it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The client, or whatever stands before this process.
    pub(crate) peer: SocketAddr,
    /// The address of this machine that it reached.
    pub(crate) local: Option<SocketAddr>,
}

impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self {
            peer: *stream.remote_addr(),
            local: stream.io().local_addr().ok(),
        }
    }
}

impl Ends {
    /// Those of a request, when it came over a connection.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        let ends = parts.extensions.get::<ConnectInfo<Self>>();
        ends.map(|ConnectInfo(ends)| *ends)
    }

    /// The origin of this server for whoever sent a request: what its `Host` says, if that names this very machine, and otherwise
    /// where the request arrived. Any other name is only said by the client, and would stand in what people click on.
    pub(crate) fn origin(self, headers: &HeaderMap) -> Option<String> {
        let host = headers.get(header::HOST).and_then(|v| v.to_str().ok());
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        let host = host.filter(|host| self.is_ours(host));
        match host {
            Some(host) => Some(format!("http://{host}")),
            None => self.local.map(|local| format!("http://{local}")),
        }
    }

    fn is_ours(self, host: &Authority) -> bool {
        // Nobody's name, however the rest looks.
        if host.as_str().contains('@') {
            return false;
        }
        let name = host.host();
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        match bare.unwrap_or(name).parse::<IpAddr>() {
            Ok(ip) => {
                let ip = ip.to_canonical();
                let local = self.local.map(|local| local.ip().to_canonical());
                // From the same machine, also through a port that is handed on.
                ip.is_loopback() || Some(ip) == local
            }
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn origin(local: &str, host: &str) -> Option<String> {
        let ends = Ends {
            peer: "192.0.2.7:5000".parse().unwrap(),
            local: Some(local.parse().unwrap()),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        ends.origin(&headers)
    }

    #[test]
    fn sec_w10_a_name_that_only_the_client_says_is_not_believed() {
        let local = "10.0.0.5:8080";
        for ours in [
            "10.0.0.5:8080",
            "10.0.0.5",
            "localhost:9000",
            "LOCALHOST",
            "127.0.0.1:9000",
            "[::1]:8080",
            "[::ffff:10.0.0.5]:80",
        ] {
            assert_eq!(origin(local, ours), Some(format!("http://{ours}")));
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "10.0.0.6:8080",
            "10.0.0.5.evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.5:8080@evil.example",
            "localhost/evil",
            "[::1",
            "",
        ] {
            assert_eq!(
                origin(local, foreign).as_deref(),
                Some("http://10.0.0.5:8080"),
                "{foreign}"
            );
        }
        assert_eq!(
            origin("[fd00::5]:8080", "evil.example").as_deref(),
            Some("http://[fd00::5]:8080")
        );
    }
}
