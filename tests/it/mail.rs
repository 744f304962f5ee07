//! Mail on its way: to a real mail server, to one that is away, from a server that is killed, and into files.

use std::time::{Duration, Instant};

use heddle_tests::{Api, Reply, ServerOptions, Smtp, Stack, until, until_some};
use reqwest::Method;
use serde_json::{Value, json};

const ASK: &str = "/v1/password-resets";
const EMAIL: &str = "ada@example.com";

pub(crate) async fn post(api: &Api, path: &str, body: Value) -> Reply {
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    api.raw(Method::POST, path, &headers, body).await
}

/// An organisation with a member; a caller without a credential.
async fn member(stack: &Stack) -> Api {
    let script = stack.server.org("acme").await;
    let args = [
        "member", "create", "--org", "acme", "--email", EMAIL, "--role", "owner", "--json",
    ];
    let _ = stack.server.admin(&args).await;
    script.with_token("")
}

async fn ask(api: &Api) {
    let body = json!({"org": "acme", "email": EMAIL});
    let _ = post(api, ASK, body).await.expect(202);
}

async fn outcomes(stack: &Stack, outcome: &str) -> f64 {
    let metrics = stack.server.metrics().await;
    let key = format!("heddle_mails_total{{outcome=\"{outcome}\"}}");
    metrics.get(&key).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_waits_for_a_mail_server_and_outlives_the_server_that_wrote_it() {
    let mut smtp = Smtp::planned();
    let options = ServerOptions {
        mail: smtp.settings(),
        ..ServerOptions::default()
    };
    let mut stack = Stack::start(options).await;
    let anyone = member(&stack).await;

    // Nobody takes it, and nobody who asks waits for that.
    let begun = Instant::now();
    ask(&anyone).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    until("it was tried", Duration::from_secs(20), async || {
        outcomes(&stack, "delayed").await > 0.0
    })
    .await;
    // Written, and not sent yet, when the server dies.
    stack.server.kill().await;
    smtp.start().await;
    assert!(smtp.mails().is_empty());
    stack.server.start_again().await;
    let mail = until_some("it arrives", Duration::from_secs(30), async || {
        smtp.mails().into_iter().next()
    })
    .await;
    assert_eq!(mail.to, EMAIL);
    assert_eq!(mail.subject, "Set another password for acme");
    assert!(
        mail.whole.contains("From: Heddle <heddle@example.com>"),
        "{}",
        mail.whole
    );
    let taken = format!("X-Taken: tls=True auth=True to={EMAIL}");
    assert!(mail.whole.starts_with(&taken), "{}", mail.whole);
    let link = format!(
        "{}/console/reset-password?org=acme#heddle_rst_",
        stack.server.url()
    );
    assert!(mail.link().starts_with(&link), "{}", mail.link());
    let body = json!({"org": "acme", "secret": mail.secret(), "new_password": "staple battery horse correct"});
    let _ = post(&anyone, "/v1/password-resets/completions", body)
        .await
        .expect(204);

    // And once it is there, at once: what tells of the new password, and another link.
    ask(&anyone).await;
    until("both arrive", Duration::from_secs(20), async || {
        smtp.mails().len() == 3
    })
    .await;
    until("it is known", Duration::from_secs(10), async || {
        outcomes(&stack, "sent").await >= 3.0
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(smtp.mails().len(), 3, "each once");
    let told = smtp
        .mails()
        .into_iter()
        .filter(|mail| mail.subject.starts_with("Your password was changed"));
    assert_eq!(told.count(), 1);
    let log = stack.server.log();
    assert!(
        !log.contains(smtp.password()) && !log.contains("heddle_rst_"),
        "{log}"
    );
    stack.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k01_a_mail_server_that_is_not_the_one_gets_neither_mail_nor_password() {
    let (mut smtp, other) = (Smtp::planned(), Smtp::planned());
    smtp.start().await;
    // The right place, with another authority.
    let mut settings = smtp.settings();
    settings[1] = other.settings()[1].clone();
    let options = ServerOptions {
        mail: settings,
        ..ServerOptions::default()
    };
    let stack = Stack::start(options).await;
    let anyone = member(&stack).await;
    ask(&anyone).await;
    until("it was tried", Duration::from_secs(30), async || {
        outcomes(&stack, "delayed").await > 1.0
    })
    .await;
    assert!(smtp.mails().is_empty());
    let log = stack.server.log();
    assert!(log.contains("a mail cannot be sent"), "{log}");
    assert!(!log.contains(smtp.password()), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_hangs_holds_no_server_up_that_is_to_stop() {
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = hanging.local_addr().unwrap();
    let mail = [
        ("HEDDLE_SMTP_URL", format!("smtp://{place}")),
        ("HEDDLE_MAIL_FROM", "Heddle <heddle@example.com>".to_owned()),
    ];
    let mut stack = Stack::start(ServerOptions {
        mail: mail.map(|(name, value)| (name.to_owned(), value)).into(),
        ..ServerOptions::default()
    })
    .await;
    let anyone = member(&stack).await;
    ask(&anyone).await;
    // It takes the connection and says nothing.
    let taken = tokio::time::timeout(Duration::from_secs(20), hanging.accept()).await;
    let _taken = taken.unwrap().unwrap();
    let begun = Instant::now();
    stack.server.stop().await;
    let stopped = begun.elapsed();
    assert!(stopped < Duration::from_secs(4), "{stopped:?}");
    let log = stack.server.log();
    assert!(!log.contains("as far as time allowed"), "{log}");
}
