//! An HTTP/1.1 connection with nothing above it: what it costs must be little next to what it measures.

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A request that is sent again and again, but for its path and body.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Host and port.
    pub(crate) address: String,
    /// The bearer token.
    pub(crate) token: String,
}

impl Caller {
    /// Opens a connection.
    ///
    /// # Errors
    /// Nobody listens.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            buffer: Vec::with_capacity(1 << 16),
        })
    }

    /// A request as it goes over the wire.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let Self { address, token } = self;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n"
        );
        if !body.is_empty() {
            head.push_str("content-type: application/json\r\n");
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        format!("{head}\r\n{body}").into_bytes()
    }
}

impl Connection {
    /// Sends a request and reads the whole answer; its body's length.
    ///
    /// # Errors
    /// Anything but a success.
    pub(crate) async fn call(&mut self, request: &[u8]) -> anyhow::Result<usize> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.read().await?;
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).context("a head in plain text")?;
        let status = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let length = name.eq_ignore_ascii_case("content-length");
            length.then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.unwrap_or_default();
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        if !status.starts_with('2') {
            let body = String::from_utf8_lossy(&self.buffer[head..]);
            bail!("answered {status}: {body}");
        }
        Ok(length)
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server hung up");
        }
        Ok(())
    }
}
