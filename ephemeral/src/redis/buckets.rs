//! Buckets that all servers share. What they hold is counted by one script, which is one step for Redis.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{RedisError, Script};
use tokio::sync::watch;

use super::telemetry;
use crate::bucket::{Ask, Level};
use crate::local::Local;

/// By the clock of Redis, which is the one that all servers share. Answers with whether one was taken from each bucket, and the debt
/// that each had before, in microseconds.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken, answer = 1, {0}
for i, key in ipairs(KEYS) do
  local every, whole = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local whole_at = tonumber(redis.call('GET', key) or now) or now
  local debt = math.min(math.max(whole_at - now, 0), whole)
  answer[i + 1] = debt
  if debt + every > whole then taken = 0 end
end
answer[1] = taken
if taken == 1 then
  for i, key in ipairs(KEYS) do
    local after = answer[i + 1] + tonumber(ARGV[2 * i - 1])
    redis.call('SET', key, string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
  end
end
return answer
",
    )
});

/// What servers share while Redis answers, and a share for each while it does not.
#[derive(Debug)]
pub(super) struct Shared {
    prefix: String,
    connection: watch::Receiver<Option<MultiplexedConnection>>,
    local: Local,
    /// Redis did not answer in time, and has not been heard of since: nobody else waits for it.
    silent: AtomicBool,
    /// How long an answer may take; a request waits for it.
    within: Duration,
}

impl Shared {
    pub(super) fn new(
        prefix: &str,
        connection: watch::Receiver<Option<MultiplexedConnection>>,
        local: Local,
        within: Duration,
    ) -> Self {
        Self {
            prefix: format!("{prefix}:rate:"),
            connection,
            local,
            silent: AtomicBool::new(false),
            within,
        }
    }

    /// Redis answered something.
    pub(super) fn heard(&self) {
        self.silent.store(false, Ordering::Relaxed);
    }

    pub(super) async fn take(&self, asks: &[Ask]) -> Vec<Level> {
        let connection = self.connection.borrow().clone();
        if let Some(connection) = connection
            && !self.silent.load(Ordering::Relaxed)
        {
            match tokio::time::timeout(self.within, self.ask(connection, asks)).await {
                Ok(Ok(levels)) => {
                    telemetry::counted(true);
                    return levels;
                }
                Ok(Err(error)) => {
                    tracing::debug!(error = ?error.to_string(), "Redis does not count");
                    self.silent.store(true, Ordering::Relaxed);
                }
                Err(_) => self.silent.store(true, Ordering::Relaxed),
            }
        }
        telemetry::counted(false);
        self.local.take(asks)
    }

    async fn ask(
        &self,
        mut connection: MultiplexedConnection,
        asks: &[Ask],
    ) -> Result<Vec<Level>, RedisError> {
        let mut call = TAKE.prepare_invoke();
        for ask in asks {
            call.key(format!("{}{}", self.prefix, ask.key))
                .arg(ask.rate.every())
                .arg(ask.rate.whole());
        }
        let answer: Vec<u64> = call.invoke_async(&mut connection).await?;
        let (taken, debts) = answer.split_first().unwrap_or((&0, &[]));
        let levels = asks.iter().zip(debts);
        let levels: Vec<Level> = levels
            .map(|(ask, debt)| Level::of(ask.rate, *debt, *taken == 1))
            .collect();
        if levels.len() != asks.len() {
            return Err(RedisError::from((
                ::redis::ErrorKind::UnexpectedReturnType,
                "an answer of another length",
            )));
        }
        Ok(levels)
    }
}
