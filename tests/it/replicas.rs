//! Two servers on one database: proxies may be at either, and neither takes the other's for gone.

mod hints;
mod hops;
mod lost;
mod rights;

use std::time::Duration;

use heddle_tests::{
    Api, EnvoyVersion, Hopper, Server, ServerOptions, Stack, Switch, Workload, WorkloadSpec, node,
    until,
};
use serde_json::{Value, json};

/// Two servers, and what balances connections to them.
struct Pair {
    other: Server,
    switch: Switch,
    stack: Stack,
}

impl Pair {
    async fn start() -> Self {
        Self::with(ServerOptions::default()).await
    }

    async fn with(options: ServerOptions) -> Self {
        let switch = Switch::start().await;
        let options = ServerOptions {
            xds_address: Some(format!("127.0.0.1:{}", switch.port())),
            ..options
        };
        let stack = Stack::start(options).await;
        let other = stack.server.beside().await;
        Self {
            other,
            switch,
            stack,
        }
    }

    /// The same caller at the other server.
    fn at_other(&self, api: &Api) -> Api {
        self.other.caller(&api.org, &api.token)
    }

    /// Connections go to the first server only.
    fn to_one(&self) {
        self.switch.only(&[self.stack.server.xds_port()]);
    }

    /// They go to the other one only.
    fn to_other(&self) {
        self.switch.only(&[self.other.xds_port()]);
    }

    fn to_both(&self) {
        let ports = [self.stack.server.xds_port(), self.other.xds_port()];
        self.switch.only(&ports);
    }

    async fn mesh(&self) -> Api {
        let spec = json!({"access_default": "allow"});
        let services = ["frontend", "payments"];
        self.stack.mesh("acme", "shop", spec, &services).await
    }

    async fn workload(&self, api: &Api, service: &str, proxy: &str) -> Workload {
        let spec = WorkloadSpec::of_shop(service, proxy, EnvoyVersion::Newest);
        Workload::start(&self.stack, api, &spec).await
    }
}

/// Writes the timeout of a service that proxies call; returns the revision.
async fn commit(api: &Api, n: u64) -> u64 {
    let body = json!({
        "ports": [{"name": "http", "port": 8080, "protocol": "http"}],
        "defaults": {"timeout": format!("{}ms", 10_000 + n)}
    });
    let reply = api.put("/meshes/shop/services/payments", body).await;
    reply.expect(200).json["meta"]["revision"].as_u64().unwrap()
}

/// A reusable token `<service>-many`.
async fn join_token(api: &Api, service: &str) -> String {
    let body = json!({"name": format!("{service}-many"), "service": service, "reusable": true});
    let reply = api.post("/meshes/shop/join-tokens", body).await.expect(201);
    reply.json["secret"].as_str().unwrap().to_owned()
}

