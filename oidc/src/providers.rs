//! All providers that anybody signs in by, with what is known of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use heddle_egress::{Caller, Failed, Target};
use heddle_model::clock::SharedClock;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_urlencoded as form;

use crate::attempt::Attempt;
use crate::client::Client;
use crate::exchange;
use crate::id_token::{self, Expected, Identity, Invalid};
use crate::keys::Keys;
use crate::metadata::{Issuer, Metadata};
use crate::refused::Refused;
use crate::returned::Returned;

/// What was read is looked at again after this.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// What was read is of use for this long while nobody answers.
const STALE: TimeDelta = TimeDelta::hours(24);
/// How often the name of a key that is not known makes us look again, at most.
const LOOK: TimeDelta = TimeDelta::minutes(1);
/// Of how many providers something is remembered.
const MOST: usize = 1000;

/// What is asked of a provider besides the identity.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asking<'a> {
    /// That they show who they are, although the provider may know it.
    pub again: bool,
    /// Whom somebody said that they are.
    pub login_hint: Option<&'a str>,
}

/// What providers say, read when it is needed and kept for a while. One for the whole server: whose connection it is read for makes no
/// difference to what a provider says.
pub struct Providers {
    caller: Caller,
    clock: SharedClock,
    known: Mutex<HashMap<Issuer, Arc<tokio::sync::Mutex<Known>>>>,
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Providers").finish_non_exhaustive()
    }
}

/// Something with the time when it was read.
type Read<T> = Option<(T, DateTime<Utc>)>;

/// What is known of one provider.
#[derive(Default)]
struct Known {
    metadata: Read<Arc<Metadata>>,
    keys: Read<Arc<Keys>>,
    /// When keys were last asked for, whether there was an answer or not.
    asked_for_keys: Option<DateTime<Utc>>,
}

fn within<T: Clone>(read: &Read<T>, age: TimeDelta, now: DateTime<Utc>) -> Option<T> {
    let (what, at) = read.as_ref()?;
    (now - *at < age).then(|| what.clone())
}

impl Providers {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(caller: Caller, clock: SharedClock) -> Self {
        Self {
            caller,
            clock,
            known: Mutex::default(),
        }
    }

    /// Whether a provider could be asked at all, as far as its address says.
    ///
    /// # Errors
    /// [`Failed::Kept`].
    pub fn check(&self, issuer: &Issuer) -> Result<(), Failed> {
        issuer
            .target()
            .map_or(Ok(()), |target| self.caller.check(&target))
    }

    /// Where a browser is sent to sign in.
    ///
    /// # Errors
    /// [`Refused`], when what the provider says of itself cannot be read.
    pub async fn authorization(
        &self,
        client: &Client,
        attempt: &Attempt,
        asking: Asking<'_>,
    ) -> Result<String, Refused> {
        let metadata = self.metadata(&client.issuer).await?;
        let challenge = attempt.challenge();
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", client.id.as_str()),
            ("redirect_uri", client.redirect_uri.as_str()),
            ("scope", "openid email profile"),
            ("state", attempt.state()),
            ("nonce", attempt.nonce()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        if asking.again {
            query.extend([("prompt", "login"), ("max_age", "0")]);
        }
        query.extend(asking.login_hint.map(|hint| ("login_hint", hint)));
        let query = form::to_string(query).map_err(|error| Refused::Unfit {
            what: String::from("the request"),
            why: error.to_string(),
        })?;
        let base = metadata.authorization.as_str();
        let joint = if base.contains('?') { '&' } else { '?' };
        Ok(format!("{base}{joint}{query}"))
    }

    /// Who it is that came back: asks the provider for what the code stands for, and looks at it.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn redeem(
        &self,
        client: &Client,
        attempt: &Attempt,
        returned: Returned,
    ) -> Result<Identity, Refused> {
        let metadata = self.metadata(&client.issuer).await?;
        let code = returned.into_code(attempt, &client.issuer, &metadata)?;
        let token =
            exchange::redeem(&self.caller, &metadata, client, (&code, attempt.verifier())).await?;
        let head = id_token::head(&token)?;
        if !metadata.signs_with(head.algorithm) {
            return Err(Invalid::Algorithm(format!("{:?}", head.algorithm)).into());
        }
        let expected = Expected {
            issuer: client.issuer.as_str(),
            client: &client.id,
            nonce: attempt.nonce(),
            now: self.clock.now(),
        };
        let keys = self.keys(&client.issuer, &metadata, false).await?;
        let verified = match id_token::verify(&token, &head, &keys, &expected) {
            // It may have another key since.
            Err(Invalid::Key) => {
                let keys = self.keys(&client.issuer, &metadata, true).await?;
                id_token::verify(&token, &head, &keys, &expected)
            }
            verified => verified,
        };
        verified.map_err(Refused::Token)
    }

