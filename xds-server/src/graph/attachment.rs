//! A stream's place in its mesh.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use heddle_model::id::ProxyId;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Command, Ended, Published, Refused};

/// What a stream gets from its mesh. Its place there is given back when this goes.
pub(crate) struct Attachment {
    pub(crate) proxy: ProxyId,
    /// Counts the streams of the mesh.
    pub(crate) generation: u64,
    pub(crate) views: watch::Receiver<Option<Published>>,
    pub(crate) end: oneshot::Receiver<Ended>,
    /// What the proxy refused on its last stream.
    pub(crate) refused: Vec<Refused>,
    pub(crate) mesh: mpsc::Sender<Command>,
    /// The responses that streams of the mesh have sent and nobody was told of.
    pub(crate) sent: Arc<AtomicU64>,
    /// The place was given back.
    pub(crate) left: bool,
}

impl Attachment {
    fn detach(&self, stopping: bool) -> Command {
        Command::Detach {
            proxy: self.proxy,
            generation: self.generation,
            stopping,
        }
    }

    /// Gives the place back. `stopping`: only because this server stops.
    pub(crate) async fn leave(&mut self, stopping: bool) {
        // A mesh that has ended needs to know nothing.
        let _ended = self.mesh.send(self.detach(stopping)).await;
        self.left = true;
    }
}

impl Drop for Attachment {
    /// The request was broken off before its stream had begun, or that came to no good end.
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let detach = self.detach(false);
        if let Err(mpsc::error::TrySendError::Full(detach)) = self.mesh.try_send(detach)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let mesh = self.mesh.clone();
            runtime.spawn(async move { mesh.send(detach).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_place_is_given_back_once_whatever_becomes_of_its_stream() {
        let (mesh, mut inbox) = mpsc::channel(1);
        let place = |generation| Attachment {
            proxy: ProxyId::from_uuid(Uuid::from_u128(7)),
            generation,
            views: watch::channel(None).1,
            end: oneshot::channel().1,
            refused: Vec::new(),
            mesh: mesh.clone(),
            sent: Arc::default(),
            left: false,
        };
        // For the second there is no room when it goes.
        drop([place(1), place(2)]);
        for expected in [(1, false), (2, false)] {
            let Some(Command::Detach {
                generation,
                stopping,
                ..
            }) = inbox.recv().await
            else {
                panic!("it is given back");
            };
            assert_eq!((generation, stopping), expected);
        }
        let mut left = place(3);
        left.leave(true).await;
        drop(left);
        let told = inbox.recv().await;
        assert!(matches!(told, Some(Command::Detach { stopping: true, .. })));
        tokio::task::yield_now().await;
        assert!(inbox.try_recv().is_err());
    }
}
