//! Services that are called over TCP, on real Envoys: real PostgreSQL and a server that speaks first, behind the same identities
//! and rules as requests.

use std::net::Ipv4Addr;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heddle_tests::{
    Api, Application, EnvoyVersion, ServerOptions, Stack, Workload, WorkloadSpec, free_ports, until,
};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};

const PATIENCE: Duration = Duration::from_secs(30);
const GREETING: &[u8] = b"ready\n";
/// The ports of the applications of `ledger`.
const PG: u16 = 5432;
const ECHO: u16 = 5433;

/// Greets, and says back what it hears; at the end of that, goodbye. Returns how many have connected.
async fn echo(application: &Application) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind((application.address, ECHO))
        .await
        .unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                write.write_all(GREETING).await?;
                tokio::io::copy(&mut read, &mut write).await?;
                write.write_all(b"goodbye\n").await?;
                write.shutdown().await
            });
        }
    });
    connections
}

/// The PostgreSQL of the stack at an address of its own.
async fn postgres(stack: &Stack, application: &Application) {
    let options = PgConnectOptions::from_str(&stack.postgres.admin_url()).unwrap();
    let socket = options.get_socket().unwrap().join(".s.PGSQL.5432");
    let listener = TcpListener::bind((application.address, PG)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut database = UnixStream::connect(socket).await?;
                copy_bidirectional(&mut stream, &mut database).await
            });
        }
    });
}

/// A connection of an application.
struct Line(TcpStream);

impl Line {
    /// `None`: nobody greets.
    async fn open(port: u16) -> Option<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut greeting = [0; GREETING.len()];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut greeting));
        read.await.unwrap().ok()?;
        assert_eq!(greeting, GREETING);
        Some(Self(stream))
    }

    /// Says something, and hears it.
    async fn says(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        let mut heard = vec![0; text.len()];
        let read = tokio::time::timeout(PATIENCE, self.0.read_exact(&mut heard));
        read.await.unwrap().unwrap();
        assert_eq!(heard, text.as_bytes());
    }

    /// Has said all, and hears the rest.
    async fn ends(mut self) {
        self.0.shutdown().await.unwrap();
        let mut heard = String::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_string(&mut heard));
        read.await.unwrap().unwrap();
        assert_eq!(heard, "goodbye\n");
    }
}

async fn calls(api: &Api, service: &str, upstreams: &[&str]) {
    let upstreams: Vec<Value> = upstreams.iter().map(|s| json!({"service": s})).collect();
    let body = json!({
        "ports": [{"name": "http", "port": 8080, "protocol": "http"}],
        "upstreams": upstreams,
    });
    let path = format!("/meshes/shop/services/{service}");
    let _ = api.put(&path, body).await.expect(200);
}

async fn rule(api: &Api, path: &str, body: Value) {
    let reply = api
        .put(&format!("/meshes/shop/services/{path}"), body)
        .await;
    assert!([200, 201].contains(&reply.status), "{reply:?}");
}

/// A service with one `tcp` port.
async fn declare(api: &Api, service: &str, port: u16, local: u16) {
    let ports = json!([{"name": "raw", "port": port, "protocol": "tcp", "local_port": local}]);
    let body = json!({"ports": ports, "upstreams": [{"service": "frontend"}]});
    let path = format!("/meshes/shop/services/{service}");
    let _ = api.put(&path, body).await.expect(201);
    let told = api.get(&format!("{path}/effective")).await.expect(200);
    let wanted = json!([{"port": "raw", "local_port": local, "derived": false}]);
    assert_eq!(told.json["local_ports"], wanted);
    // Nobody else is called there.
    let refused = api
        .put("/meshes/shop/services/other", json!({"ports": ports}))
        .await;
    let refused = refused.expect(409);
    let expected = [("/ports/0/local_port".to_owned(), "HED-2042".to_owned())];
    assert_eq!(refused.violations(), expected);
    let object = json!({"kind": "service", "name": "other", "ports": ports});
    let refused = api
        .post("/meshes/shop/apply", json!({"resources": [object]}))
        .await;
    assert!(refused.text.contains("HED-2042"), "{refused:?}");
}

