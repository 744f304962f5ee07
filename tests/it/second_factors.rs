//! Second factors by the API: two steps to sign in, what was lost, what an organisation asks of its members, and devices.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heddle_tests::{Api, Reply, ServerOptions, Stack, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::mail::post;

const ANSWER: &str = "/v1/sessions/second-factors";

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// An authenticator.
pub(crate) struct Authenticator {
    totp: totp_rs::Totp,
    used: u64,
}

impl Authenticator {
    fn new(secret: &str) -> Self {
        let key = totp_rs::Secret::try_from_base32(secret).unwrap();
        let totp = totp_rs::Builder::new().with_secret(key).build().unwrap();
        Self { totp, used: 0 }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a member's telephone has the time of the day"
    )]
    fn now() -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_secs()
    }

    /// A code that was not used before. People wait for the next one; a clock that is half a minute ahead is let in as well.
    pub(crate) async fn code(&mut self) -> String {
        let next = self.used + 1;
        until(
            "there is another code",
            Duration::from_secs(60),
            async || next <= Self::now() / 30 + 1,
        )
        .await;
        self.used = next.max(Self::now() / 30);
        self.totp.generate(self.used * 30).to_string()
    }
}

/// A member of the organisation, made by whoever runs the installation: the password.
pub(crate) async fn member(stack: &Stack, email: &str, role: &str) -> String {
    let args = [
        "member", "create", "--org", "acme", "--email", email, "--role", role, "--json",
    ];
    let made = stack.server.admin(&args).await;
    text(&made["password"]).to_owned()
}

pub(crate) async fn first_step(api: &Api, email: &str, password: &str) -> Reply {
    let body = json!({"org": "acme", "email": email, "password": password});
    post(api, "/v1/sessions", body).await
}

pub(crate) fn signed(api: &Api, reply: &Reply) -> Api {
    api.with_token(text(&reply.json["access_token"]))
}

