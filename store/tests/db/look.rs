//! Looking and replacing in one statement each: the same answers, refusals and traces as the long way.

use heddle_model::authz::Role;
use heddle_model::authz::permission::{ConfigRead, ConfigWrite};
use heddle_model::kind::Kind;
use heddle_store::resources::{self, Stored};
use heddle_store::{Error, Page, Seen, Sought, Tx, audit, revisions};
use secrecy::{ExposeSecret as _, SecretString};

use crate::build::{address, mesh, name, object, put, route_spec, service, service_spec};
use crate::rights::caller_with_token;
use crate::still::after;
use crate::support::{TestDb, grant};

/// The service `payments`, in the mesh `prod`.
const PAYMENTS: Sought<'static> = Sought {
    mesh: "prod",
    above: Vec::new(),
    object: Some((Kind::Service, "payments")),
    page: None,
};

async fn enter(db: &TestDb, token: &SecretString) -> (Tx<ConfigWrite>, Seen) {
    let entered = db.store.enter(token.expose_secret(), &PAYMENTS).await;
    let (caller, entered) = entered.unwrap().unwrap();
    db.store.go_in(entered, &grant(&caller)).unwrap()
}

async fn intact(db: &TestDb) -> u64 {
    let verified = audit::verify(&db.store, &name("acme"), &[]).await.unwrap();
    assert_eq!(verified.broken, []);
    verified.heads.iter().map(|head| head.seq).sum()
}

async fn see(db: &TestDb, token: &SecretString, sought: &Sought<'_>) -> Result<Seen, Error> {
    let looked = db.store.look(token.expose_secret(), sought).await?;
    let (caller, looked) = looked.expect("the token is known");
    looked.seen(&caller.grant::<ConfigRead>("-").unwrap())
}

#[tokio::test]
async fn what_is_seen_is_what_is_there_and_nothing_of_anybody_else() {
    let db = TestDb::with_connections(1).await;
    let token = db.org("acme").await;
    let owner = db.caller(&token).await.unwrap();
    let other = db.org("rival").await;
    let rival = db.caller(&other).await.unwrap();
    for (caller, at) in [(&owner, "prod"), (&rival, "prod"), (&rival, "theirs")] {
        let at = mesh(&db.store, caller, at).await.id;
        for text in ["null", "payments", "zeta"] {
            service(&db.store, caller, at, text).await;
        }
    }
    let seen = see(&db, &token, &PAYMENTS).await.unwrap();
    let payments = seen.object.unwrap();
    assert_eq!((payments.name.as_str(), payments.revision), ("payments", 3));
    assert_eq!(seen.mesh.revision, 4);
    let route = name("r");
    let at = address(seen.mesh.id, Kind::Route, Some(payments.id), &route);
    let route = put(&db.store, &owner, &at, &route_spec(1)).await.0.stored;
    let id = heddle_model::id::ServiceId::from_uuid(payments.id).to_string();
    for above in ["payments", &id] {
        let sought = Sought {
            above: vec![(Kind::Service, above)],
            object: Some((Kind::Route, "r")),
            ..PAYMENTS
        };
        let seen = see(&db, &token, &sought).await.unwrap();
        assert_eq!(seen.above, std::slice::from_ref(&payments));
        assert_eq!(seen.object, Some(route.clone()));
    }
    for (at, above, text, found) in [
        ("prod", None, "null", Some("null")),
        ("prod", None, "nothing", None),
        ("prod", None, "Payments", None),
        ("prod", None, "p'", None),
        ("prod", Some("zeta"), "r", None),
        ("prod", Some("gone"), "r", Some("not found")),
        ("theirs", None, "payments", Some("not found")),
        ("mesh_x", None, "payments", Some("not found")),
    ] {
        let kind = if above.is_some() {
            Kind::Route
        } else {
            Kind::Service
        };
        let sought = Sought {
            mesh: at,
            above: above
                .map(|above| (Kind::Service, above))
                .into_iter()
                .collect(),
            object: Some((kind, text)),
            page: None,
        };
        let seen = match see(&db, &token, &sought).await {
            Ok(seen) => seen.object.map(|object| object.name.to_string()),
            Err(Error::NotFound) => Some(String::from("not found")),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(seen.as_deref(), found, "{at} {above:?} {text}");
    }
    // What was found for one caller does not open for another, and the connection forgets whose it was.
    let looked = db.store.look(token.expose_secret(), &PAYMENTS).await;
    let looked = looked.unwrap().unwrap().1;
    let refused = looked.seen(&grant::<ConfigRead>(&rival));
    assert!(matches!(refused, Err(Error::NotFound)));
    let mut tx = db.store.begin(&grant::<ConfigRead>(&rival)).await.unwrap();
    let (role, org, _) = tx.seen_by_postgres().await.unwrap();
    assert_eq!(
        (role.as_str(), org),
        ("heddle_tenant", rival.org().uuid().to_string())
    );
}

#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended() {
    let db = TestDb::new().await;
    let token = db.org("acme").await;
    let owner = db.caller(&token).await.unwrap();
    let prod = mesh(&db.store, &owner, "prod").await.id;
    for text in ["c", "a", "e", "b", "d"] {
        service(&db.store, &owner, prod, text).await;
    }
    let mut last: Option<Stored> = None;
    let mut names = Vec::new();
    loop {
        let page = Page {
            kind: Kind::Service,
            after: last.as_ref().map(|last| (&last.name, last.id)),
            limit: 2,
        };
        let sought = Sought {
            object: None,
            page: Some(page),
            ..PAYMENTS
        };
        let seen = see(&db, &token, &sought).await.unwrap();
        names.push(
            seen.page
                .iter()
                .map(|one| one.name.to_string())
                .collect::<String>(),
        );
        last = match seen.page.into_iter().next_back() {
            Some(last) => Some(last),
            None => break,
        };
    }
    assert_eq!(names, ["ab", "cd", "e", ""]);
}

