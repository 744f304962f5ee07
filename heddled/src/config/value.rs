//! Single values: what a text means, and what is refused.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use heddle_ephemeral::Rate;
use heddle_model::quota::Quotas;

/// How many connections the server opens to PostgreSQL unless told otherwise.
const DEFAULT_CONNECTIONS: u32 = 20;

/// Where people reach the server: http or https, nothing after the host and port.
pub(super) fn public_url(url: &str) -> anyhow::Result<String> {
    let bare = url.trim_end_matches('/');
    let host = bare
        .strip_prefix("https://")
        .or_else(|| bare.strip_prefix("http://"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let fits = host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain));
    anyhow::ensure!(
        fits,
        "public_url: {url:?} is not like https://heddle.example.com"
    );
    Ok(bare.to_owned())
}

/// The address to dial for one that listens: `0.0.0.0` and `::` are reached by loopback.
#[must_use]
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Splits `host:port`; an IPv6 host stands in brackets, which are taken off.
///
/// # Errors
/// The text has no host, no port, or a port that is not a number above zero.
pub(crate) fn split_address(address: &str) -> anyhow::Result<(&str, u16)> {
    let wrong = || format!("xds_address: {address:?} is not host:port");
    let (host, port) = address.rsplit_once(':').with_context(wrong)?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port: u16 = port.parse().with_context(wrong)?;
    if host.is_empty() || port == 0 {
        bail!(wrong());
    }
    Ok((host, port))
}

/// One for requests and one that the feed of changes finds free now and then is the least.
pub(super) fn connections(asked: Option<u32>) -> anyhow::Result<u32> {
    match asked.unwrap_or(DEFAULT_CONNECTIONS) {
        number @ 2..=1000 => Ok(number),
        number => bail!("database_connections: {number} is not between 2 and 1000"),
    }
}

pub(super) fn duration(key: &str, text: Option<&str>, default: &str) -> anyhow::Result<Duration> {
    let text = text.unwrap_or(default);
    let parsed: heddle_model::duration::HumanDuration = text
        .parse()
        .map_err(|error| anyhow!("{key}: {text:?}: {error}"))?;
    if key == "leaf_lifetime" && parsed.get() < Duration::from_secs(1) {
        bail!("{key}: {text:?} is shorter than one second");
    }
    Ok(parsed.get())
}

/// The highest rate that can be counted.
const MOST_PER_SECOND: u32 = 100_000;
/// Over how many seconds a rate is an average: so many seconds' worth may come at once.
const WINDOW: u32 = 10;

/// A limit per second; 0 is none.
pub(super) fn rate(key: &str, asked: Option<u32>, default: u32) -> anyhow::Result<Option<Rate>> {
    match asked.unwrap_or(default) {
        0 => Ok(None),
        per_second @ 1..=MOST_PER_SECOND => Ok(Some(Rate {
            per_second,
            burst: per_second * WINDOW,
        })),
        more => bail!("{key}: {more} is not between 0 and {MOST_PER_SECOND}"),
    }
}

/// What organisations may have.
pub(super) fn quotas(text: Option<&str>) -> anyhow::Result<Quotas> {
    let quotas = text.unwrap_or_default().parse();
    quotas.map_err(|error| anyhow!("quotas: {error}"))
}

/// What [`rate`] makes this of.
pub(super) fn per_second(rate: Option<Rate>) -> String {
    rate.map_or(0, |rate| rate.per_second).to_string()
}
