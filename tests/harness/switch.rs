//! What stands before several servers: passes each connection on to one of those that take it, in turn.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A balancer of TCP connections. Dropping it ends them.
pub struct Switch {
    port: u16,
    targets: Arc<Mutex<Vec<u16>>>,
    task: JoinHandle<()>,
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Switch {
    /// Listens, with nobody behind it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let targets = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, Arc::clone(&targets)));
        Self {
            port,
            targets,
            task,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Passes new connections on to these ports only.
    pub fn only(&self, ports: &[u16]) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        *targets = ports.to_vec();
    }
}

async fn accept(listener: TcpListener, targets: Arc<Mutex<Vec<u16>>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut from, _)) = listener.accept().await {
        let order = {
            let mut targets = targets.lock().unwrap_or_else(PoisonError::into_inner);
            if !targets.is_empty() {
                targets.rotate_left(1);
            }
            targets.clone()
        };
        connections.spawn(async move {
            for port in order {
                if let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                    let _ended = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                    return;
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