#[tokio::test]
async fn sec_t01_a_look_shows_no_mesh_that_the_caller_may_not_read() {
    let db = TestDb::new().await;
    let owner = db.owner("acme").await;
    let mut refusals = Vec::new();
    let (a, b) = (
        mesh(&db.store, &owner, "a").await.id,
        mesh(&db.store, &owner, "b").await.id,
    );
    let roles = [(Role::Developer, Some(a)), (Role::Auditor, Some(b))];
    let (caller, token) = caller_with_token(&db, &owner, "ci", &roles).await;
    mesh(&db.store, &owner, "c").await;
    for at in ["a", "b", "c", "d"] {
        let sought = Sought {
            mesh: at,
            ..PAYMENTS
        };
        let looked = db.store.look(token.expose_secret(), &sought).await;
        let looked = looked.unwrap().unwrap().1;
        let seen = looked.seen(&caller.grant::<ConfigWrite>("-").unwrap());
        refusals.push(match seen {
            Ok(_) => "seen",
            Err(Error::Forbidden { .. }) => "forbidden",
            Err(Error::NotFound) => "not found",
            Err(error) => panic!("{error}"),
        });
    }
    assert_eq!(refusals, ["seen", "forbidden", "not found", "not found"]);
}

#[tokio::test]
async fn a_replacement_leaves_what_a_put_leaves() {
    let db = TestDb::new().await;
    let token = db.org("acme").await;
    let owner = db.caller(&token).await.unwrap();
    let prod = mesh(&db.store, &owner, "prod").await.id;
    let before = service(&db.store, &owner, prod, "payments").await;
    let at = address(prod, Kind::Service, None, &before.name);
    put(&db.store, &owner, &at, &service_spec(1)).await;
    let (tx, seen) = enter(&db, &token).await;
    let existing = seen.object.unwrap();
    let odd = object(serde_json::json!({"ports": [], "labels": {"x": "\u{1F980} \"\\ \u{7f}"}}));
    let replaced = resources::replace_seen(tx, &seen.mesh, &existing, &odd).await;
    let (tx, stored) = replaced.unwrap().unwrap();
    assert_eq!(tx.commit().await.unwrap().revision, Some(4));
    assert_eq!(
        (stored.id, stored.revision, &stored.sent),
        (before.id, 4, &odd)
    );
    assert_eq!(
        see(&db, &token, &PAYMENTS).await.unwrap().object,
        Some(stored)
    );
    assert_eq!(intact(&db).await, 4 + 2);
    let pool = db.superuser().await;
    let traces: Vec<(i64, String, String)> = sqlx::query_as(
        "select c.revision, (to_jsonb(c) - array['id', 'revision', 'at', 'before', 'after', 'xid', 'seq', 'previous_hash', 'hash'])::text, \
                (to_jsonb(r) - array['revision', 'created_at'])::text \
         from heddle.changes c join heddle.revisions r using (org_id, mesh_id, revision) \
         where c.action = 'replace' order by c.seq",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let [put, replaced] = traces.as_slice() else {
        panic!("{traces:?}");
    };
    assert_eq!((put.0, replaced.0), (3, 4));
    assert_eq!((&put.1, &put.2), (&replaced.1, &replaced.2));
    let told: Vec<bool> = sqlx::query_scalar(
        "select c.before = lag(c.after) over (order by c.seq) and r.spec = c.after \
         from heddle.changes c join heddle.resources r on r.id = c.resource_id and r.from_revision = c.revision \
         where c.kind = 'service' order by c.seq offset 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(told, [true, true]);
}

#[tokio::test]
async fn whoever_was_overtaken_has_done_nothing() {
    let db = TestDb::new().await;
    let token = db.org("acme").await;
    let owner = db.caller(&token).await.unwrap();
    let prod = mesh(&db.store, &owner, "prod").await.id;
    service(&db.store, &owner, prod, "payments").await;
    let payments = name("payments");
    let at = address(prod, Kind::Service, None, &payments);

    // Somebody replaced it, or wrote anything else in the mesh.
    let (tx, seen) = enter(&db, &token).await;
    service(&db.store, &owner, prod, "other").await;
    let links = intact(&db).await;
    let object = seen.object.unwrap();
    let replaced = resources::replace_seen(tx, &seen.mesh, &object, &service_spec(1)).await;
    assert!(replaced.unwrap().is_none());

    // Somebody gave it to a manager, which makes no revision.
    let (tx, seen) = enter(&db, &token).await;
    let mut adopted = seen.object.clone().unwrap();
    let mut other = db.store.begin(&grant::<ConfigWrite>(&owner)).await.unwrap();
    let terraform = "terraform; ref=\"a\"".parse().unwrap();
    resources::own(&mut other, prod, &mut adopted, Some(&terraform), true)
        .await
        .unwrap();
    other.commit().await.unwrap();
    let object = seen.object.unwrap();
    let replaced = resources::replace_seen(tx, &seen.mesh, &object, &service_spec(1)).await;
    assert!(replaced.unwrap().is_none());

    // It says the same already, however the numbers are written.
    let mut whole = service_spec(8080);
    let (tx, seen) = enter(&db, &token).await;
    whole["ports"][0]["port"] = serde_json::json!(8080.0);
    let object = seen.object.unwrap();
    let replaced = resources::replace_seen(tx, &seen.mesh, &object, &whole).await;
    assert!(replaced.unwrap().is_none());

    let seen = see(&db, &token, &PAYMENTS).await.unwrap();
    assert_eq!((seen.mesh.revision, seen.object), (3, Some(adopted)));
    assert_eq!(intact(&db).await, links);
    let mut tx = db.store.begin(&grant::<ConfigRead>(&owner)).await.unwrap();
    assert!(revisions::find(&mut tx, prod, 4).await.unwrap().is_none());
    drop(tx);
    // And the next one finds the mesh free.
    let put = put(&db.store, &owner, &at, &service_spec(2)).await;
    assert_eq!(put.1.revision, Some(4));
}

/// Not everybody who appends to the chain of a mesh holds the mesh.
#[tokio::test]
async fn a_replacement_whose_chain_went_on_meanwhile_has_done_nothing() {
    let db = TestDb::new().await;
    let token = db.org("acme").await;
    let owner = db.caller(&token).await.unwrap();
    let prod = mesh(&db.store, &owner, "prod").await.id;
    let before = service(&db.store, &owner, prod, "payments").await;
    let (tx, seen) = enter(&db, &token).await;
    let pool = db.superuser().await;
    let mut other = pool.begin().await.unwrap();
    sqlx::query("update heddle.audit_heads set seq = seq + 1 where chain = $1")
        .bind(prod.uuid())
        .execute(&mut *other)
        .await
        .unwrap();
    let (held, object) = (pool.begin().await.unwrap(), seen.object.unwrap());
    let spec = service_spec(1);
    let replace = resources::replace_seen(tx, &seen.mesh, &object, &spec);
    let replaced = after(&pool, held, replace, async {
        other.commit().await.unwrap();
    })
    .await;
    assert!(replaced.unwrap().is_none());
    let seen = see(&db, &token, &PAYMENTS).await.unwrap();
    assert_eq!((seen.mesh.revision, seen.object), (2, Some(before)));
}
