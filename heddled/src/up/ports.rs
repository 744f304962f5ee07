//! Which addresses to listen on: what was asked for is binding, defaults give way.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

/// How long a busy address may take to become free: what was killed a moment ago still holds it.
const GIVE_WAY: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An address, and whether it differs from the default because that was busy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) address: SocketAddr,
    pub(crate) moved: bool,
}

/// Picks an address: the one asked for (port 0: any free port there), else last time's, else the default,
/// else the default with a free port.
///
/// # Errors
/// The one asked for is busy or is not an address of this machine.
pub(crate) async fn choose(
    what: &str,
    asked: Option<SocketAddr>,
    last: Option<SocketAddr>,
    default: SocketAddr,
) -> anyhow::Result<Chosen> {
    if let Some(asked) = asked.filter(|asked| asked.port() != 0) {
        if let Err(error) = become_free(&[asked]).await {
            bail!("{what}: cannot listen on {asked}: {error}");
        }
        return Ok(Chosen {
            address: asked,
            moved: false,
        });
    }
    let home = asked.unwrap_or(default);
    if let Some(last) = last.filter(|last| last.ip() == home.ip())
        && become_free(&[last]).await.is_ok()
    {
        return Ok(Chosen {
            address: last,
            moved: false,
        });
    }
    if home.port() != 0 && is_free(home).is_ok() {
        return Ok(Chosen {
            address: home,
            moved: false,
        });
    }
    let free = TcpListener::bind(SocketAddr::new(home.ip(), 0))
        .and_then(|listener| listener.local_addr())
        .with_context(|| format!("{what}: find a free port on {}", home.ip()))?;
    Ok(Chosen {
        address: free,
        moved: home.port() != 0,
    })
}

/// Waits a moment for all of them to be free.
///
/// # Errors
/// Why the first one that is not free is not.
pub(crate) async fn become_free(addresses: &[SocketAddr]) -> std::io::Result<()> {
    let deadline = Instant::now() + GIVE_WAY;
    loop {
        match addresses.iter().try_for_each(|&address| is_free(address)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => return Err(error),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Whether one could listen there now.
///
/// # Errors
/// Why one could not.
pub(crate) fn is_free(address: SocketAddr) -> std::io::Result<()> {
    TcpListener::bind(address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn free() -> SocketAddr {
        busy().1
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_default_gives_way_and_a_busy_wish_does_not() {
        let (_holder, taken) = busy();
        let chosen = choose("api", None, None, taken).await.unwrap();
        assert!(chosen.moved && chosen.address != taken);
        let error = choose("api", Some(taken), None, taken)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("api") && error.contains(&taken.to_string()),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn last_times_address_comes_before_the_default_while_it_is_free() {
        let (default, last) = (free(), free());
        assert_eq!(
            choose("api", None, Some(last), default)
                .await
                .unwrap()
                .address,
            last
        );
        let (_holder, taken) = busy();
        assert_eq!(
            choose("api", None, Some(taken), default)
                .await
                .unwrap()
                .address,
            default
        );
    }

    #[tokio::test]
    async fn port_zero_means_any_and_keeps_last_times() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let chosen = choose("api", Some(any), None, free()).await.unwrap();
        assert!(chosen.address.port() != 0 && !chosen.moved);
        let last = chosen.address;
        assert_eq!(
            choose("api", Some(any), Some(last), free())
                .await
                .unwrap()
                .address,
            last
        );
    }
}
