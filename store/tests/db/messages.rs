//! What the hot path costs: how often somebody waits for the database, counted on the wire between the two, with everything that
//! the driver and its pool do on their own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heddle_model::authz::permission::{ConfigRead, ConfigWrite};
use heddle_model::clock::SharedClock;
use heddle_model::kind::Kind;
use heddle_store::listing::Wanted;
use heddle_store::resources::{self, Below, Precondition};
use heddle_store::{Caller, Page, Sought, Store, meshes};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::build::{address, mesh, name, service, service_spec};
use crate::support::{TestDb, cluster, connect, grant};

/// Stands between a client and Postgres and counts what asks for an answer: simple queries, and the end of each group of messages.
struct Wire {
    asked: Arc<AtomicU64>,
    _dir: tempfile::TempDir,
    url: String,
}

const SOCKET: &str = ".s.PGSQL.5432";

impl Wire {
    fn tap(database: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let server = cluster().socket().join(SOCKET);
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), Arc::clone(&counter)));
            }
        });
        let url = crate::support::url(dir.path(), "heddle_server", database);
        // Otherwise there is a question about TLS before the first message.
        let url = format!("{url}&sslmode=disable");
        Self {
            asked,
            _dir: dir,
            url,
        }
    }

    /// How often the database was asked so far. Read while the only connection is in hand, so that nobody else is asking.
    async fn asked(&self, store: &Store, caller: &Caller) -> u64 {
        let tx = store.begin(&grant::<ConfigRead>(caller)).await.unwrap();
        let asked = self.asked.load(Ordering::SeqCst);
        tx.done();
        asked
    }

    /// How often it was asked during some work, and by what its ending made the pool do.
    async fn during(&self, store: &Store, caller: &Caller, work: impl Future<Output = ()>) -> u64 {
        let first = self.asked(store, caller).await;
        let second = self.asked(store, caller).await;
        work.await;
        let third = self.asked(store, caller).await;
        third - second - (second - first)
    }
}

async fn pass(client: UnixStream, server: impl AsRef<Path>, asked: Arc<AtomicU64>) {
    let server = UnixStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    // The first message has no type.
    let mut first = true;
    while let Some((kind, message)) = message(&mut from_client, first).await {
        first = false;
        if matches!(kind, b'Q' | b'S') {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        if to_server.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn message(from: &mut (impl AsyncRead + Unpin), first: bool) -> Option<(u8, Vec<u8>)> {
    let mut whole = vec![0; if first { 4 } else { 5 }];
    from.read_exact(&mut whole).await.ok()?;
    let kind = if first { 0 } else { whole[0] };
    let at = whole.len();
    let length = u32::from_be_bytes(whole[at - 4..].try_into().unwrap()) as usize;
    whole.resize(at + length - 4, 0);
    from.read_exact(&mut whole[at..]).await.ok()?;
    Some((kind, whole))
}

async fn read(store: &Store, token: &str, list: bool) {
    let page = Page {
        kind: Kind::Service,
        after: None,
        limit: 50,
    };
    let sought = Sought {
        mesh: "prod",
        above: Vec::new(),
        object: (!list).then_some((Kind::Service, "payments")),
        page: list.then_some(page),
    };
    let (caller, looked) = store.look(token, &sought).await.unwrap().unwrap();
    let grant = caller.grant::<ConfigRead>("-").unwrap();
    let seen = looked.seen(&grant).unwrap();
    assert_eq!(seen.page.len() + usize::from(seen.object.is_some()), 1);
}

/// Reads what cannot be said in one question.
async fn read_on(store: &Store, token: &str) {
    let (caller, opened) = store.authenticate_reading(token).await.unwrap().unwrap();
    let mut tx = store
        .go_on(opened, &caller.grant::<ConfigRead>("-").unwrap())
        .unwrap();
    let mesh = meshes::require(&mut tx, "prod").await.unwrap().id;
    let below = Below::One(None);
    let wanted = Wanted::by_name(50);
    let found = resources::search(&mut tx, mesh, Kind::Service, below, &wanted).await;
    assert_eq!(found.unwrap().len(), 1);
    tx.done();
}

async fn write(store: &Store, token: &str, port: u16) {
    let sought = Sought {
        mesh: "prod",
        above: Vec::new(),
        object: Some((Kind::Service, "payments")),
        page: None,
    };
    let (caller, entered) = store.enter(token, &sought).await.unwrap().unwrap();
    let grant = caller.grant::<ConfigWrite>("-").unwrap();
    let (tx, seen) = store.go_in(entered, &grant).unwrap();
    let before = seen.object.unwrap();
    let replaced = resources::replace_seen(tx, &seen.mesh, &before, &service_spec(port))
        .await
        .unwrap();
    let (tx, stored) = replaced.unwrap();
    assert_eq!(stored.revision, seen.mesh.revision + 1);
    assert_eq!(tx.commit().await.unwrap().revision, Some(stored.revision));
}

/// The long way: what it judges by is locked first.
async fn write_on(store: &Store, token: &str, port: u16) {
    let caller = store.authenticate(token).await.unwrap().unwrap();
    let grant = caller.grant::<ConfigWrite>("-").unwrap();
    let mut tx = store.begin(&grant).await.unwrap();
    let mesh = meshes::require(&mut tx, "prod").await.unwrap().id;
    let found = resources::find(&mut tx, mesh, Kind::Service, None, "payments").await;
    assert!(found.unwrap().is_some());
    let service = name("payments");
    let at = address(mesh, Kind::Service, None, &service);
    let put = resources::put(&mut tx, &at, &service_spec(port), &Precondition::None).await;
    assert!(put.unwrap().changed);
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_and_a_write_ask_the_database_no_more_often_than_they_must() {
    let db = TestDb::new().await;
    let token = db.org("acme").await;
    let owner = db.caller(&token).await.unwrap();
    let id = mesh(&db.store, &owner, "prod").await.id;
    service(&db.store, &owner, id, "payments").await;
    let wire = Wire::tap(&db.name);
    let store = connect(&wire.url, 1, Arc::clone(&db.clock) as SharedClock).await;
    let token = token.expose_secret();
    // Statements are prepared once for each connection, and types are looked up.
    for port in [2, 4] {
        read(&store, token, false).await;
        read(&store, token, true).await;
        read_on(&store, token).await;
        write(&store, token, port).await;
        write_on(&store, token, port + 1).await;
    }
    // Everything at once; and the pool's own question at the return.
    let get = wire
        .during(&store, &owner, read(&store, token, false))
        .await;
    assert_eq!(get, 2, "get");
    let list = wire.during(&store, &owner, read(&store, token, true)).await;
    assert_eq!(list, 2, "list");
    // Who calls, in the transaction; the mesh; the page; the end; the return.
    let further = wire.during(&store, &owner, read_on(&store, token)).await;
    assert_eq!(further, 5, "a list with a filter");
    // Everything that is to be judged, in the transaction; the write; the commit; the return.
    let replaced = wire.during(&store, &owner, write(&store, token, 6)).await;
    assert_eq!(replaced, 4, "a replacement");
    // Who calls, and the return of that connection; the beginning; the mesh, its lock; the object twice; the new row with the end
    // of the old one; the record; the commit and the return.
    let written = wire
        .during(&store, &owner, write_on(&store, token, 7))
        .await;
    assert_eq!(written, 11, "any other write");
}
