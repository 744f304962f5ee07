//! Somebody is invited, and becomes a member.

use heddle_tests::{Api, Mail, Reply, ServerOptions, Stack, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

use crate::mail::post;

const LOOK: &str = "/v1/invitations/lookups";
const ACCEPT: &str = "/v1/invitations/acceptances";
const BEA: &str = "bea@example.com";
const PASSWORD: &str = "correct horse battery staple";

async fn invite(api: &Api, email: &str, role: &str) -> Reply {
    api.post("/invitations", json!({"email": email, "role": role}))
        .await
}

fn link(org: &str, mail: &Mail) -> Value {
    json!({"org": org, "secret": mail.secret()})
}

fn acceptance(org: &str, mail: &Mail, email: &str) -> Value {
    let mut body = link(org, mail);
    body["email"] = json!(email);
    body["display_name"] = json!("Bea");
    body["password"] = json!(PASSWORD);
    body
}

fn uid(reply: &Reply) -> String {
    reply.json["meta"]["uid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_w10_an_invitation_is_accepted_once_by_whom_it_is_for() {
    let stack = Stack::start(ServerOptions {
        mail: Vec::new(),
        ..ServerOptions::default()
    })
    .await;
    let owner = stack.server.org("acme").await;
    let rival = stack.server.org("rival").await;
    let anyone = owner.with_token("");

    let headers = [
        ("content-type", "application/json"),
        ("host", "evil.example"),
        ("idempotency-key", "bea"),
    ];
    let body = json!({"email": "Bea@example.com", "role": "developer"});
    let path = "/v1/orgs/acme/invitations";
    for replayed in [None, Some("true")] {
        let made = owner
            .raw(Method::POST, path, &headers, body.to_string().into_bytes())
            .await
            .expect(201);
        assert_eq!(made.header("idempotency-replayed"), replayed);
        assert_eq!(made.json["email"], BEA);
        assert_eq!(made.json["state"], "pending");
        assert!(!made.text.contains("heddle_inv_"), "{}", made.text);
    }
    let mail = stack.server.mail_to(BEA, 0).await;
    let start = format!(
        "{}/console/invitation?org=acme#heddle_inv_",
        stack.server.url()
    );
    assert!(mail.link().starts_with(&start), "{}", mail.whole);
    assert_eq!(mail.subject, "Join acme on Heddle");
    let again = invite(&owner, BEA, "viewer").await.expect(409);
    assert_eq!(again.json["code"], "HED-2082");
    until(
        "it is known that it was sent",
        Duration::from_secs(10),
        async || {
            let listed = owner.get("/invitations").await.expect(200);
            listed.json["items"][0]["delivery"] == "sent"
        },
    )
    .await;

    // The other organisation sees nothing, and the link is worth nothing there.
    let listed = rival.get("/invitations").await.expect(200);
    assert_eq!(listed.json["items"], json!([]));
    let item = owner.get("/invitations").await.expect(200);
    let item = item.json["items"][0]["meta"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let item = format!("/invitations/{item}");
    let _ = rival.get(&item).await.expect(404);
    let _ = rival.delete(&item).await.expect(404);
    let _ = rival
        .post(&format!("{item}/sendings"), json!({}))
        .await
        .expect(404);
    let _ = post(&anyone, LOOK, link("rival", &mail)).await.expect(404);

    let seen = post(&anyone, LOOK, link("acme", &mail)).await.expect(200);
    assert_eq!(seen.header("cache-control"), Some("no-store"));
    assert_eq!(seen.json["email"], BEA);
    assert_eq!(seen.json["role"], "developer");
    assert_eq!(seen.json["org"], "acme");
    let other = post(
        &anyone,
        ACCEPT,
        acceptance("acme", &mail, "eve@example.com"),
    )
    .await;
    assert_eq!(other.expect(403).json["code"], "HED-2081");
    let mut short = acceptance("acme", &mail, BEA);
    short["password"] = json!("short");
    let short = post(&anyone, ACCEPT, short).await.expect(422);
    assert_eq!(
        short.violations(),
        [("/password".to_owned(), "HED-1005".to_owned())]
    );
    let made = post(&anyone, ACCEPT, acceptance("acme", &mail, BEA)).await;
    let made = made.expect(201);
    assert_eq!(made.json["email"], BEA);
    assert_eq!(made.json["display_name"], "Bea");
    assert_eq!(made.json["roles"], json!([{"role": "developer"}]));
    let used = post(&anyone, ACCEPT, acceptance("acme", &mail, BEA)).await;
    assert_eq!(used.expect(404).json["code"], "HED-2080");
    let body = json!({"org": "acme", "email": BEA, "password": PASSWORD});
    let signed = post(&anyone, "/v1/sessions", body).await.expect(201);
    let bea = anyone.with_token(signed.json["access_token"].as_str().unwrap());
    let _ = bea.get("/meshes").await.expect(200);
    // A developer invites nobody.
    assert_eq!(
        invite(&bea, "cleo@example.com", "viewer")
            .await
            .expect(403)
            .json["permission"],
        "members:write"
    );
    assert_eq!(owner.get(&item).await.expect(200).json["state"], "accepted");
    let _ = owner.delete(&item).await.expect(404);
    assert_eq!(
        invite(&owner, BEA, "viewer").await.expect(409).json["code"],
        "HED-2005"
    );

    // The same person in another organisation is another member, signed in here or not.
    let _ = invite(&rival, BEA, "viewer").await.expect(201);
    let mail = stack.server.mail_to(BEA, 1).await;
    let mut body = acceptance("rival", &mail, BEA);
    body["password"] = json!("staple battery horse correct");
    let _ = post(&bea, ACCEPT, body).await.expect(201);
    let _ = bea.get("/meshes").await.expect(200);

    let log = owner.get("/audit-log?kind=invitation").await.expect(200);
    let actions: Vec<&str> = log.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["accept", "create"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_w10_links_that_were_withdrawn_or_sent_again_lead_to_nothing() {
    let public = ("HEDDLE_PUBLIC_URL", "https://heddle.example.com");
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("mail");
    let mail = [
        ("HEDDLE_MAIL_DIR", folder.to_str().unwrap()),
        ("HEDDLE_MAIL_FROM", "Heddle <heddle@example.com>"),
        public,
    ];
    let mail = mail.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let stack = Stack::start(ServerOptions {
        mail: mail.into(),
        ..ServerOptions::default()
    })
    .await;
    let owner = stack.server.org("acme").await;
    let anyone = owner.with_token("");
    let mails = async |count: usize| {
        until("the mail is there", Duration::from_secs(20), async || {
            Mail::in_folder(&folder).len() == count
        })
        .await;
        Mail::in_folder(&folder).pop().unwrap()
    };
    // Tried, and nothing came of it.
    let tried = owner.post(
        "/invitations?dry_run=true",
        json!({"email": BEA, "role": "viewer"}),
    );
    let _ = tried.await.expect(201);
    let item = format!(
        "/invitations/{}",
        uid(&invite(&owner, BEA, "viewer").await.expect(201))
    );
    let first = mails(1).await;
    let start = "https://heddle.example.com/console/invitation?org=acme#heddle_inv_";
    assert!(first.link().starts_with(start), "{}", first.link());
    let _ = post(&anyone, LOOK, link("acme", &first)).await.expect(200);
    let sendings = format!("{item}/sendings");
    let _ = owner.post(&sendings, json!({})).await.expect(201);
    let second = mails(2).await;
    assert_ne!(first.secret(), second.secret());
    let _ = post(&anyone, LOOK, link("acme", &first)).await.expect(404);
    let _ = post(&anyone, LOOK, link("acme", &second)).await.expect(200);
    let _ = owner.delete(&item).await.expect(204);
    let gone = post(&anyone, ACCEPT, acceptance("acme", &second, BEA)).await;
    assert_eq!(gone.expect(404).json["code"], "HED-2080");
    assert_eq!(
        owner.get(&item).await.expect(200).json["state"],
        "withdrawn"
    );
    // So often.
    let again = invite(&owner, BEA, "viewer").await.expect(201);
    let sendings = format!("/invitations/{}/sendings", uid(&again));
    let mut sent = 0;
    let last = loop {
        let reply = owner.post(&sendings, json!({})).await;
        if reply.status != 201 {
            break reply;
        }
        sent += 1;
        assert!(sent < 10);
    };
    assert_eq!(last.expect(429).json["code"], "HED-2028");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_w10_fifty_accept_at_once_and_one_becomes_a_member() {
    let stack = Stack::start(ServerOptions::default()).await;
    let owner = stack.server.org("acme").await;
    let anyone = owner.with_token("");
    let _ = invite(&owner, BEA, "viewer").await.expect(201);
    let mail = stack.server.mail_to(BEA, 0).await;
    let all = (0..50).map(|_| post(&anyone, ACCEPT, acceptance("acme", &mail, BEA)));
    let statuses = futures::future::join_all(all).await;
    let mut statuses: Vec<u16> = statuses.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201, "{statuses:?}");
    assert!(
        statuses[1..]
            .iter()
            .all(|status| [404, 503].contains(status)),
        "{statuses:?}"
    );
    let members = owner.get("/members").await.expect(200);
    assert_eq!(members.json["items"].as_array().unwrap().len(), 1);
}
