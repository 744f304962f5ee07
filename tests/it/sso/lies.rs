//! A provider that lies, and people who come back with what is not theirs.

use heddle_tests::{Api, Hostile, Issuer, Reply, ServerOptions, Stack};
use serde_json::{Value, json};

use super::{COMPLETIONS, begin};
use crate::mail::post;
use crate::second_factors::text;

/// A provider with a key, and a sign-in at it.
struct Liar {
    stack: Stack,
    provider: Hostile,
    key: Issuer,
    owner: Api,
    anyone: Api,
}

/// What a browser was sent with.
struct Begun {
    secret: Value,
    state: String,
    nonce: String,
}

impl Liar {
    async fn start() -> Self {
        let provider = Hostile::start().await;
        let options = ServerOptions {
            egress: provider.settings(),
            ..ServerOptions::default()
        };
        let stack = Stack::start(options).await;
        let owner = stack.server.org("acme").await;
        let body = json!({"name": "workforce", "issuer": provider.url(), "client_id": "heddle", "client_secret": "s3cr3t"});
        let _ = owner.post("/sso-connections", body).await.expect(201);
        let key = Issuer::new("a");
        provider.say("/keys", 200, &key.jwks());
        let anyone = owner.with_token("");
        Self {
            stack,
            provider,
            key,
            owner,
            anyone,
        }
    }

    async fn begin(&self) -> Begun {
        let begun = begin(&self.anyone, "acme").await.expect(201);
        let url: reqwest::Url = text(&begun.json["authorization_url"]).parse().unwrap();
        let of = |name: &str| {
            let mut pairs = url.query_pairs().filter(|(known, _)| known == name);
            let value = pairs.next().unwrap().1.into_owned();
            assert!(pairs.next().is_none(), "{name} stands there twice");
            value
        };
        assert_eq!(of("code_challenge_method"), "S256");
        assert_eq!(of("response_type"), "code");
        Begun {
            secret: begun.json["secret"].clone(),
            state: of("state"),
            nonce: of("nonce"),
        }
    }

    /// Claims as they should be.
    fn claims(&self, begun: &Begun) -> Value {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        json!({"iss": self.provider.url(), "aud": "heddle", "sub": "mallory", "nonce": begun.nonce, "iat": now, "exp": now + 300})
    }

    fn grants(&self, token: &str) {
        let body = json!({"access_token": "x", "token_type": "Bearer", "id_token": token});
        self.provider.say("/token", 200, &body.to_string());
    }

    async fn complete(&self, begun: &Begun, more: &Value) -> Reply {
        let mut body = json!({"org": "acme", "connection": "workforce", "secret": begun.secret, "state": begun.state, "code": "a-code"});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        post(&self.anyone, COMPLETIONS, body).await
    }

    /// The code that a token with these changes is refused with.
    async fn refused(&self, changes: Value) -> (u16, String, String) {
        let begun = self.begin().await;
        let mut claims = self.claims(&begun);
        for (name, value) in changes.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        self.grants(&self.key.token(&claims));
        said(&self.complete(&begun, &json!({})).await)
    }
}