    /// What a provider says of itself.
    pub(crate) async fn metadata(&self, issuer: &Issuer) -> Result<Arc<Metadata>, Refused> {
        let known = self.known(issuer);
        let mut known = known.lock().await;
        let now = self.clock.now();
        if let Some(metadata) = within(&known.metadata, FRESH, now) {
            return Ok(metadata);
        }
        match self.read_metadata(issuer).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                known.metadata = Some((Arc::clone(&metadata), now));
                Ok(metadata)
            }
            Err(error) => within(&known.metadata, STALE, now).ok_or(error),
        }
    }

    pub(crate) async fn read_metadata(&self, issuer: &Issuer) -> Result<Metadata, Refused> {
        let unfit = |error: heddle_egress::BadTarget| Refused::Unfit {
            what: format!("the issuer {issuer}"),
            why: error.to_string(),
        };
        let place = issuer.configuration().map_err(unfit)?;
        let body = self.get("the provider's configuration", &place).await?;
        Metadata::read(issuer, &body)
    }

    /// The provider's keys. `unknown`: it has signed with one that is not among those that were read last.
    async fn keys(
        &self,
        issuer: &Issuer,
        metadata: &Metadata,
        unknown: bool,
    ) -> Result<Arc<Keys>, Refused> {
        let known = self.known(issuer);
        let mut known = known.lock().await;
        let now = self.clock.now();
        let asked_just_now = known.asked_for_keys.is_some_and(|at| now - at < LOOK);
        let kept = within(
            &known.keys,
            if unknown { TimeDelta::zero() } else { FRESH },
            now,
        );
        if let Some(keys) = kept {
            return Ok(keys);
        }
        // Whoever sends tokens with names that we do not know has us ask the provider once a minute, and not more.
        if asked_just_now && let Some(keys) = within(&known.keys, STALE, now) {
            return Ok(keys);
        }
        known.asked_for_keys = Some(now);
        match self.read_keys(metadata).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                known.keys = Some((Arc::clone(&keys), now));
                Ok(keys)
            }
            Err(error) => within(&known.keys, STALE, now).ok_or(error),
        }
    }

    pub(crate) async fn read_keys(&self, metadata: &Metadata) -> Result<Keys, Refused> {
        let body = self.get("the provider's keys", &metadata.keys).await?;
        Keys::read(&format!("the provider's keys at {}", metadata.keys), &body)
    }

    /// What is known of a provider, to be looked at by one at a time: of many who need what is not there one asks for it.
    fn known(&self, issuer: &Issuer) -> Arc<tokio::sync::Mutex<Known>> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(issuer) {
            // Whichever: it is read again when somebody needs it.
            let one = all.keys().next().cloned();
            one.map(|one| all.remove(&one));
        }
        Arc::clone(all.entry(issuer.clone()).or_default())
    }

    async fn get(&self, what: &str, place: &Target) -> Result<Bytes, Refused> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let call = self.caller.call(Method::GET, place, headers, Bytes::new());
        let answer = call.await.map_err(|why| Refused::Unreachable {
            what: format!("{what} at {place}"),
            why,
        })?;
        if answer.status != StatusCode::OK {
            return Err(Refused::Unfit {
                what: format!("{what} at {place}"),
                why: format!("the answer has the status {}", answer.status),
            });
        }
        Ok(answer.body)
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}
