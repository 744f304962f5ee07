//! Tokens of end users on real Envoys: which count, where none is needed, what rules ask of them, and keys that are fetched.

use std::time::Duration;

use heddle_tests::{
    Api, EnvoyVersion, Issuer, KeyServer, PlannedKeyServer, ServerOptions, Stack, Workload,
    WorkloadSpec, free_port, until, until_some,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

const SOON: Duration = Duration::from_secs(20);
const RULES: &str = "/meshes/shop/services/payments/access-rules";

/// Two workloads, one of which calls the other.
struct Shop {
    // Before the stack: whoever talks to the server ends first.
    frontend: Workload,
    payments: Workload,
    api: Api,
    _stack: Stack,
}

impl Shop {
    async fn open(envoy: EnvoyVersion, authentication: Value) -> Self {
        let stack = Stack::start(ServerOptions::default()).await;
        let mesh = json!({"defaults": {"authentication": authentication}});
        let services = ["frontend", "payments"];
        let api = stack.mesh("acme", "shop", mesh, &services).await;
        let start = async |service, proxy, envoy| {
            let spec = WorkloadSpec::of_shop(service, proxy, envoy);
            Workload::start(&stack, &api, &spec).await
        };
        let frontend = start("frontend", "frontend-1", EnvoyVersion::Newest).await;
        let payments = start("payments", "payments-1", envoy).await;
        for workload in [&frontend, &payments] {
            workload.ready(&api, "shop").await;
        }
        Self {
            frontend,
            payments,
            api,
            _stack: stack,
        }
    }

    async fn put(&self, path: &str, body: Value) {
        let reply = self.api.put(&format!("/meshes/shop{path}"), body).await;
        assert!(reply.status < 300, "{}", reply.text);
    }

    async fn rule(&self, name: &str, spec: Value) {
        let reply = self.api.put(&format!("{RULES}/{name}"), spec).await;
        assert!(reply.status < 300, "{}", reply.text);
    }

    /// What the service itself says. A bound moves along, so that the caller makes new connections: those that exist keep the
    /// providers that they began with.
    async fn say(&self, authentication: Value, most: u32) {
        let ports = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
        let bound = json!({"max_connections": most});
        let defaults = json!({"authentication": authentication, "circuit_breaking": bound});
        let body = json!({"ports": ports, "profile": "std", "defaults": defaults});
        self.put("/services/payments", body).await;
    }

    async fn call(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        self.frontend.call_with("payments", path, headers).await
    }

    /// With a token where it is looked for.
    async fn with(&self, path: &str, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        self.call(path, &[("authorization", &bearer)]).await.0
    }

    async fn until(&self, what: &str, path: &str, token: Option<&str>, status: u16) {
        until(what, SOON, async || {
            let got = match token {
                None => self.call(path, &[]).await.0,
                Some(token) => self.with(path, token).await,
            };
            got == status
        })
        .await;
    }

    /// What is made of the line that the called proxy wrote about a request of this path.
    async fn why(&self, path: &str) -> Value {
        let line = until_some("a line about it", SOON, async || {
            let output = self.payments.envoy.output();
            let ours = |line: &&str| {
                serde_json::from_str::<Value>(line)
                    .is_ok_and(|line| line["direction"] == "inbound" && line["path"] == path)
            };
            output.lines().find(ours).map(ToOwned::to_owned)
        })
        .await;
        let question = json!({"log": line});
        let told = self.api.post("/meshes/shop/access/checks", question).await;
        told.expect(200).json["because"].clone()
    }

    /// What is thought of is decided as the Envoys do.
    async fn would(&self, path: &str, claims: Option<&Value>) -> bool {
        let mut call =
            json!({"from": {"service": "frontend"}, "service": "payments", "path": path});
        if let Some(claims) = claims {
            call["token"] = json!({"provider": "accounts", "claims": claims.to_string()});
        }
        let question = json!({"call": call});
        let told = self.api.post("/meshes/shop/access/checks", question).await;
        told.expect(200).json["allowed"] == true
    }
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Claims that are right, with some changed; null takes one away.
fn claims(issuer: &Issuer, change: &Value) -> Value {
    let mut claims =
        json!({"iss": issuer.name, "aud": "payments", "sub": "alice", "exp": now() + 3600});
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

fn token(issuer: &Issuer, change: &Value) -> String {
    issuer.token(&claims(issuer, change))
}

fn provider(issuer: &Issuer) -> Value {
    json!({
        "name": "accounts",
        "issuer": issuer.name,
        "audiences": ["payments"],
        "jwks": {"inline": issuer.jwks()},
        "claims_to_headers": [{"claim": ["sub"], "header": "x-user"}],
        "forward": false,
    })
}

/// The same with keys that are fetched, as often as may be.
fn provider_at(issuer: &Issuer, server: &PlannedKeyServer) -> Value {
    let mut provider = provider(issuer);
    provider["jwks"] = json!({"remote": {
        "uri": server.uri(), "ca": {"pem": server.ca_pem}, "timeout": "1s", "cache": "60s",
    }});
    provider
}

/// Every token that must not count, and the answer to it.
fn unfit(issuer: &Issuer) -> Vec<(&'static str, String, u16)> {
    let good = claims(issuer, &json!({}));
    let stranger = Issuer::new(&issuer.name);
    let signed = issuer.token(&good);
    let (rest, signature) = signed.rsplit_once('.').unwrap();
    let mut flipped = signature.to_owned();
    flipped.replace_range(3..4, if &flipped[3..4] == "A" { "B" } else { "A" });
    let none = |alg: &str| Issuer::unsigned(&json!({"alg": alg, "typ": "JWT"}), &good);
    let changed = |change: Value| token(issuer, &change);
    vec![
        ("expired", changed(json!({"exp": now() - 600})), 401),
        ("without-end", changed(json!({"exp": null})), 401),
        ("not-yet", changed(json!({"nbf": now() + 600})), 401),
        (
            "issuer",
            changed(json!({"iss": "https://evil.example/"})),
            401,
        ),
        (
            "issuer-slash",
            changed(json!({"iss": format!("{}/", issuer.name)})),
            401,
        ),
        ("audience", changed(json!({"aud": "others"})), 403),
        ("no-audience", changed(json!({"aud": null})), 403),
        ("key", stranger.token(&good), 401),
        ("signature", format!("{rest}.{flipped}"), 401),
        ("no-signature", format!("{rest}."), 401),
        ("two-parts", rest.to_owned(), 401),
        ("alg-none", format!("{}.", none("none")), 401),
        ("alg-None", format!("{}.", none("None")), 401),
        ("alg-hs256", format!("{}.{signature}", none("HS256")), 401),
        ("garbage", "a.b.c".to_owned(), 401),
    ]
}

async fn tokens(envoy: EnvoyVersion) {
    let issuer = Issuer::new("https://accounts.example.com");
    let authentication = json!({
        "providers": [provider(&issuer)],
        "required": true,
        "open_paths": [{"exact": "/login"}, {"prefix": "/public"}],
    });
    let shop = Shop::open(envoy, authentication).await;
    shop.put("/profiles/std", json!({"settings": {}})).await;
    shop.rule(
        "all",
        json!({"action": "allow", "from": [{"service": "frontend"}]}),
    )
    .await;
    let good = token(&issuer, &json!({}));
    shop.until("a good token passes", "/v1", Some(&good), 200)
        .await;

    // sec A01, A04, A05, A06: each is refused, and the line of it says why.
    for (name, token, status) in unfit(&issuer) {
        let path = format!("/unfit/{name}");
        assert_eq!(shop.with(&path, &token).await, status, "{name}");
        assert_eq!(shop.why(&path).await, "unfit_token", "{name}");
    }
    assert_eq!(shop.call("/none", &[]).await.0, 401);
    assert_eq!(shop.why("/none").await, "no_token");
    // Nowhere else is a token looked for.
    assert_eq!(
        shop.call(&format!("/q?access_token={good}"), &[]).await.0,
        401
    );
    // Within the skew of clocks.
    let late = token(&issuer, &json!({"exp": now() - 20}));
    assert_eq!(shop.with("/v1", &late).await, 200);

    // Where no token is needed, one that does not hold is none of anybody's business.
    for path in ["/login", "/public", "/public/x", "/login?a=b", "//login"] {
        assert_eq!(shop.call(path, &[]).await.0, 200, "{path}");
        assert_eq!(shop.with(path, "a.b.c").await, 200, "{path}");
    }
    for path in [
        "/login/",
        "/publicity",
        "/x/login",
        "/public/../v1",
        "/public/..;/v1",
    ] {
        let status = shop.call(path, &[]).await.0;
        assert!([401, 403].contains(&status), "{path}: {status}");
    }
    assert!(shop.would("/login", None).await && !shop.would("/v1", None).await);

    // sec Z02: what only a token can say, nobody says in its place.
    let bearer = format!("Bearer {good}");
    let (_, answer) = shop
        .call(
            "/v1",
            &[
                ("authorization", &bearer),
                ("x-user", "root"),
                ("X-User", "admin"),
            ],
        )
        .await;
    assert_eq!(
        (&answer["user"], &answer["authorization"]),
        (&json!("alice"), &Value::Null)
    );
    let (_, answer) = shop.call("/login", &[("x-user", "root")]).await;
    assert_eq!(answer["user"], Value::Null, "{answer}");

    let broken = token(&issuer, &json!({"sub": "alice\r\nauthorization: root"}));
    assert_eq!(shop.with("/broken", &broken).await, 403);
    assert_eq!(shop.why("/broken").await, "unfit_token");
    let foreign = token(&issuer, &json!({"sub": "Zo\u{eb}"}));
    assert_eq!(shop.with("/v1", &foreign).await, 200);

    levels(&shop, &good).await;
    rules(&shop, &issuer).await;
    fetched(&shop).await;
}

/// Each level says the opposite of the one below, in force for the next requests of connections that exist.
async fn levels(shop: &Shop, good: &str) {
    let effective = async || {
        let path = "/meshes/shop/services/payments/effective";
        let table = shop.api.get(path).await.expect(200).json;
        let items = table["items"].as_array().unwrap().clone();
        let item = items
            .into_iter()
            .find(|item| item["field"] == "authentication.required");
        let item = item.unwrap();
        (item["value"].clone(), item["from"]["level"].clone())
    };
    shop.say(json!({}), 1001).await;
    assert_eq!(effective().await, (json!(true), json!("mesh")));
    let optional = json!({"settings": {"authentication": {"required": false}}});
    shop.put("/profiles/std", optional).await;
    assert_eq!(effective().await, (json!(false), json!("profile")));
    shop.until("the profile makes it optional", "/v1", None, 200)
        .await;
    assert_eq!(shop.with("/v1", "a.b.c").await, 401);
    assert_eq!(shop.with("/v1", good).await, 200);
    shop.say(json!({"required": true, "open_paths": []}), 1002)
        .await;
    assert_eq!(effective().await, (json!(true), json!("service")));
    shop.until("the service wants one", "/login", None, 401)
        .await;
    assert_eq!(shop.with("/login", good).await, 200);
    shop.say(json!({"required": false}), 1003).await;
    shop.until("the service does not", "/v1", None, 200).await;
}

/// Rules that ask for claims: nothing is open because a token is missing.
async fn rules(shop: &Shop, issuer: &Issuer) {
    let asking = |claims: Value| json!([{"service": "frontend", "token": {"provider": "accounts", "claims": claims}}]);
    let of = |path: &str| json!([{"paths": [{"prefix": path}]}]);
    let roles = asking(
        json!([{"claim": ["realm", "roles"], "values": ["cashier", "boss"]}, {"claim": ["verified"], "values": ["true"]}]),
    );
    shop.rule(
        "cash",
        json!({"action": "allow", "from": roles, "to": of("/cash")}),
    )
    .await;
    let guests = asking(json!([{"claim": ["scope"], "values": ["guest"]}]));
    shop.rule(
        "guests",
        json!({"action": "deny", "from": guests, "to": of("/deny")}),
    )
    .await;
    let level = asking(json!([{"claim": ["level"], "values": ["3"]}]));
    shop.rule(
        "level",
        json!({"action": "allow", "from": level, "to": of("/level")}),
    )
    .await;
    let any = json!([{"token": {"provider": "accounts"}}]);
    shop.rule(
        "any",
        json!({"action": "allow", "from": any, "to": of("/any")}),
    )
    .await;
    let all = json!({"action": "allow", "to": of("/deny")});
    shop.rule("all", all).await;
    let said = |change: Value| Some(claims(issuer, &change));
    let cases = [
        (
            "/cash",
            said(json!({"realm": {"roles": ["x", "cashier"]}, "verified": true})),
            200,
        ),
        (
            "/cash",
            said(json!({"realm": {"roles": "boss"}, "verified": "true"})),
            200,
        ),
        (
            "/cash",
            said(json!({"realm": {"roles": ["cashier"]}, "verified": false})),
            403,
        ),
        (
            "/cash",
            said(json!({"realm": {"roles": ["cashiers"]}, "verified": true})),
            403,
        ),
        (
            "/cash",
            said(json!({"roles": ["cashier"], "verified": true})),
            403,
        ),
        ("/cash", None, 403),
        ("/deny", said(json!({"scope": "read write"})), 200),
        ("/deny", said(json!({"scope": "read guest"})), 403),
        ("/deny", said(json!({"scope": ["guest"]})), 403),
        ("/deny", said(json!({})), 200),
        ("/deny", None, 403),
        ("/level", said(json!({"level": 3})), 200),
        ("/level", said(json!({"level": [1, 3]})), 200),
        ("/level", said(json!({"level": "3"})), 200),
        ("/level", said(json!({"level": 3.5})), 403),
        ("/any", said(json!({})), 200),
        ("/any", None, 403),
    ];
    shop.until("the rules are in force", "/level", None, 403)
        .await;
    for (path, claims, status) in cases {
        let got = match &claims {
            None => shop.call(path, &[]).await.0,
            Some(claims) => shop.with(path, &issuer.token(claims)).await,
        };
        assert_eq!(got, status, "{path} {claims:?}");
        let would = shop.would(path, claims.as_ref()).await;
        assert_eq!(would, status == 200, "{path} {claims:?}");
    }
}

/// Keys that are fetched: nothing is open while they cannot be.
async fn fetched(shop: &Shop) {
    let issuer = Issuer::new("https://partner.example");
    let server = KeyServer::plan(free_port());
    let own = json!({"required": true, "providers": [provider_at(&issuer, &server)]});
    shop.say(own, 1004).await;
    shop.rule("all", json!({"action": "allow"})).await;
    let good = token(&issuer, &json!({}));
    let because = |line: &Value| {
        line["response_code_details"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    until("there are no keys", SOON, async || {
        let _ = shop.with("/no-keys", &good).await;
        let lines = shop.payments.envoy.access_log();
        lines.iter().any(|line| {
            line["path"] == "/no-keys"
                && line["response_code"] == 401
                && because(line).starts_with("jwt_authn_access_denied{Jwks_")
        })
    })
    .await;
    let running = server.start(issuer.jwks()).await;
    shop.until("the keys are fetched", "/v1", Some(&good), 200)
        .await;
    assert!(running.asked() > 0);
    let stranger = Issuer::new(&issuer.name);
    assert_eq!(shop.with("/v1", &token(&stranger, &json!({}))).await, 401);
}

/// Keys whose server goes are used for longer than they are kept: what would be fetched instead is not there.
async fn outlived(envoy: EnvoyVersion) {
    let issuer = Issuer::new("https://partner.example");
    let server = KeyServer::plan(free_port());
    let running = server.start(issuer.jwks()).await;
    let authentication = json!({"required": true, "providers": [provider_at(&issuer, &server)]});
    let shop = Shop::open(envoy, authentication).await;
    let everybody = json!({"action": "allow", "from": [{"service": "frontend"}]});
    shop.rule("all", everybody).await;
    let good = token(&issuer, &json!({}));
    shop.until("the keys are fetched", "/v1", Some(&good), 200)
        .await;
    let failed = async || {
        let stats = "/stats?filter=jwt_authn.jwks_fetch_failed";
        let stats = shop.payments.envoy.admin(stats).await;
        let counts = stats.lines().filter_map(|line| line.rsplit_once(": "));
        counts.map(|(_, n)| n.parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = failed().await;
    drop(running);
    // They are fetched again shortly before the minute is over, and then each second.
    let overdue = Duration::from_secs(120);
    until("the minute is long over", overdue, async || {
        failed().await >= before + 15
    })
    .await;
    assert_eq!(shop.with("/v1", &good).await, 200);
    let stranger = Issuer::new(&issuer.name);
    assert_eq!(shop.with("/v1", &token(&stranger, &json!({}))).await, 401);
    assert_eq!(shop.call("/v1", &[]).await.0, 401);
    let running = server.start(issuer.jwks()).await;
    until("they are fetched again", SOON, async || running.asked() > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `make test-long`"]
async fn sec_a12_keys_whose_server_is_away_stay() {
    for envoy in EnvoyVersion::BOTH {
        outlived(envoy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a01_only_tokens_that_hold_count_on_the_newest_envoy() {
    tokens(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a01_only_tokens_that_hold_count_on_the_oldest_envoy() {
    tokens(EnvoyVersion::Oldest).await;
}
