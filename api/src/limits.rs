//! How often a credential, and all of an organisation together, may call: token buckets that may be lost, told in every answer.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use heddle_ephemeral::{Ask, Buckets, Level, Rate};
use heddle_model::code::Code;
use heddle_model::id::{OrgId, SessionId, TokenId};
use heddle_store::Caller;
use heddle_store::usage::Meter;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::problem::Problem;
use crate::state::App;

/// What there is, and over how long (draft-ietf-httpapi-ratelimit-headers).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it.
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
/// How many credentials are remembered, so that a flood with one of them costs no question to the database.
const REMEMBERED: usize = 50_000;

/// How often somebody may call. `None`: as often as they like.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Each credential, reading.
    pub reads: Option<Rate>,
    /// Each credential, writing.
    pub writes: Option<Rate>,
    /// All of an organisation together, reading.
    pub org_reads: Option<Rate>,
    /// All of an organisation together, writing.
    pub org_writes: Option<Rate>,
}

/// What of a caller is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whose {
    /// The token or session.
    credential: Uuid,
    org: OrgId,
}

tokio::task_local! {
    static CALLER: Cell<Option<Whose>>;
}

/// Notes whose request this one turned out to be.
pub(crate) fn learn(caller: &Caller) {
    let session = caller.session().map(SessionId::uuid);
    let credential = caller.token().map(TokenId::uuid).or(session);
    if let Some(credential) = credential {
        let whose = Whose {
            credential,
            org: caller.org(),
        };
        // Outside of a request nothing is limited.
        let _ = CALLER.try_with(|caller| caller.set(Some(whose)));
    }
}

/// The limits of a server. Cheap to clone.
#[derive(Clone)]
pub struct Limits {
    buckets: Arc<dyn Buckets>,
    rates: Rates,
    known: Arc<Mutex<HashMap<[u8; 32], Whose>>>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits")
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}

/// One limit that a request comes under.
struct Policy {
    name: &'static str,
    whose: &'static str,
    ask: Ask,
}

impl Limits {
    /// These, counted there.
    #[must_use]
    pub fn new(buckets: Arc<dyn Buckets>, rates: Rates) -> Self {
        Self {
            buckets,
            rates,
            known: Arc::default(),
        }
    }

    fn known(&self, bearer: &[u8; 32]) -> Option<Whose> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(bearer).copied()
    }

    fn remember(&self, bearer: [u8; 32], whose: Whose) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(bearer, whose);
    }

    /// It is nobody's any more: what others do with it is not theirs who had it.
    fn forget(&self, bearer: &[u8; 32]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(bearer);
    }

    fn policies(&self, whose: Whose, writes: bool) -> Vec<Policy> {
        let (of_credential, of_org) = match writes {
            true => (self.rates.writes, self.rates.org_writes),
            false => (self.rates.reads, self.rates.org_reads),
        };
        let names = match writes {
            true => ["token-writes", "organisation-writes"],
            false => ["token-reads", "organisation-reads"],
        };
        let [token, org] = names;
        let limits = [
            (token, "this credential", whose.credential, of_credential),
            (org, "the organisation", whose.org.uuid(), of_org),
        ];
        let limits = limits.into_iter();
        let policy = |(name, of, id, rate): (_, _, Uuid, Option<Rate>)| {
            let key = format!("{name}:{}", id.simple());
            let rate = rate?;
            Some(Policy {
                name,
                whose: of,
                ask: Ask { key, rate },
            })
        };
        limits.filter_map(policy).collect()
    }
}

/// Whether a request may go on, and what its answer says about the next ones.
struct Verdict {
    refused: Option<Problem>,
    policy: String,
    left: String,
}

/// In whole seconds, never too few.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn refusal(policy: &Policy, level: &Level, wait: Duration, writes: bool) -> Problem {
    let wait = seconds(wait).max(1);
    let calls = if writes { "writes" } else { "reads" };
    let Rate { per_second, burst } = level.rate;
    let detail = format!(
        "{} made more {calls} than it may: {per_second} a second on average and {burst} at once; wait {wait} s",
        policy.whose
    );
    Problem::new(Code::TooManyRequests, detail).header(header::RETRY_AFTER, HeaderValue::from(wait))
}

async fn take(limits: &Limits, whose: Whose, writes: bool) -> Verdict {
    let policies = limits.policies(whose, writes);
    let asks: Vec<Ask> = policies.iter().map(|policy| policy.ask.clone()).collect();
    let levels = match asks.as_slice() {
        [] => Vec::new(),
        asks => limits.buckets.take(asks).await,
    };
    let mut verdict = Verdict {
        refused: None,
        policy: String::new(),
        left: String::new(),
    };
    let mut longest = Duration::ZERO;
    for (policy, level) in policies.iter().zip(&levels) {
        let Rate { per_second, burst } = level.rate;
        let comma = if verdict.policy.is_empty() { "" } else { ", " };
        let window = burst.div_ceil(per_second.max(1));
        let name = policy.name;
        let _ = write!(verdict.policy, "{comma}\"{name}\";q={burst};w={window}");
        let (remaining, whole) = (level.remaining, seconds(level.whole_in));
        let _ = write!(verdict.left, "{comma}\"{name}\";r={remaining};t={whole}");
        if let Some(wait) = level.wait
            && wait >= longest
        {
            longest = wait;
            verdict.refused = Some(refusal(policy, level, wait, writes));
        }
    }
    verdict
}

/// Surrounds every operation.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = &app.limits;
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let bearer = request.headers().get(header::AUTHORIZATION);
    let bearer: Option<[u8; 32]> = bearer.map(|value| Sha256::digest(value.as_bytes()).into());
    let known = bearer.and_then(|bearer| limits.known(&bearer));
    let mut verdict = match known {
        Some(whose) => Some(take(limits, whose, writes).await),
        None => None,
    };
    if let Some(verdict) = &mut verdict
        && let Some(problem) = verdict.refused.take()
    {
        metrics::counter!("heddle_api_rate_limited_total").increment(1);
        return told(problem.into_response(), verdict);
    }
    let run = async {
        let response = next.run(request).await;
        (response, CALLER.with(Cell::get))
    };
    let (response, learned) = CALLER.scope(Cell::new(None), run).await;
    if let Some(whose) = learned {
        app.store.count(whose.org, Meter::Requests, 1);
    }
    if known.is_none()
        && let (Some(bearer), Some(whose)) = (bearer, learned)
    {
        // Who it was is known only now: the first request of a credential at a server counts, and is not refused.
        limits.remember(bearer, whose);
        verdict = Some(take(limits, whose, writes).await);
    }
    if let (Some(bearer), Some(_), None) = (&bearer, known, learned)
        && response.status() == StatusCode::UNAUTHORIZED
    {
        limits.forget(bearer);
    }
    match verdict {
        Some(verdict) => told(response, &verdict),
        None => response,
    }
}

fn told(mut response: Response, verdict: &Verdict) -> Response {
    for (name, text) in [(POLICY, &verdict.policy), (LEFT, &verdict.left)] {
        if let Ok(value) = HeaderValue::from_str(text)
            && !text.is_empty()
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