fn said(reply: &Reply) -> (u16, String, String) {
    let text = |name: &str| reply.json[name].as_str().unwrap_or_default().to_owned();
    (reply.status, text("code"), text("detail"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a07_a_token_for_another_time_place_or_sign_in_lets_nobody_in() {
    let liar = Liar::start().await;
    // As it should be, it is believed; and nobody is linked with that account.
    let (status, code, _) = liar.refused(json!({})).await;
    assert_eq!((status, code.as_str()), (403, "HED-2104"));
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    for (changes, words) in [
        (json!({"iss": "https://evil.example.com"}), "issuer"),
        (
            json!({"iss": format!("{}/", liar.provider.url())}),
            "issuer",
        ),
        (json!({"aud": "another"}), "not the client"),
        (json!({"aud": ["heddle", "another"]}), "azp"),
        (json!({"azp": "another"}), "not the client"),
        (json!({"nonce": "another"}), "nonce"),
        (json!({"nonce": null}), "nonce"),
        (json!({"exp": now - 120}), "clock"),
        (json!({"exp": null}), "exp"),
        (json!({"exp": 1e18}), "exp"),
        (json!({"iat": now + 600}), "clock"),
        (json!({"nbf": now + 600}), "clock"),
        (json!({"sub": null}), "sub"),
        (json!({"sub": ""}), "sub"),
    ] {
        let (status, code, detail) = liar.refused(changes.clone()).await;
        assert_eq!(
            (status, code.as_str()),
            (401, "HED-2102"),
            "{changes}: {detail}"
        );
        assert!(detail.contains(words), "{changes}: {detail}");
    }
    // The token of one sign-in is nothing in another.
    let (one, two) = (liar.begin().await, liar.begin().await);
    liar.grants(&liar.key.token(&liar.claims(&one)));
    let (status, _, detail) = said(&liar.complete(&two, &json!({})).await);
    assert_eq!(status, 401);
    assert!(detail.contains("nonce"), "{detail}");
    // It is in the log, with the reason.
    let log = liar.owner.get("/audit-log").await.expect(200);
    assert!(
        log.text.contains("its `nonce` is not the one"),
        "{}",
        log.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a01_a_token_that_the_provider_did_not_sign_lets_nobody_in() {
    let liar = Liar::start().await;
    let begun = liar.begin().await;
    let claims = liar.claims(&begun);
    let none = |alg: &str| {
        format!(
            "{}.",
            Issuer::unsigned(&json!({"alg": alg, "kid": "a"}), &claims)
        )
    };
    let other = Issuer::new("a");
    let unknown = Issuer::new("b");
    let good = liar.key.token(&claims);
    for (token, words) in [
        (none("none"), "`none`"),
        (none("HS256"), "`HS256`"),
        (other.token(&claims), "signature"),
        (unknown.token(&claims), "no such key"),
        (good[..good.len() - 4].to_owned(), "signature"),
        (String::from("x"), "malformed"),
    ] {
        let begun_again = liar.begin().await;
        liar.grants(&token);
        let (status, code, detail) = said(&liar.complete(&begun_again, &json!({})).await);
        assert_eq!(
            (status, code.as_str()),
            (401, "HED-2102"),
            "{words}: {detail}"
        );
        assert!(detail.contains(words), "{words}: {detail}");
    }
    let _ = &liar.stack;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a07_whoever_comes_back_is_who_began() {
    let liar = Liar::start().await;
    let unusable = |reply: &Reply| {
        let (status, code, detail) = said(reply);
        assert_eq!((status, code.as_str()), (401, "HED-2103"), "{detail}");
    };
    // No state, another one, another sign-in's; the address of another connection; and each of them ends the sign-in.
    for more in [
        json!({"state": ""}),
        json!({"state": "another"}),
        json!({"state": liar.begin().await.state}),
        json!({"connection": "another"}),
        json!({"iss": "https://evil.example.com"}),
        json!({"code": null}),
    ] {
        let begun = liar.begin().await;
        unusable(&liar.complete(&begun, &more).await);
        unusable(&liar.complete(&begun, &json!({})).await);
    }
    assert!(liar.provider.asked("/token").is_empty());
    // Somebody else's browser has the answer, and not the secret.
    let begun = liar.begin().await;
    for secret in [json!("heddle_sso_"), json!("x"), liar.begin().await.secret] {
        unusable(&liar.complete(&begun, &json!({"secret": secret})).await);
    }
    // A provider that says who it is has to say so (RFC 9207).
    let fresh = Liar::start().await;
    fresh
        .provider
        .describe(&json!({"authorization_response_iss_parameter_supported": true}));
    let begun = fresh.begin().await;
    unusable(&fresh.complete(&begun, &json!({})).await);
    let begun = fresh.begin().await;
    fresh.grants(&fresh.key.token(&fresh.claims(&begun)));
    let named = json!({"iss": fresh.provider.url()});
    let (status, code, _) = said(&fresh.complete(&begun, &named).await);
    assert_eq!((status, code.as_str()), (403, "HED-2104"));
    // The code went with the verifier that follows from the secret, and with the very address that people are sent back to.
    let asked = fresh.provider.asked("/token").pop().unwrap();
    assert!(
        asked.contains("code_verifier=") && asked.contains("code=a-code"),
        "{asked}"
    );
    assert!(
        asked.contains("%2Fconsole%2Fsso%2Facme%2Fworkforce"),
        "{asked}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a12_keys_are_asked_for_once_a_minute_and_outlive_their_server() {
    let liar = Liar::start().await;
    assert_eq!(liar.refused(json!({})).await.0, 403);
    assert_eq!(liar.provider.asked("/keys").len(), 1);
    let stranger = Issuer::new("unknown");
    for _ in 0..5 {
        let begun = liar.begin().await;
        liar.grants(&stranger.token(&liar.claims(&begun)));
        assert_eq!(said(&liar.complete(&begun, &json!({})).await).0, 401);
    }
    assert_eq!(liar.provider.asked("/keys").len(), 1);
    // Away, too long, elsewhere: what is known is of use, and nothing is followed.
    for broken in [
        b"HTTP/1.1 500 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 X\r\nlocation: https://169.254.169.254/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
    ] {
        liar.provider.say_bytes("/keys", broken);
        assert_eq!(liar.refused(json!({})).await.0, 403);
    }
    // What a connection is tested by is read anew.
    let tested = liar
        .owner
        .post("/sso-connections/workforce/tests", json!({}))
        .await
        .expect(200);
    assert_eq!(tested.json["checks"][1]["passed"], false);
    assert!(
        text(&tested.json["checks"][1]["detail"]).contains("302"),
        "{}",
        tested.text
    );
    liar.provider.say(
        "/keys",
        200,
        &format!("{{\"keys\":[{}]}}", " ".repeat(2 << 20)),
    );
    let tested = liar
        .owner
        .post("/sso-connections/workforce/tests", json!({}))
        .await
        .expect(200);
    assert!(
        text(&tested.json["checks"][1]["detail"]).contains("longer than"),
        "{}",
        tested.text
    );
    // What is no provider's is said to be none, in words.
    liar.provider
        .describe(&json!({"issuer": "https://evil.example.com"}));
    let tested = liar
        .owner
        .post("/sso-connections/workforce/tests", json!({}))
        .await
        .expect(200);
    assert!(
        text(&tested.json["checks"][0]["detail"]).contains("letter by letter"),
        "{}",
        tested.text
    );
}
