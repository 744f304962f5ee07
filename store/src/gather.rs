//! Questions that come at the same time share a transaction.
//!
//! A transaction waits for the disk and for whoever else writes to the same mesh; a thousand proxies that join one after the other
//! wait a thousand times. Here whoever comes first goes at once and alone; those who come meanwhile go together. So without
//! load nobody waits for company, and under load the company grows by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// How many go together: long enough that what each adds is its own work, short enough that the first of them does not wait long.
const MOST: usize = 256;

/// How long an answer may take: longer than any statement, and shorter than a connection takes to notice that its other end is gone. All
/// others of the key wait for it.
const PATIENCE: Duration = Duration::from_secs(20);

type Waiting<Q, A> = Vec<(Q, oneshot::Sender<Result<A>>)>;

/// Questions by what they have in common. One answer is under way for each key at a time.
#[derive(Debug)]
pub(crate) struct Gather<K, Q, A> {
    waiting: Arc<Mutex<BTreeMap<K, Waiting<Q, A>>>>,
    /// How long whoever comes first waits for company.
    pause: Duration,
}

impl<K, Q, A> Gather<K, Q, A> {
    /// One in which even the first waits for company: for what nobody waits for.
    pub(crate) fn unhurried(pause: Duration) -> Self {
        Self {
            waiting: Arc::default(),
            pause,
        }
    }
}

impl<K, Q, A> Default for Gather<K, Q, A> {
    fn default() -> Self {
        Self::unhurried(Duration::ZERO)
    }
}

/// Who answers for a key. Gone, by whatever way, another one may begin.
struct Turn<K: Ord, Q, A> {
    waiting: Arc<Mutex<BTreeMap<K, Waiting<Q, A>>>>,
    key: K,
    over: bool,
}

impl<K: Ord, Q, A> Turn<K, Q, A> {
    /// Who waits; nobody ends the turn.
    fn next(&mut self) -> Waiting<Q, A> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = all.get_mut(&self.key) else {
            return Vec::new();
        };
        // Whoever does not wait any more wants nothing done either.
        waiting.retain(|(_, reply)| !reply.is_closed());
        if waiting.is_empty() {
            all.remove(&self.key);
            // Whoever begins from now on is not this one's to end.
            self.over = true;
            return Vec::new();
        }
        let rest = waiting.split_off(waiting.len().min(MOST));
        std::mem::replace(waiting, rest)
    }
}

impl<K: Ord, Q, A> Drop for Turn<K, Q, A> {
    fn drop(&mut self) {
        if !self.over {
            // A panic: whoever waits learns that nobody answers.
            let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(&self.key);
        }
    }
}

impl<K, Q, A> Gather<K, Q, A>
where
    K: Ord + Clone + Send + 'static,
    Q: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    /// Asks, together with whoever asks about the same meanwhile. `answer` gets questions and gives as many answers, in their order, or
    /// fails for all of them. A question that makes it fail costs only itself: the others are asked again without it, unless the
    /// database is away, which no question is to blame for. It runs on when the one who asked does not wait any more.
    ///
    /// # Errors
    /// Those of `answer`; [`Error::Unavailable`] when it panicked.
    pub(crate) async fn ask<F, Fut>(&self, key: K, question: Q, answer: F) -> Result<A>
    where
        F: Fn(Vec<Q>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<A>>> + Send,
    {
        let (reply, answered) = oneshot::channel();
        let begins = {
            let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let begins = !all.contains_key(&key);
            all.entry(key.clone()).or_default().push((question, reply));
            begins
        };
        if begins {
            let mut turn = Turn {
                waiting: self.waiting.clone(),
                key,
                over: false,
            };
            let pause = self.pause;
            tokio::spawn(async move {
                while !turn.over {
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    settle(turn.next(), &answer).await;
                }
            });
        }
        answered.await.unwrap_or_else(|_| Err(silent()))
    }
}

