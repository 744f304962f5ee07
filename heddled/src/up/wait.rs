//! Waiting for something to become true: asked again and again, for a bounded time.

use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(20);
const MOST: Duration = Duration::from_millis(500);

/// Asks until there is an answer; pauses grow from 20 ms to 500 ms.
///
/// # Errors
/// The question fails, or `patience` is over; the error then names `what` was waited for.
pub(crate) async fn until<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s in vain until {what}", patience.as_secs());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_answer_the_failure_or_the_time() {
        let mut asked = 0;
        let answer = until("asked thrice", Duration::from_secs(9), async || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        });
        assert_eq!(answer.await.unwrap(), 3);
        let failed = until::<()>("x", Duration::from_secs(9), async || bail!("broken")).await;
        assert_eq!(failed.unwrap_err().to_string(), "broken");
        let late = until::<()>("pigs fly", Duration::from_secs(9), async || Ok(None)).await;
        assert!(late.unwrap_err().to_string().contains("pigs fly"));
    }
}
