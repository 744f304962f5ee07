//! Signing in by an identity provider: a real one, one that lies, and an organisation that asks for it.

mod lies;
mod required;

use std::collections::BTreeMap;

use heddle_tests::{Api, Browser, IdentityProvider, Reply, ServerOptions, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use crate::mail::post;
use crate::second_factors::{Authenticator, enrol, first_step, member, signed, text};

const SIGN_INS: &str = "/v1/sso-sign-ins";
const COMPLETIONS: &str = "/v1/sso-sign-ins/completions";
const ADA: &str = "ada@example.com";

/// A server, a provider that it may call, and an owner who signed in with a password.
struct Scene {
    stack: Stack,
    provider: IdentityProvider,
    anyone: Api,
    ada: Api,
    password: String,
}

impl Scene {
    async fn start() -> Self {
        let mut provider = IdentityProvider::planned();
        let options = ServerOptions {
            egress: provider.settings(),
            ..ServerOptions::default()
        };
        let stack = Stack::start(options).await;
        let back = |org: &str| format!("{}/console/sso/{org}/workforce", stack.server.url());
        provider.start(&[&back("acme"), &back("rival")]).await;
        let anyone = stack.server.org("acme").await.with_token("");
        let password = member(&stack, ADA, "owner").await;
        let ada = signed(
            &anyone,
            &first_step(&anyone, ADA, &password).await.expect(201),
        );
        let body = provider.connection("workforce");
        let made = ada.post("/sso-connections", body).await.expect(201);
        assert_eq!(made.json["redirect_uri"], back("acme"));
        Self {
            stack,
            provider,
            anyone,
            ada,
            password,
        }
    }

    /// Links the account of that name at the provider with a member.
    async fn link(&self, member: &Api, account: &str) -> Reply {
        let begun = member
            .post("/identities/requests", json!({"connection": "workforce"}))
            .await;
        let begun = begun.expect(201);
        let back = Browser::new()
            .sign_in(text(&begun.json["authorization_url"]), account)
            .await;
        member
            .post("/identities", completion("acme", &begun, &back))
            .await
    }

    /// Signs in with the account of that name.
    async fn sign_in(&self, account: &str) -> Reply {
        let begun = begin(&self.anyone, "acme").await.expect(201);
        let back = Browser::new()
            .sign_in(text(&begun.json["authorization_url"]), account)
            .await;
        post(&self.anyone, COMPLETIONS, completion("acme", &begun, &back)).await
    }
}

async fn begin(anyone: &Api, org: &str) -> Reply {
    post(anyone, SIGN_INS, json!({"org": org})).await
}

/// What a browser sends that came back.
fn completion(org: &str, begun: &Reply, back: &BTreeMap<String, String>) -> Value {
    let mut body =
        json!({"org": org, "connection": "workforce", "secret": begun.json["secret"], "state": ""});
    for (name, value) in back {
        body[name] = json!(value);
    }
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a08_members_link_an_account_and_sign_in_by_a_real_provider() {
    let scene = Scene::start().await;
    let (ada, anyone) = (&scene.ada, &scene.anyone);
    let tested = ada
        .post("/sso-connections/workforce/tests", json!({}))
        .await;
    assert_eq!(tested.expect(200).json["passed"], true);

    // Of somebody whom nobody is linked with, nothing but that is said; an address is nobody's proof of anything.
    let stranger = scene.sign_in("ada").await.expect(403);
    assert_eq!(stranger.json["code"], "HED-2104");
    assert_eq!(stranger.json["provider_email"], ADA);
    let linked = scene.link(ada, "ada").await.expect(201);
    assert_eq!(linked.json["subject"], "ada");
    let again = scene.link(ada, "another").await.expect(409);
    assert_eq!(again.json["code"], "HED-2106");

    let begun = begin(anyone, "acme").await.expect(201);
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    let mut browser = Browser::new();
    let url = text(&begun.json["authorization_url"]);
    let back = browser.sign_in(url, "ada").await;
    let body = completion("acme", &begun, &back);
    let entered = post(anyone, COMPLETIONS, body.clone()).await.expect(201);
    assert_eq!(entered.json["member"]["email"], ADA);
    let by_sso = signed(anyone, &entered);
    let session = by_sso.get("/sessions/current").await.expect(200);
    assert_eq!(session.json["method"], "sso");
    // Once: neither the secret nor the code is of use again.
    let replayed = post(anyone, COMPLETIONS, body).await.expect(401);
    assert_eq!(replayed.json["code"], "HED-2103");
    // The provider knows who this is: nobody is asked, unless it is to ask.
    let begun = begin(anyone, "acme").await.expect(201);
    let back = browser
        .sign_in(text(&begun.json["authorization_url"]), "nobody")
        .await;
    let entered = post(anyone, COMPLETIONS, completion("acme", &begun, &back)).await;
    assert_eq!(entered.expect(201).json["member"]["email"], ADA);
    let asked = json!({"org": "acme", "connection": "workforce", "reauthenticate": true, "login_hint": ADA});
    let begun = post(anyone, SIGN_INS, asked).await.expect(201);
    let back = browser
        .sign_in(text(&begun.json["authorization_url"]), "ada")
        .await;
    let entered = post(anyone, COMPLETIONS, completion("acme", &begun, &back))
        .await
        .expect(201);
    // Who showed the provider just now who they are may do what takes that.
    let renamed = signed(anyone, &entered)
        .patch("/sso-connections/workforce", json!({"display_name": null}))
        .await;
    assert_eq!(renamed.expect(200).json["display_name"], Value::Null);

    // What the provider says no with is said on.
    let begun = begin(anyone, "acme").await.expect(201);
    let back = Browser::new()
        .decline(text(&begun.json["authorization_url"]))
        .await;
    let refused = post(anyone, COMPLETIONS, completion("acme", &begun, &back))
        .await
        .expect(401);
    assert_eq!(refused.json["code"], "HED-2100");
    assert_eq!(refused.json["provider_error"], "access_denied");

    // A wrong secret is found by the test, and said when somebody signs in.
    let wrong = ada
        .patch(
            "/sso-connections/workforce",
            json!({"client_secret": "wrong"}),
        )
        .await;
    assert_eq!(wrong.expect(200).json["has_client_secret"], true);
    let tested = ada
        .post("/sso-connections/workforce/tests", json!({}))
        .await
        .expect(200);
    assert_eq!(tested.json["passed"], false);
    assert!(
        text(&tested.json["checks"][2]["detail"]).contains("invalid_client"),
        "{}",
        tested.text
    );
    let refused = scene.sign_in("ada").await.expect(401);
    assert_eq!(refused.json["provider_error"], "invalid_client");
    let right = json!({"client_secret": scene.provider.secret()});
    let _ = ada
        .patch("/sso-connections/workforce", right)
        .await
        .expect(200);

    // Without the link, without the sessions.
    let all = by_sso.get("/identities").await.expect(200);
    let identity = text(&all.json["items"][0]["meta"]["uid"]).to_owned();
    let _ = ada
        .delete(&format!("/identities/{identity}"))
        .await
        .expect(204);
    let _ = by_sso.get("/meshes").await.expect(401);
    assert_eq!(
        scene.sign_in("ada").await.expect(403).json["code"],
        "HED-2104"
    );
    // The same account, another member: whoever has it now is who is linked now.
    let _ = scene.link(ada, "ada").await.expect(201);
    assert_eq!(
        scene.sign_in("ada").await.expect(201).json["member"]["email"],
        ADA
    );
    let _ = ada.delete("/sso-connections/workforce").await.expect(204);
    assert_eq!(
        begin(anyone, "acme").await.expect(404).json["code"],
        "HED-2003"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k01_what_a_provider_is_shown_is_seen_nowhere() {
    let scene = Scene::start().await;
    let secret = scene.provider.secret();
    let _ = scene.link(&scene.ada, "ada").await.expect(201);
    let entered = scene.sign_in("ada").await.expect(201);
    let listed = scene.ada.get("/sso-connections").await.expect(200);
    let one = scene
        .ada
        .get("/sso-connections/workforce")
        .await
        .expect(200);
    let log = scene
        .ada
        .raw(Method::GET, "/v1/orgs/acme/audit-log", &[], Vec::new())
        .await
        .expect(200);
    assert!(
        log.text.contains("sso_connection") && log.text.contains("identity"),
        "{}",
        log.text
    );
    let begun = begin(&scene.anyone, "acme").await.expect(201);
    for (what, seen) in [
        ("list", &listed.text),
        ("object", &one.text),
        ("audit log", &log.text),
        ("session", &entered.text),
        ("beginning", &begun.text),
        ("server log", &scene.stack.server.log()),
    ] {
        assert!(!seen.contains(secret), "{what}: {seen}");
    }
    let mut database = scene.stack.postgres.inspect().await;
    let sealed: Vec<u8> = sqlx::query_scalar("select sealed_secret from heddle.sso_connections")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert!(
        !sealed
            .windows(secret.len())
            .any(|part| part == secret.as_bytes())
    );
    // Of the secret that a browser keeps, the hash.
    let kept = text(&begun.json["secret"]).to_owned();
    let found: i64 = sqlx::query_scalar(
        "select count(*) from heddle.sso_sign_ins s where s::text like '%' || $1 || '%'",
    )
    .bind(kept)
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert_eq!(found, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a06_a_connection_of_one_organisation_lets_nobody_into_another() {
    let scene = Scene::start().await;
    let _ = scene.link(&scene.ada, "ada").await.expect(201);
    // The other organisation has the same provider, the same client, and a member with the same address.
    let _ = scene.stack.server.org("rival").await;
    let args = [
        "member", "create", "--org", "rival", "--email", ADA, "--role", "owner", "--json",
    ];
    let made = scene.stack.server.admin(&args).await;
    let body = json!({"org": "rival", "email": ADA, "password": made["password"]});
    let entered = post(&scene.anyone, "/v1/sessions", body).await.expect(201);
    let rival = signed(&scene.anyone, &entered).at_org("rival");
    let _ = rival
        .post("/sso-connections", scene.provider.connection("workforce"))
        .await
        .expect(201);

    let begun = begin(&scene.anyone, "rival").await.expect(201);
    let back = Browser::new()
        .sign_in(text(&begun.json["authorization_url"]), "ada")
        .await;
    // What was begun for one is nothing to the other, and nobody is linked with that account here.
    let crossed = post(
        &scene.anyone,
        COMPLETIONS,
        completion("acme", &begun, &back),
    )
    .await;
    assert_eq!(crossed.expect(401).json["code"], "HED-2103");
    let refused = post(
        &scene.anyone,
        COMPLETIONS,
        completion("rival", &begun, &back),
    )
    .await;
    assert_eq!(refused.expect(403).json["code"], "HED-2104");
    // Neither sees what the other has.
    let own = rival.get("/identities").await.expect(200);
    assert_eq!(own.json["items"], json!([]));
    let all = scene.ada.get("/identities").await.expect(200);
    let identity = text(&all.json["items"][0]["meta"]["uid"]).to_owned();
    for path in [
        "/sso-connections",
        "/sso-connections/workforce",
        "/identities",
    ] {
        let _ = rival.at_org("acme").get(path).await.expect(404);
    }
    let connections = scene.ada.get("/sso-connections").await.expect(200);
    let connection = text(&connections.json["items"][0]["meta"]["uid"]).to_owned();
    let _ = rival
        .get(&format!("/sso-connections/{connection}"))
        .await
        .expect(404);
    let _ = rival
        .delete(&format!("/sso-connections/{connection}"))
        .await
        .expect(404);
    let _ = rival
        .get(&format!("/identities/{identity}"))
        .await
        .expect(404);
    let _ = rival
        .delete(&format!("/identities/{identity}"))
        .await
        .expect(404);
    // And the first one still gets in where it is linked.
    assert_eq!(
        scene.sign_in("ada").await.expect(201).json["org"]["name"],
        "acme"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_invited_becomes_a_member_by_the_provider() {
    let scene = Scene::start().await;
    let anyone = &scene.anyone;
    let invite = json!({"email": "bea@example.com", "role": "developer"});
    let _ = scene.ada.post("/invitations", invite).await.expect(201);
    let mail = scene.stack.server.mail_to("bea@example.com", 0).await;

    // The account at the provider has another address: that it is the invitation's does not matter, and the link does.
    let begun = begin(anyone, "acme").await.expect(201);
    let back = Browser::new()
        .sign_in(text(&begun.json["authorization_url"]), "beatrice")
        .await;
    let mut body = completion("acme", &begun, &back);
    body["invitation"] = json!(mail.secret());
    let entered = post(anyone, COMPLETIONS, body.clone()).await.expect(201);
    assert_eq!(entered.json["member"]["email"], "bea@example.com");
    let bea = signed(anyone, &entered);
    let own = bea.get("/identities").await.expect(200);
    assert_eq!(
        own.json["items"][0]["provider_email"],
        "beatrice@example.com"
    );
    assert_eq!(
        scene.sign_in("beatrice").await.expect(201).json["member"]["email"],
        "bea@example.com"
    );
    let wrong = first_step(anyone, "bea@example.com", "").await;
    let _ = wrong.expect(401);

    // The link is used up; and an invitation makes nobody another member who is one.
    let again = async |account: &str, secret: &str| {
        let begun = begin(anyone, "acme").await.expect(201);
        let back = Browser::new()
            .sign_in(text(&begun.json["authorization_url"]), account)
            .await;
        let mut body = completion("acme", &begun, &back);
        body["invitation"] = json!(secret);
        post(anyone, COMPLETIONS, body).await
    };
    assert_eq!(
        again("cleo", mail.secret()).await.expect(404).json["code"],
        "HED-2080"
    );
    let invite = json!({"email": "dan@example.com", "role": "viewer"});
    let _ = scene.ada.post("/invitations", invite).await.expect(201);
    let mail = scene.stack.server.mail_to("dan@example.com", 0).await;
    assert_eq!(
        again("beatrice", mail.secret()).await.expect(409).json["code"],
        "HED-2106"
    );
    assert_eq!(
        again("dan", mail.secret()).await.expect(201).json["member"]["email"],
        "dan@example.com"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_factor_is_asked_for_after_the_provider() {
    let scene = Scene::start().await;
    let _ = scene.link(&scene.ada, "ada").await.expect(201);
    let (mut authenticator, _): (Authenticator, _) = enrol(&scene.ada).await;
    let asked = scene.sign_in("ada").await.expect(401);
    assert_eq!(asked.json["code"], "HED-2090");
    let code = authenticator.code().await;
    let body = json!({"org": "acme", "challenge": asked.json["challenge"], "code": code});
    let entered = post(&scene.anyone, "/v1/sessions/second-factors", body)
        .await
        .expect(201);
    let session = signed(&scene.anyone, &entered)
        .get("/sessions/current")
        .await
        .expect(200);
    assert_eq!(session.json["method"], "sso");
    assert_eq!(session.json["second_factor"], "totp");
    let _ = &scene.password;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_i11_nobody_has_the_server_call_its_own_network() {
    let stack = Stack::start(ServerOptions::default()).await;
    let script = stack.server.org("acme").await;
    for issuer in [
        "https://127.0.0.1:8443",
        "https://2130706433",
        "https://[::ffff:127.0.0.1]",
        "https://169.254.169.254/latest",
        "https://10.0.0.1",
        "https://[fd00::1]",
        "http://id.example.com",
        "https://user@id.example.com",
        "gopher://id.example.com",
    ] {
        let body = json!({"name": "bad", "issuer": issuer, "client_id": "heddle"});
        let refused = script.post("/sso-connections", body).await.expect(422);
        assert_eq!(
            refused.violations(),
            [("/issuer".to_owned(), "HED-1006".to_owned())],
            "{issuer}"
        );
    }
    // A name shows only when it is called what it stands for; which address that is, is not said.
    let body = json!({"name": "named", "issuer": format!("https://localhost:{}", stack.server.api_port()), "client_id": "heddle"});
    let _ = script.post("/sso-connections", body).await.expect(201);
    let tested = script
        .post("/sso-connections/named/tests", json!({}))
        .await
        .expect(200);
    assert_eq!(tested.json["passed"], false);
    let detail = text(&tested.json["checks"][0]["detail"]);
    assert!(
        detail.contains("not one of the public internet") && !detail.contains("127.0"),
        "{detail}"
    );
    let refused = begin(&script.with_token(""), "acme").await.expect(409);
    assert_eq!(refused.json["code"], "HED-2101");
}
