//! Two organisations with the same names everywhere, all kinds of requests at once through two connections to the
//! database, some of them hung up on: nothing of one ever shows in an answer to the other, and nothing fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heddle_tests::{Api, Random, Reply, ServerOptions, Stack, at_rest, broken, evidence};
use reqwest::Method;
use serde_json::{Value, json};

use super::templates::{self, Template};

const SEED: u64 = 0x007e_4a47;
/// Clients of each organisation.
const CLIENTS: usize = 6;
/// How many requests of a hundred are hung up on.
const CANCELLED: u64 = 10;
/// How many go to the other organisation's address.
const ASTRAY: u64 = 3;
/// How many identifiers are remembered.
const UIDS: usize = 200;

struct Org {
    api: Api,
    mark: String,
    answers: AtomicUsize,
    own_mark_seen: AtomicUsize,
    successes: AtomicUsize,
    cancelled: AtomicUsize,
    /// Identifiers that it was told.
    uids: Mutex<Vec<String>>,
}

impl Org {
    fn uid(&self, random: &mut Random) -> String {
        let uids = self.uids.lock().unwrap_or_else(PoisonError::into_inner);
        uids.get(random.index(uids.len().max(1)))
            .cloned()
            .unwrap_or_else(|| String::from("svc_00000000000000000000000000"))
    }

    fn remember(&self, answer: &Value, random: &mut Random) {
        let Some(uid) = answer["meta"]["uid"].as_str() else {
            return;
        };
        let mut uids = self.uids.lock().unwrap_or_else(PoisonError::into_inner);
        if uids.len() < UIDS {
            uids.push(uid.to_owned());
        } else {
            let at = random.index(UIDS);
            uids[at] = uid.to_owned();
        }
    }
}

struct Hammer {
    orgs: [Org; 2],
    templates: Vec<Template>,
    wanted: usize,
}

impl Hammer {
    fn template(&self, random: &mut Random) -> &Template {
        let all: u64 = self.templates.iter().map(|t| t.weight).sum();
        let mut at = random.below(all);
        for template in &self.templates {
            if at < template.weight {
                return template;
            }
            at -= template.weight;
        }
        unreachable!("the weights add up")
    }