async fn settle<Q, A, F, Fut>(waiting: Waiting<Q, A>, answer: &F)
where
    Q: Clone,
    F: Fn(Vec<Q>) -> Fut,
    Fut: Future<Output = Result<Vec<A>>>,
{
    if waiting.is_empty() {
        return;
    }
    let (questions, mut replies): (Vec<Q>, Vec<_>) = waiting.into_iter().unzip();
    let alone = replies.len() == 1;
    match in_time(answer(questions.clone())).await {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _gone = reply.send(Ok(answer));
            }
        }
        Err(error) if alone => {
            if let Some(reply) = replies.pop() {
                let _gone = reply.send(Err(error));
            }
        }
        Err(Error::Unavailable(cause)) => {
            let cause = cause.to_string();
            for reply in replies {
                let _gone = reply.send(Err(Error::Unavailable(cause.clone().into())));
            }
        }
        Err(_) => {
            for (question, reply) in questions.into_iter().zip(replies) {
                let one = in_time(answer(vec![question])).await;
                let one = one.and_then(|mut answers| answers.pop().ok_or_else(silent));
                let _gone = reply.send(one);
            }
        }
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Err(Error::Unavailable("no answer in time".into()));
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(late)
}

fn silent() -> Error {
    Error::Unavailable("nobody answered".into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    fn wrong() -> Error {
        Error::AlreadyExists {
            constraint: "wrong".to_owned(),
        }
    }

    #[tokio::test]
    async fn who_comes_meanwhile_goes_together_and_a_wrong_one_costs_itself() {
        let gather: Arc<Gather<u8, u32, u32>> = Arc::default();
        let (go, calls) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let ask = |question: u32| {
            let (gather, go, calls) = (gather.clone(), go.clone(), calls.clone());
            tokio::spawn(async move {
                let answer = move |questions: Vec<u32>| {
                    let (go, calls) = (go.clone(), calls.clone());
                    async move {
                        go.acquire().await.unwrap().forget();
                        calls.fetch_add(1, Ordering::Relaxed);
                        if questions.contains(&13) {
                            return Err(wrong());
                        }
                        Ok(questions.into_iter().map(|q| q * 2).collect())
                    }
                };
                gather.ask(1, question, answer).await
            })
        };
        let first = ask(1);
        while gather
            .waiting
            .lock()
            .unwrap()
            .get(&1)
            .is_none_or(|w| !w.is_empty())
        {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = [2, 13, 4].into_iter().map(ask).collect();
        while gather.waiting.lock().unwrap()[&1].len() < 3 {
            tokio::task::yield_now().await;
        }
        go.add_permits(100);
        assert_eq!(first.await.unwrap().unwrap(), 2);
        let mut answers = Vec::new();
        for other in others {
            answers.push(other.await.unwrap().ok());
        }
        assert_eq!(answers, [Some(4), None, Some(8)]);
        // Alone, together, and each alone.
        assert_eq!(calls.load(Ordering::Relaxed), 5);
        while !gather.waiting.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_asked_once_for_all() {
        let gather: Arc<Gather<u8, u32, u32>> = Arc::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(Semaphore::new(0));
        let mut asked = tokio::task::JoinSet::new();
        for question in 0..50 {
            let (gather, go, calls) = (gather.clone(), go.clone(), calls.clone());
            let waiting = gather.waiting.clone();
            asked.spawn(async move {
                let answer = move |_| {
                    let (go, calls) = (go.clone(), calls.clone());
                    async move {
                        go.acquire().await.unwrap().forget();
                        calls.fetch_add(1, Ordering::Relaxed);
                        Err(Error::Unavailable("away".into()))
                    }
                };
                gather.ask(1, question, answer).await
            });
            // The first one goes alone, the others wait for it.
            let expected = usize::try_from(question).unwrap();
            while waiting
                .lock()
                .unwrap()
                .get(&1)
                .is_none_or(|w| w.len() != expected)
            {
                tokio::task::yield_now().await;
            }
        }
        go.add_permits(100);
        for outcome in asked.join_all().await {
            assert!(matches!(outcome, Err(Error::Unavailable(_))));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_goes_together_from_the_first() {
        let gather: Gather<u8, u32, usize> = Gather::unhurried(Duration::from_millis(50));
        let ask = |question| {
            gather.ask(1, question, |questions: Vec<u32>| async move {
                Ok(vec![questions.len(); questions.len()])
            })
        };
        let (first, second) = tokio::join!(ask(1), ask(2));
        assert_eq!((first.unwrap(), second.unwrap()), (2, 2));
    }

    #[tokio::test]
    async fn after_a_panic_the_next_one_is_answered() {
        let gather: Gather<u8, u32, u32> = Gather::default();
        let broken = gather.ask(1, 1, |_| async { panic!("broken") });
        assert!(matches!(broken.await, Err(Error::Unavailable(_))));
        let fine = gather.ask(1, 2, |questions| async move { Ok(questions) });
        assert_eq!(fine.await.unwrap(), 2);
    }
}
