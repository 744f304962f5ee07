//! Waiting for something to become true, with an end.

use std::time::{Duration, Instant};

/// Polls until `check` holds. Panics with `what` after `deadline`.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, deadline: Duration, mut check: F) {
    until_some(what, deadline, async || check().await.then_some(())).await;
}

/// Polls until `check` yields a value. Panics with `what` after `deadline`.
pub async fn until_some<T, F: AsyncFnMut() -> Option<T>>(
    what: &str,
    deadline: Duration,
    mut check: F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(
            started.elapsed() < deadline,
            "waited {deadline:?} for: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
