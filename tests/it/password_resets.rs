//! A member who has forgotten the password.

use std::time::{Duration, Instant};

use heddle_tests::{Api, Reply, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use crate::mail::post;

const ASK: &str = "/v1/password-resets";
const COMPLETE: &str = "/v1/password-resets/completions";
const NEXT: &str = "staple battery horse correct";

async fn owner(stack: &Stack, org: &str, email: &str) -> (Api, String) {
    let script = stack.server.org(org).await;
    let args = [
        "member", "create", "--org", org, "--email", email, "--role", "owner", "--json",
    ];
    let made = stack.server.admin(&args).await;
    (
        script.with_token(""),
        made["password"].as_str().unwrap().to_owned(),
    )
}

async fn sign_in(api: &Api, email: &str, password: &str) -> Reply {
    let body = json!({"org": api.org, "email": email, "password": password});
    post(api, "/v1/sessions", body).await
}

fn signed(api: &Api, reply: &Reply) -> Api {
    api.with_token(reply.json["access_token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a09_w10_a_link_by_mail_sets_another_password_once() {
    let stack = Stack::start(ServerOptions::default()).await;
    let ada = "ada@example.com";
    let (anyone, password) = owner(&stack, "acme", ada).await;
    let (rival, rivals) = owner(&stack, "rival", ada).await;
    let before = signed(&anyone, &sign_in(&anyone, ada, &password).await.expect(201));
    let theirs = signed(&rival, &sign_in(&rival, ada, &rivals).await.expect(201));

    // Whoever asks may name any host: it stands in no link.
    let headers = [
        ("content-type", "application/json"),
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
    ];
    let body = json!({"org": "acme", "email": ada})
        .to_string()
        .into_bytes();
    let asked = anyone
        .raw(Method::POST, ASK, &headers, body)
        .await
        .expect(202);
    assert_eq!(asked.text, "");
    let mail = stack.server.mail_to(ada, 0).await;
    let link = format!(
        "{}/console/reset-password?org=acme#heddle_rst_",
        stack.server.url()
    );
    assert!(mail.link().starts_with(&link), "{}", mail.whole);
    assert!(!mail.whole.contains("evil"), "{}", mail.whole);

    let complete = |org: &str, secret: &str| {
        let body = json!({"org": org, "secret": secret, "new_password": NEXT});
        let anyone = anyone.clone();
        async move { post(&anyone, COMPLETE, body).await }
    };
    let elsewhere = complete("rival", mail.secret()).await.expect(404);
    assert_eq!(elsewhere.json["code"], "HED-2080");
    let short = json!({"org": "acme", "secret": mail.secret(), "new_password": "short"});
    let short = post(&anyone, COMPLETE, short).await.expect(422);
    assert_eq!(
        short.violations(),
        [("/new_password".to_owned(), "HED-1005".to_owned())]
    );
    let _ = before.get("/meshes").await.expect(200);
    let _ = complete("acme", mail.secret()).await.expect(204);
    // Every session has ended; nobody is in by the link itself.
    let _ = before.get("/meshes").await.expect(401);
    let used = complete("acme", mail.secret()).await.expect(404);
    let guessed = complete("acme", "heddle_rst_none").await.expect(404);
    let constant = |mut json: Value| {
        for field in ["instance", "request_id"] {
            json.as_object_mut().unwrap().remove(field);
        }
        json
    };
    assert_eq!(
        constant(used.json),
        constant(guessed.json),
        "nothing says why"
    );
    let _ = sign_in(&anyone, ada, &password).await.expect(401);
    let after = signed(&anyone, &sign_in(&anyone, ada, NEXT).await.expect(201));
    // The member of that address elsewhere is another one.
    let _ = theirs.get("/meshes").await.expect(200);
    let _ = sign_in(&rival, ada, &rivals).await.expect(201);

    let log = after.get("/audit-log?limit=100").await.expect(200);
    let entries = log.json["items"].as_array().unwrap();
    for action in ["request_password_reset", "complete_password_reset"] {
        assert!(
            entries.iter().any(|e| e["action"] == action),
            "{action}: {}",
            log.text
        );
    }
    let secret = mail.secret();
    assert!(!log.text.contains(secret) && !stack.server.log().contains(secret));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a10_asking_tells_nobody_who_is_a_member() {
    let stack = Stack::start(ServerOptions::default()).await;
    let (anyone, _) = owner(&stack, "acme", "ada@example.com").await;
    let mut times: [Vec<Duration>; 3] = Default::default();
    let mut answers = Vec::new();
    // Ada thrice, which is as often as one address may; the others as often.
    for round in 0..3 {
        let stranger = format!("nobody-{round}@example.com");
        let who = [
            ("acme", "ada@example.com"),
            ("acme", stranger.as_str()),
            ("nowhere", "ada@example.com"),
        ];
        for ((org, email), times) in who.into_iter().zip(&mut times) {
            let begun = Instant::now();
            let reply = post(&anyone, ASK, json!({"org": org, "email": email})).await;
            times.push(begun.elapsed());
            let reply = reply.expect(202);
            let mut headers: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
            headers.sort();
            answers.push((reply.text, headers));
        }
    }
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:?}");
    // No answer comes before the earliest moment; what is done until then is the same for all, which the store's tests show, and
    // far from lasting as long.
    for times in &times {
        let fastest = *times.iter().min().unwrap();
        assert!(fastest >= Duration::from_millis(245), "{times:?}");
        assert!(fastest < Duration::from_secs(1), "{times:?}");
    }
    // One address too often: the same for whoever is a member and whoever is not.
    let _ = post(
        &anyone,
        ASK,
        json!({"org": "acme", "email": "eve@example.com"}),
    )
    .await;
    let mut refused = Vec::new();
    for email in ["ada@example.com", "eve@example.com"] {
        let mut last = post(&anyone, ASK, json!({"org": "acme", "email": email})).await;
        while last.status == 202 {
            last = post(&anyone, ASK, json!({"org": "acme", "email": email})).await;
        }
        let last = last.expect(429);
        assert_eq!(last.json["code"], "HED-2028");
        assert!(last.retry_after.is_some());
        refused.push(last.json["title"].clone());
    }
    assert_eq!(refused[0], refused[1]);
    let mails = stack.server.mails();
    assert!(
        mails.iter().all(|mail| mail.to == "ada@example.com"),
        "{mails:?}"
    );
}