/// Sets one up, and says what it was set up with.
pub(crate) async fn enrol(api: &Api) -> (Authenticator, Vec<String>) {
    let drawn = api.post("/second-factor/enrolments", json!({})).await;
    let drawn = drawn.expect(201);
    assert_eq!(drawn.header("cache-control"), Some("no-store"));
    let secret = text(&drawn.json["secret"]);
    assert!(text(&drawn.json["otpauth_uri"]).contains(secret));
    let mut authenticator = Authenticator::new(secret);
    let code = authenticator.code().await;
    let confirmed = api
        .post("/second-factor/confirmations", json!({"code": code}))
        .await
        .expect(201);
    let codes = confirmed.json["recovery_codes"].as_array().unwrap();
    let codes = codes.iter().map(|code| text(code).to_owned()).collect();
    (authenticator, codes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a18_people_sign_in_with_a_code_and_no_secret_is_kept_or_shown_twice() {
    let stack = Stack::start(ServerOptions::default()).await;
    let script = stack.server.org("acme").await;
    let anyone = script.with_token("");
    let (email, password) = (
        "ada@example.com",
        member(&stack, "ada@example.com", "owner").await,
    );
    let ada = signed(
        &anyone,
        &first_step(&anyone, email, &password).await.expect(201),
    );
    let before = signed(
        &anyone,
        &first_step(&anyone, email, &password).await.expect(201),
    );
    let none = ada.get("/second-factor").await.expect(200);
    assert_eq!(
        none.json,
        json!({"enrolled": false, "confirmed_at": null, "recovery_codes_left": 0, "required": false})
    );
    let tried = ada
        .post("/second-factor/enrolments?dry_run=true", json!({}))
        .await;
    assert!(tried.expect(201).json["secret"].is_null());
    let refused = script.post("/second-factor/enrolments", json!({})).await;
    assert_eq!(refused.expect(403).json["code"], "HED-2016");
    let nothing = ada
        .post("/second-factor/confirmations", json!({"code": "123456"}))
        .await;
    assert!([409, 422].contains(&nothing.status), "{}", nothing.text);

    // The same request again is answered without what it showed.
    let key = [
        ("content-type", "application/json"),
        ("idempotency-key", "enrol-1"),
    ];
    let path = "/v1/orgs/acme/second-factor/enrolments";
    let begun = ada
        .raw(Method::POST, path, &key, b"{}".to_vec())
        .await
        .expect(201);
    let again = ada
        .raw(Method::POST, path, &key, b"{}".to_vec())
        .await
        .expect(201);
    assert_eq!(again.header("heddle-secret-withheld"), Some("true"));
    for field in ["secret", "otpauth_uri"] {
        assert!(
            begun.json[field].is_string() && again.json[field].is_null(),
            "{field}"
        );
    }
    let wrong = ada
        .post("/second-factor/confirmations", json!({"code": "000000"}))
        .await;
    assert_eq!(
        wrong.expect(422).violations(),
        [("/code".to_owned(), "HED-1090".to_owned())]
    );
    let (mut phone, codes) = enrol(&ada).await;
    let _ = before.get("/meshes").await.expect(401);
    let _ = ada.get("/meshes").await.expect(200);
    let twice = ada.post("/second-factor/enrolments", json!({})).await;
    assert_eq!(twice.expect(409).json["code"], "HED-2093");
    let mail = stack.server.mail_to(email, 0).await;
    assert!(
        mail.whole.contains("A second factor was added"),
        "{}",
        mail.whole
    );

    let asked = first_step(&anyone, email, &password).await.expect(401);
    assert_eq!(asked.json["code"], "HED-2090");
    assert_eq!(asked.json["mfa_required"], true);
    assert_eq!(asked.header("cache-control"), Some("no-store"));
    assert!(asked.json["access_token"].is_null());
    let challenge = text(&asked.json["challenge"]).to_owned();
    let answer = |code: String| {
        let body = json!({"org": "acme", "challenge": challenge, "code": code});
        let anyone = anyone.clone();
        async move { post(&anyone, ANSWER, body).await }
    };
    let wrong = answer("000000".to_owned()).await.expect(401);
    assert_eq!(wrong.json["code"], "HED-2001");
    let code = phone.code().await;
    let in_again = answer(code.clone()).await.expect(201);
    let ada = signed(&anyone, &in_again);
    let session = ada.get("/sessions/current").await.expect(200);
    assert_eq!(session.json["second_factor"], "totp");
    let over = answer(code.clone()).await.expect(401);
    assert_eq!(over.json["code"], "HED-2091");
    // The code was used: with a new challenge it is none, and a recovery code is one once.
    let asked = first_step(&anyone, email, &password).await.expect(401);
    let challenge = text(&asked.json["challenge"]);
    let mut statuses = Vec::new();
    for code in [&code, &codes[0]] {
        let body = json!({"org": "acme", "challenge": challenge, "code": code});
        statuses.push(post(&anyone, ANSWER, body).await.status);
    }
    assert_eq!(statuses, [401, 201]);
    let left = ada.get("/second-factor").await.expect(200);
    assert_eq!(
        (&left.json["enrolled"], &left.json["recovery_codes_left"]),
        (&json!(true), &json!(9))
    );

    // Nothing of it is in the audit log or in the server's.
    let log = ada.get("/audit-log?limit=200").await.expect(200);
    for action in ["begin_second_factor", "add_second_factor"] {
        assert!(log.text.contains(action), "{action}");
    }
    let secret = text(&begun.json["secret"]);
    for kept in [&log.text, &stack.server.log()] {
        for shown in [secret, challenge, codes[0].as_str(), codes[1].as_str()] {
            assert!(!kept.contains(shown), "{shown}");
        }
    }
    // In the database the key is sealed.
    let mut database = stack.postgres.inspect().await;
    let sealed: Vec<u8> = sqlx::query_scalar("select sealed_key from heddle.second_factors")
        .fetch_one(&mut database)
        .await
        .unwrap();
    let key = phone.totp.secret().as_bytes().to_vec();
    assert!(!sealed.windows(key.len()).any(|window| window == key));

    // Whoever runs the installation helps who has lost it all.
    let reset = [
        "member",
        "reset-second-factor",
        "--org",
        "acme",
        "--email",
        email,
        "--json",
    ];
    let reset = stack.server.admin(&reset).await;
    assert_eq!(reset["email"], email);
    let _ = ada.get("/meshes").await.expect(401);
    let _ = first_step(&anyone, email, &password).await.expect(201);
    let mail = stack.server.mail_to(email, 1).await;
    assert!(
        mail.whole.contains("second factor was removed"),
        "{}",
        mail.whole
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a19_an_organisation_asks_for_a_second_factor_and_devices_go_on() {
    let stack = Stack::start(ServerOptions::default()).await;
    let script = stack.server.org("acme").await;
    let anyone = script.with_token("");
    let password = member(&stack, "ada@example.com", "owner").await;
    let beas = member(&stack, "bea@example.com", "admin").await;
    let ada = first_step(&anyone, "ada@example.com", &password)
        .await
        .expect(201);
    let ada = signed(&anyone, &ada);
    let bea = first_step(&anyone, "bea@example.com", &beas)
        .await
        .expect(201);
    let bea = signed(&anyone, &bea);
    let laptop = bea
        .post("/tokens", json!({"name": "laptop"}))
        .await
        .expect(201);
    let laptop = script.with_token(text(&laptop.json["secret"]));

    let off = ada.get("/sign-in-policy").await.expect(200);
    assert_eq!(
        off.json,
        json!({"require_mfa": false, "members_without_second_factor": 2, "require_sso": false, "members_without_identity": 2})
    );
    let patch = |api: &Api, on: bool| {
        let api = api.clone();
        async move {
            api.patch("/sign-in-policy", json!({"require_mfa": on}))
                .await
        }
    };
    assert_eq!(
        patch(&script, true).await.expect(403).json["code"],
        "HED-2016"
    );
    assert_eq!(patch(&ada, true).await.expect(409).json["code"], "HED-2094");
    let (_, codes) = enrol(&ada).await;
    let on = patch(&ada, true).await.expect(200);
    assert_eq!(
        on.json,
        json!({"require_mfa": true, "members_without_second_factor": 1, "require_sso": false, "members_without_identity": 2})
    );

    // Nothing but setting one up and leaving; also not with a token of her own. Programs go on.
    for api in [&bea, &laptop] {
        for path in [
            "/meshes",
            "/members",
            "/tokens",
            "/sessions",
            "/sign-in-policy",
        ] {
            let held = api.get(path).await.expect(403);
            assert_eq!(held.json["code"], "HED-2092", "{path}");
        }
        let me = api
            .raw(Method::GET, "/v1/whoami", &[], Vec::new())
            .await
            .expect(200);
        assert_eq!(me.json["must_enrol_second_factor"], true);
        assert_eq!(me.json["permissions"], json!([]));
    }
    assert_eq!(
        bea.put("/meshes/prod", json!({})).await.expect(403).json["code"],
        "HED-2092"
    );
    let others = bea.delete("/sessions/ses_00000000000000000000000000").await;
    assert_eq!(others.expect(403).json["code"], "HED-2092");
    let _ = script.get("/meshes").await.expect(200);
    let asked = json!({"client": "heddle on build-7"});
    let asked = post(&anyone, "/v1/device-authorizations", asked)
        .await
        .expect(201);
    let at = format!(
        "/device-authorizations/{}/approvals",
        text(&asked.json["user_code"])
    );
    assert_eq!(
        bea.post(&at, json!({})).await.expect(403).json["code"],
        "HED-2092"
    );
    let _ = bea.delete("/sessions/current").await.expect(204);

    // She signs in, sets one up, and is in; her token, too, and devices that she lets in.
    let again = first_step(&anyone, "bea@example.com", &beas)
        .await
        .expect(201);
    let bea = signed(&anyone, &again);
    assert_eq!(
        bea.get("/second-factor").await.expect(200).json["required"],
        true
    );
    let _ = enrol(&bea).await;
    let _ = bea.get("/meshes").await.expect(200);
    let _ = laptop.get("/meshes").await.expect(200);
    let _ = bea.post(&at, json!({})).await.expect(201);
    let code = json!({"device_code": asked.json["device_code"]});
    let device = post(&anyone, "/v1/device-authorizations/tokens", code)
        .await
        .expect(201);
    let _ = signed(&anyone, &device).get("/meshes").await.expect(200);

    // An admin helps nobody who may do more; the owner helps the admin, who then has to set up another.
    let reset = |who: &str| format!("/members/{who}/second-factor-resets");
    let refused = bea
        .post(&reset("ada@example.com"), json!({}))
        .await
        .expect(403);
    assert_eq!(refused.json["code"], "HED-2009");
    let seen = ada.get("/members/bea@example.com").await.expect(200);
    assert_eq!(seen.json["has_second_factor"], true);
    let _ = ada
        .post(&reset("bea@example.com"), json!({}))
        .await
        .expect(204);
    let _ = bea.get("/meshes").await.expect(401);
    let device = signed(&anyone, &device);
    let _ = device.get("/meshes").await.expect(401);
    let gone = ada
        .post(&reset("bea@example.com"), json!({}))
        .await
        .expect(409);
    assert_eq!(gone.json["code"], "HED-2094");

    // Who removes it where it is asked for has to set up another; whoever has one may ask no more.
    assert_eq!(
        patch(&ada, false).await.expect(200).json["require_mfa"],
        false
    );
    let removed = ada
        .post("/second-factor/removals", json!({"code": codes[0]}))
        .await;
    let _ = removed.expect(204);
    let _ = first_step(&anyone, "ada@example.com", &password)
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_password_is_told_by_mail() {
    let stack = Stack::start(ServerOptions::default()).await;
    let script = stack.server.org("acme").await;
    let anyone = script.with_token("");
    let email = "ada@example.com";
    let password = member(&stack, email, "owner").await;
    let ada = signed(
        &anyone,
        &first_step(&anyone, email, &password).await.expect(201),
    );
    let next = "staple battery horse correct";
    let change = json!({"current_password": password, "new_password": next});
    let _ = ada.post("/password-changes", change).await.expect(204);
    let mail = stack.server.mail_to(email, 0).await;
    assert!(
        mail.whole.contains("Your password was changed"),
        "{}",
        mail.whole
    );
    assert!(!mail.whole.contains(next) && !mail.whole.contains(&password));
}