async fn carried(envoy: EnvoyVersion) {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let services = ["frontend", "intruder"];
    let api = stack.mesh("acme", "shop", json!({}), &services).await;
    let [pg_port, echo_port] = free_ports();
    declare(&api, "database", PG, pg_port).await;
    declare(&api, "ledger", ECHO, echo_port).await;
    calls(&api, "frontend", &["database", "ledger"]).await;
    calls(&api, "intruder", &["frontend"]).await;
    let start = async |service: &'static str, proxy: &'static str, application: Application| {
        let body = json!({"name": proxy, "service": service, "reusable": true});
        let made = api.post("/meshes/shop/join-tokens", body).await.expect(201);
        let secret = made.json["secret"].as_str().unwrap().to_owned();
        let spec = WorkloadSpec::of_shop(service, proxy, envoy);
        Workload::join(&stack, &api, &spec, application, secret).await
    };
    let application = Application::start("ledger", "v1").await;
    let connections = echo(&application).await;
    let ledger = start("ledger", "ledger-1", application).await;
    let application = Application::start("database", "v1").await;
    postgres(&stack, &application).await;
    let database = start("database", "database-1", application).await;
    let spec = WorkloadSpec::of_shop("frontend", "frontend-1", envoy);
    let frontend = Workload::start(&stack, &api, &spec).await;
    let spec = WorkloadSpec::of_shop("intruder", "intruder-1", envoy);
    let intruder = Workload::start(&stack, &api, &spec).await;
    for workload in [&ledger, &database, &frontend, &intruder] {
        workload.ready(&api, "shop").await;
    }

    // Nobody is allowed yet: no byte of the greeting comes, and the application hears of nobody.
    until("the listener is there", PATIENCE, async || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, echo_port))
            .await
            .is_ok()
    })
    .await;
    assert!(Line::open(echo_port).await.is_none());
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    let to = json!([{"ports": ["raw"]}]);
    let allow = json!({"action": "allow", "from": [{"service": "frontend"}], "to": to});
    rule(&api, "ledger/access-rules/frontend", allow.clone()).await;
    rule(&api, "database/access-rules/frontend", allow).await;
    until("frontend is let in", PATIENCE, async || {
        Line::open(echo_port).await.is_some()
    })
    .await;

    // Real PostgreSQL, through both proxies.
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(pg_port)
        .username("heddle_admin")
        .database("heddle")
        .ssl_mode(PgSslMode::Disable);
    let mut connection = None;
    until("the database lets it in", PATIENCE, async || {
        connection = options.connect().await.ok();
        connection.is_some()
    })
    .await;
    let mut connection = connection.unwrap();
    let count: i64 = sqlx::query_scalar("select count(*) from generate_series(1, 100000)")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(count, 100_000);

    // What is open stays open while workloads come and go, and while the control plane is away; new ones are made.
    let mut line = Line::open(echo_port).await.unwrap();
    let second = WorkloadSpec::of_shop("ledger", "ledger-2", envoy);
    let second = Workload::start(&stack, &api, &second).await;
    second.ready(&api, "shop").await;
    let address = format!("heddle/ledger/raw::127.0.0.1:{}::", second.inbound_port);
    until("frontend knows of the second one", PATIENCE, async || {
        frontend.envoy.admin("/clusters").await.contains(&address)
    })
    .await;
    line.says("one more").await;
    drop(second);
    line.says("one less").await;
    stack.server.kill().await;
    line.says("nobody in charge").await;
    until("new connections are made", PATIENCE, async || {
        Line::open(echo_port).await.is_some()
    })
    .await;
    stack.server.start_again().await;
    for workload in [&ledger, &frontend] {
        until("every proxy has come back", PATIENCE, async || {
            workload.envoy.stat("control_plane.connected_state").await == 1
        })
        .await;
        workload.ready(&api, "shop").await;
    }
    line.says("still here").await;
    line.ends().await;
    let one: i32 = sqlx::query_scalar("select 1")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(one, 1);
    connection.close().await.unwrap();

    // A rule that only reports is counted; one that denies wins over what allows.
    let trial =
        json!({"action": "deny", "from": [{"service": "frontend"}], "to": to, "report_only": true});
    rule(&api, "ledger/access-rules/nobody", trial.clone()).await;
    until("it is counted", PATIENCE, async || {
        let _line = Line::open(echo_port).await;
        let stats = ledger
            .envoy
            .admin("/stats?filter=heddle_would_deny_.*shadow_denied")
            .await;
        stats
            .lines()
            .any(|line| line.contains("shadow_denied: ") && !line.ends_with(": 0"))
    })
    .await;
    let mut deny = trial;
    deny["report_only"] = json!(false);
    rule(&api, "ledger/access-rules/nobody", deny).await;
    until("frontend is denied", PATIENCE, async || {
        Line::open(echo_port).await.is_none()
    })
    .await;
    for (service, allowed) in [("ledger", false), ("database", true)] {
        let call = json!({"call": {"from": {"service": "frontend"}, "service": service}});
        let told = api
            .post("/meshes/shop/access/checks", call)
            .await
            .expect(200);
        assert_eq!(told.json["allowed"], allowed, "{told:?}");
    }

    // Who does not call it has no listener for it, and who calls it without being allowed hears nothing.
    calls(&api, "frontend", &["intruder"]).await;
    until("the listener is gone", PATIENCE, async || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, echo_port))
            .await
            .is_err()
    })
    .await;
    let before = connections.load(Ordering::SeqCst);
    calls(&api, "intruder", &["ledger"]).await;
    until("the other one has it", PATIENCE, async || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, echo_port))
            .await
            .is_ok()
    })
    .await;
    assert!(Line::open(echo_port).await.is_none());
    assert_eq!(connections.load(Ordering::SeqCst), before);

    // Another tenant's proxy knows nothing of it.
    let theirs = stack.mesh("globex", "shop", json!({}), &["frontend"]).await;
    let spec = WorkloadSpec::of_shop("frontend", "theirs-1", envoy);
    let workload = Workload::start(&stack, &theirs, &spec).await;
    workload.ready(&theirs, "shop").await;
    for page in ["/listeners", "/clusters", "/config_dump"] {
        let shown = workload.envoy.admin(page).await;
        assert!(!shown.contains("ledger"), "{page}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_carried_by_the_newest_envoy() {
    carried(EnvoyVersion::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_carried_by_the_oldest_envoy() {
    carried(EnvoyVersion::Oldest).await;
}
