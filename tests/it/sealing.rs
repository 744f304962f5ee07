//! The keys that seal all others: replaced while certificates are issued, kept in a token, and missing.

use std::path::Path;
use std::time::Duration;

use heddle_tests::{
    Api, Postgres, Server, ServerOptions, Stack, XdsClient, node, postgres_program,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::identity::{SECRET, identity};

const SEAL: &str = "HEDDLE_SEALING_KEY";
const BEFORE: &str = "HEDDLE_SEALING_KEYS_BEFORE";

fn key_file(directory: &Path, name: &str, digit: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join(name);
    std::fs::write(&path, digit.repeat(64)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("file:{}", path.display())
}

/// State and number of what was sealed, for each key.
async fn sealed(server: &Server) -> Vec<(String, u64)> {
    let listed = server.admin(&["sealing-keys", "list", "--json"]).await;
    let of = |key: &Value| {
        let state = key["state"].as_str().unwrap().to_owned();
        (state, key["sealed"].as_u64().unwrap())
    };
    listed["keys"].as_array().unwrap().iter().map(of).collect()
}

fn states(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter()
        .map(|(state, n)| ((*state).to_owned(), *n))
        .collect()
}

async fn restart(server: &mut Server, keys: &[(&str, &str)]) {
    server.stop().await;
    server.set_keys(keys);
    server.start_again().await;
}

async fn mesh(api: &Api, name: &str) {
    let _ = api
        .put(&format!("/meshes/{name}"), json!({}))
        .await
        .expect(201);
    let body = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
    let path = format!("/meshes/{name}/services/payments");
    let _ = api.put(&path, body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c14_a_sealing_key_is_replaced_while_certificates_are_issued_and_then_destroyed() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let directory = stack.directory.path().to_owned();
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    mesh(&api, "other").await;
    let server = &mut stack.server;
    for mesh in ["shop", "other"] {
        identity(server, &api, mesh, "payments", "p-0").await;
    }
    let _ = server.admin_text(&["session-keys", "rotate"]).await;
    // A root and an issuing authority in each mesh, and the key of sessions.
    assert_eq!(sealed(server).await, states(&[("seals", 5)]));

    let old = format!("file:{}", directory.join("sealing.key").display());
    let new = key_file(&directory, "new.key", "5");
    restart(server, &[(SEAL, &old), (BEFORE, &new)]).await;
    restart(server, &[(SEAL, &new), (BEFORE, &old)]).await;
    assert_eq!(sealed(server).await, states(&[("seals", 0), ("opens", 5)]));
    let server = &stack.server;
    let issuing = async {
        for n in 1..4 {
            let proxy = format!("p-{n}");
            let (chain, _) = identity(server, &api, "shop", "payments", &proxy).await;
            assert!(!chain.is_empty());
        }
    };
    let resealing = async {
        let done = server.admin(&["sealing-keys", "reseal", "--json"]).await;
        assert_eq!((&done["sealed"], &done["replaced"]), (&json!(5), &json!(5)));
        let again = server.admin(&["sealing-keys", "reseal", "--json"]).await;
        assert_eq!(
            (&again["sealed"], &again["replaced"]),
            (&json!(5), &json!(0))
        );
    };
    tokio::join!(issuing, resealing);

    std::fs::remove_file(directory.join("sealing.key")).unwrap();
    restart(&mut stack.server, &[(SEAL, &new)]).await;
    let server = &stack.server;
    assert_eq!(sealed(server).await, states(&[("seals", 5)]));
    for mesh in ["shop", "other"] {
        let (chain, _) = identity(server, &api, mesh, "payments", "p-9").await;
        assert!(!chain.is_empty(), "{mesh}");
    }
}

/// A token in software, with an AES key `sealing` in it; its URI.
async fn token(directory: &Path) -> String {
    let conf = directory.join("softhsm2.conf");
    let tokens = directory.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    std::fs::write(
        &conf,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    let util = async |args: &[&str]| {
        let run = Command::new("softhsm2-util")
            .env("SOFTHSM2_CONF", &conf)
            .args(args)
            .output();
        let run = run.await.expect("scripts/setup --test installs it");
        assert!(run.status.success(), "{run:?}");
    };
    let free = ["--init-token", "--free", "--label", "heddle"];
    util(&[&free[..], &["--so-pin", "12345678", "--pin", "1234"]].concat()).await;
    let key = directory.join("imported");
    std::fs::write(&key, [7_u8; 32]).unwrap();
    let import = [
        "--import",
        key.to_str().unwrap(),
        "--aes",
        "--token",
        "heddle",
    ];
    let named = ["--label", "sealing", "--id", "01", "--pin", "1234"];
    util(&[&import[..], &named].concat()).await;
    std::fs::remove_file(&key).unwrap();
    let pin = key_file(directory, "pin", "");
    std::fs::write(directory.join("pin"), "1234").unwrap();
    format!(
        "pkcs11:token=heddle;object=sealing?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source={pin}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s53_a_server_signs_with_keys_that_a_token_sealed() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let directory = stack.directory.path().to_owned();
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let server = &mut stack.server;
    identity(server, &api, "shop", "payments", "p-1").await;

    // From the file into the token, while it is at it.
    let old = format!("file:{}", directory.join("sealing.key").display());
    let uri = token(&directory).await;
    let conf = directory.join("softhsm2.conf");
    let conf = ("SOFTHSM2_CONF", conf.to_str().unwrap());
    restart(server, &[(SEAL, &uri), (BEFORE, &old), conf]).await;
    let done = server.admin(&["sealing-keys", "reseal", "--json"]).await;
    assert_eq!(done["replaced"], json!(2));
    restart(server, &[(SEAL, &uri), conf]).await;
    mesh(&api, "made-in-the-token").await;
    for mesh in ["shop", "made-in-the-token"] {
        let (chain, _) = identity(server, &api, mesh, "payments", "p-2").await;
        assert!(!chain.is_empty(), "{mesh}");
    }
    assert_eq!(server.metrics().await["heddle_ca_ready"], 1.0);
    assert!(!server.log().contains("1234"), "the PIN is not logged");
}

/// Whether a proxy with this token gets an identity.
async fn is_issued(server: &Server, token: &str, name: &str) -> bool {
    let joined = XdsClient::connect(server, token, node(name, "payments")).await;
    let mut client = joined.unwrap();
    client.subscribe(SECRET, &["heddle/identity"]).await;
    let (resources, _) = client.drain(Duration::from_secs(2)).await.unwrap();
    resources.contains_key("heddle/identity")
}

/// What a PostgreSQL has, put into another one, as an administrator does.
async fn restore(from: &Postgres, to: &Postgres) {
    let read = async |name: &str, args: &[&str]| {
        let url = from.admin_url();
        let dumped = Command::new(postgres_program(name))
            .args(args)
            .arg("--dbname")
            .arg(&url)
            .output();
        let dumped = dumped.await.unwrap();
        assert!(dumped.status.success(), "{dumped:?}");
        String::from_utf8(dumped.stdout).unwrap()
    };
    let roles = read("pg_dumpall", &["--roles-only"]).await;
    // The superuser is there already.
    let roles = roles
        .lines()
        .filter(|line| !line.starts_with("CREATE ROLE heddle_admin"));
    let roles = roles.collect::<Vec<_>>().join("\n");
    for sql in [roles, read("pg_dump", &[]).await] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), sql).unwrap();
        let loaded = Command::new("psql")
            .args(["--quiet", "--set", "ON_ERROR_STOP=1", "--file"])
            .arg(file.path())
            .arg(to.admin_url())
            .output();
        let loaded = loaded.await.unwrap();
        assert!(loaded.status.success(), "{loaded:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c12_k05_a_stolen_dump_with_this_program_signs_nothing() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let body = json!({"name": "t", "service": "payments", "reusable": true});
    let token = api.post("/meshes/shop/join-tokens", body).await.expect(201);
    let token = token.json["secret"].as_str().unwrap().to_owned();
    assert!(is_issued(&stack.server, &token, "p-1").await);

    let thief = stack.directory.path().join("thief");
    std::fs::create_dir(&thief).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&thief, mode).unwrap();
    let stolen = Postgres::start_in(&thief.join("cluster")).await;
    restore(&stack.postgres, &stolen).await;
    let own = key_file(&thief, "own.key", "a");
    let options = ServerOptions {
        keys: vec![(SEAL.to_owned(), own)],
        ..ServerOptions::default()
    };
    let mut server = Server::start(&thief, &stolen, options).await;
    assert!(
        !is_issued(&server, &token, "p-2").await,
        "nothing is signed"
    );
    let log = server.log();
    assert!(log.contains("not among those configured"), "{log}");
    let journalled = "select count(*) from heddle.certificates";
    let mut database = stolen.inspect().await;
    let rows: i64 = sqlx::query_scalar(journalled)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(rows, 1, "only what was issued before the theft");
    let listed = sealed(&server).await;
    assert_eq!(listed, states(&[("seals", 0), ("missing", 2)]));

    // With the key it would: nothing else was missing. (The harness gives every server the same one.)
    let key = format!("file:{}", thief.join("sealing.key").display());
    restart(&mut server, &[(SEAL, &key)]).await;
    assert!(is_issued(&server, &token, "p-3").await);
}