async fn state(api: &Api, proxy: &str) -> String {
    let shown = api.get(&format!("/meshes/shop/proxies/{proxy}")).await;
    shown.json["state"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_server_shows_the_proxies_of_both_and_their_calls_arrive() {
    let pair = Pair::start().await;
    let api = pair.mesh().await;
    let other = pair.at_other(&api);
    pair.to_one();
    let frontend = pair.workload(&api, "frontend", "frontend-1").await;
    pair.to_other();
    let mut payments = pair.workload(&api, "payments", "payments-1").await;
    for at in [&api, &other] {
        frontend.ready(at, "shop").await;
        payments.ready(at, "shop").await;
    }
    let mut database = pair.stack.postgres.inspect().await;
    let servers: i64 =
        sqlx::query_scalar("select count(distinct replica) from heddle.proxies where connected")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!(servers, 2, "each is at a server of its own");
    // Where payments is was said at the other server.
    until("payments answers", Duration::from_secs(10), async || {
        frontend.call("payments", "/").await.0 == 200
    })
    .await;

    let revision = commit(&other, 1).await;
    for at in [&api, &other] {
        let path = format!("/meshes/shop/revisions/{revision}/rollout?wait=20s");
        let seen = at.get(&path).await.expect(200).json;
        assert_eq!(
            (&seen["target"], &seen["pending"], &seen["offline"]),
            (&json!(2), &json!(0), &json!(0)),
            "{seen}"
        );
        let list = at.get("/meshes/shop/proxies").await.expect(200).json;
        let states = list["items"].as_array().unwrap().iter();
        let states: Vec<&Value> = states.map(|item| &item["state"]).collect();
        assert_eq!(states, ["ready", "ready"]);
    }

    // It leaves the other server: it drains there and goes, and the first one follows.
    let clusters = async || frontend.envoy.admin("/clusters").await;
    let address = format!(
        "heddle/payments/http::127.0.0.1:{}::",
        payments.inbound_port
    );
    assert!(clusters().await.contains(&address));
    let second = pair.workload(&api, "payments", "payments-2").await;
    second.ready(&api, "shop").await;
    let address_of_second = format!("heddle/payments/http::127.0.0.1:{}::", second.inbound_port);
    until("both are known", Duration::from_secs(10), async || {
        clusters().await.contains(&address_of_second)
    })
    .await;
    payments.envoy.kill().await;
    until(
        "whoever left is gone",
        Duration::from_secs(15),
        async || {
            let now = clusters().await;
            !now.contains(&address) && now.contains(&address_of_second)
        },
    )
    .await;
    assert_eq!(state(&api, "payments-1").await, "offline");
    assert_eq!(state(&other, "payments-1").await, "offline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_taken_for_gone_says_again_what_it_has() {
    let pair = Pair::start().await;
    let api = pair.mesh().await;
    let token = join_token(&api, "frontend").await;
    let mut here = Hopper::new(&token, node("here", "frontend"));
    let mut there = Hopper::new(&token, node("there", "frontend"));
    let (_, _stays) = here.hop(&pair.stack.server).await;
    let (_, mut stream) = there.hop(&pair.other).await;
    let connected = async || {
        let is = |state: String| !["", "offline"].contains(&state.as_str());
        [
            is(state(&api, "here").await),
            is(state(&api, "there").await),
        ]
    };
    until("both are connected", Duration::from_secs(10), async || {
        connected().await == [true, true]
    })
    .await;

    pair.other.freeze();
    until(
        "its lease has run out",
        Duration::from_secs(20),
        async || connected().await == [true, false],
    )
    .await;
    pair.other.thaw();
    until("it says so again", Duration::from_secs(10), async || {
        connected().await == [true, true]
    })
    .await;
    // It did not lose its stream, and a revision counts as shown there.
    let revision = commit(&api, 1).await;
    there.until_revision(&mut stream, revision).await;
    until(
        "the revision is there",
        Duration::from_secs(10),
        async || {
            let path = format!("/meshes/shop/revisions/{revision}/rollout");
            api.get(&path).await.expect(200).json["offline"] == 0
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_leaves_the_proxies_of_another_alone() {
    let mut pair = Pair::start().await;
    let api = pair.mesh().await;
    let token = join_token(&api, "frontend").await;
    let mut there = Hopper::new(&token, node("there", "frontend"));
    let (_, _stays) = there.hop(&pair.other).await;
    until("it is connected", Duration::from_secs(10), async || {
        !["", "offline"].contains(&state(&api, "there").await.as_str())
    })
    .await;
    // Whoever says that it is not connected fails at that, and does not start.
    let never =
        "alter table heddle.proxies add constraint proxies_never check (connected) not valid";
    let mut database = pair.stack.postgres.inspect().await;
    sqlx::query(never).execute(&mut database).await.unwrap();
    pair.stack.server.kill().await;
    pair.stack.server.start_again().await;
    assert_ne!(state(&api, "there").await, "offline");
    pair.stack.server.stop().await;
    pair.stack.server.start_again().await;
    assert_ne!(state(&api, "there").await, "offline");
}