    /// One request of an organisation, and a look at what it gets.
    async fn request(&self, which: usize, random: &mut Random) {
        let (org, other) = (&self.orgs[which], &self.orgs[1 - which]);
        let foreign = random.percent(50);
        let uid = if foreign { other } else { org }.uid(random);
        let filled = self.template(random).fill(random, &org.mark, &uid);
        let astray = random.percent(ASTRAY);
        let name = if astray { &other.api.org } else { &org.api.org };
        let path = format!("/v1/orgs/{name}{}", filled.path);
        let key = random.marker();
        let message = format!("because {}", org.mark);
        let mut headers = vec![("user-agent", org.mark.as_str())];
        if filled.method != Method::GET {
            headers.push(("heddle-message", &message));
            headers.push(("heddle-change-group", &org.mark));
        }
        if filled.method == Method::POST {
            headers.push(("idempotency-key", &key));
        }
        if filled.body.is_some() {
            headers.push(match filled.method {
                Method::PATCH => ("content-type", "application/merge-patch+json"),
                _ => ("content-type", "application/json"),
            });
        }
        let body = filled.body.unwrap_or_default().into_bytes();
        let sent = org.api.raw(filled.method.clone(), &path, &headers, body);
        let reply = if random.percent(CANCELLED) {
            let patience = random.duration(Duration::from_millis(30));
            match tokio::time::timeout(patience, sent).await {
                Ok(reply) => reply,
                Err(_) => {
                    org.cancelled.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        } else {
            sent.await
        };
        let about = || format!("{} {path}: {} {}", filled.method, reply.status, reply.text);
        assert!(reply.status < 500, "{}", about());
        assert!(!shows(&reply, &other.mark), "{}", about());
        let reaches = astray || (foreign && filled.path.contains(&uid));
        assert!(!reaches || reply.status >= 400, "{}", about());
        org.answers.fetch_add(1, Ordering::Relaxed);
        let count = |counter: &AtomicUsize, yes: bool| {
            counter.fetch_add(usize::from(yes), Ordering::Relaxed);
        };
        count(&org.own_mark_seen, shows(&reply, &org.mark));
        count(&org.successes, reply.status < 300);
        org.remember(&reply.json, random);
    }
}

/// Whether a text is anywhere in an answer.
fn shows(reply: &Reply, text: &str) -> bool {
    let inside = |bytes: &[u8]| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    inside(reply.text.as_bytes())
        || reply
            .headers
            .iter()
            .any(|(_, value)| inside(value.as_bytes()))
}

async fn client(hammer: Arc<Hammer>, which: usize, mut random: Random) {
    while hammer.orgs[which].answers.load(Ordering::Relaxed) < hammer.wanted {
        hammer.request(which, &mut random).await;
    }
}

async fn org(stack: &Stack, name: &str, mark: String) -> Org {
    let mesh = json!({"display_name": mark, "access_default": "deny"});
    let api = stack.mesh(name, "shop", mesh, &[]).await;
    Org {
        api,
        mark,
        answers: AtomicUsize::new(0),
        own_mark_seen: AtomicUsize::new(0),
        successes: AtomicUsize::new(0),
        cancelled: AtomicUsize::new(0),
        uids: Mutex::default(),
    }
}

async fn nothing_crosses(wanted: usize) {
    let templates = templates::whole();
    let options = ServerOptions {
        database_connections: 2,
        // A connection that is lost for good shows after this; a machine that holds its breath does not.
        database_wait: String::from("30s"),
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let mut random = Random::new(SEED);
    let hammer = Arc::new(Hammer {
        orgs: [
            org(&stack, "acme", random.marker()).await,
            org(&stack, "rival", random.marker()).await,
        ],
        templates,
        wanted,
    });
    let clients: Vec<_> = (0..2 * CLIENTS)
        .map(|number| tokio::spawn(client(Arc::clone(&hammer), number % 2, random.fork())))
        .collect();
    for client in clients {
        client.await.unwrap();
    }

    let mut database = stack.postgres.inspect().await;
    at_rest(&mut database).await;
    assert_eq!(broken(&mut database).await, Vec::<String>::new());
    let metrics = stack.server.metrics().await;
    let panics = metrics.get("heddle_panics_total").copied();
    assert_eq!(panics.unwrap_or(0.0), 0.0);
    // Requests that were hung up on were answered, too, and nobody was there to see how.
    let failed: Vec<_> = metrics
        .keys()
        .filter(|key| key.contains("status=\"5"))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let exported = metrics.keys();
    for org in &hammer.orgs {
        assert!(exported.clone().all(|key| !key.contains(&org.mark)));
    }
    let sum = |of: fn(&Org) -> &AtomicUsize| -> usize {
        let all = hammer
            .orgs
            .iter()
            .map(|org| of(org).load(Ordering::Relaxed));
        all.sum()
    };
    let (answers, own) = (sum(|o| &o.answers), sum(|o| &o.own_mark_seen));
    let (successes, cancelled) = (sum(|o| &o.successes), sum(|o| &o.cancelled));
    // What is looked for would be seen: a mark comes back to whoever sent it, all the time.
    assert!(
        own * 4 > answers && successes * 4 > answers,
        "{own} {successes} of {answers}"
    );
    assert!(cancelled * 50 > answers, "{cancelled} were cancelled");
    evidence(
        if wanted >= 50_000 {
            "hammer"
        } else {
            "hammer-short"
        },
        SEED,
        json!({
            "answers_to_each": wanted,
            "answers": answers,
            "successes": successes,
            "with_own_mark": own,
            "with_foreign_mark": 0,
            "server_errors": 0,
            "cancelled": cancelled,
            "database_connections": 2,
        }),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t06_t07_t10_nothing_crosses_a_small_pool() {
    nothing_crosses(1_500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `make test-long`"]
async fn sec_t06_t07_t10_nothing_crosses_a_small_pool_in_fifty_thousand_answers() {
    nothing_crosses(50_000).await;
}
