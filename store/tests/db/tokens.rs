//! API tokens: who is let in, and what their role lets them do.

use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::{ConfigRead, ConfigWrite, MeshWrite};
use heddle_store::{Denied, Error, admin};
use secrecy::ExposeSecret as _;

use crate::build::name;
use crate::support::{TestDb, start};

#[tokio::test]
async fn a_token_speaks_for_its_organisation() {
    let db = TestDb::new().await;
    let token = db.org("acme").await;
    let caller = db.caller(&token).await.unwrap();
    assert_eq!(caller.org_name().as_str(), "acme");
    assert_eq!(caller.role(), Some(Role::Owner));
    assert_eq!(
        caller.actor(),
        format!("{} (owner)", caller.token().unwrap())
    );

    assert!(caller.grant::<MeshWrite>("-").is_ok());
    assert!(caller.grant::<MeshWrite>("acme").is_ok());
    assert_eq!(
        caller
            .grant::<MeshWrite>(&caller.org().to_string())
            .unwrap()
            .org(),
        caller.org()
    );

    // Another organisation looks exactly like none.
    let rival = db.owner("rival").await;
    for segment in ["rival", &rival.org().to_string(), "nobody", "", "--"] {
        let denied = caller.grant::<ConfigRead>(segment).unwrap_err();
        assert_eq!(denied, Denied::NotFound, "{segment}");
    }

    let viewer = db.token("acme", Role::Viewer, "eyes").await;
    let viewer = db.caller(&viewer).await.unwrap();
    assert!(viewer.grant::<ConfigRead>("acme").is_ok());
    let denied = viewer.grant::<ConfigWrite>("acme").unwrap_err();
    assert_eq!(
        denied,
        Denied::Forbidden {
            scope: "config:write"
        }
    );
    assert_eq!(
        viewer.grant::<ConfigWrite>("rival").unwrap_err(),
        Denied::NotFound
    );
}

#[tokio::test]
async fn sec_a11_expired_revoked_mistyped_and_foreign_tokens_are_nobody() {
    let db = TestDb::new().await;
    db.org("acme").await;
    let acme = name("acme");
    let expires = Some(start() + TimeDelta::minutes(5));
    let (_, brief) = admin::create_token(&db.store, &acme, Role::Admin, &name("brief"), expires)
        .await
        .unwrap();
    assert!(db.caller(&brief).await.is_some());
    db.clock.advance(TimeDelta::minutes(5));
    assert!(db.caller(&brief).await.is_none());

    let kept = db.token("acme", Role::Admin, "kept").await;
    let lost = db.token("acme", Role::Admin, "lost").await;
    admin::revoke_token(&db.store, &acme, "lost").await.unwrap();
    assert!(db.caller(&lost).await.is_none());
    let again = admin::revoke_token(&db.store, &acme, "lost").await;
    assert!(matches!(again, Err(Error::NotFound)), "{again:?}");
    // The name is free again.
    let new = db.token("acme", Role::Admin, "lost").await;
    assert!(db.caller(&new).await.is_some());
    let twice = admin::create_token(&db.store, &acme, Role::Admin, &name("kept"), None).await;
    assert!(
        matches!(&twice, Err(Error::AlreadyExists { constraint }) if constraint == "tokens_name_key"),
        "{twice:?}"
    );
    assert!(db.caller(&kept).await.is_some());

    let text = kept.expose_secret();
    let swapped = text.replacen("heddle_pat_", "heddle_svc_", 1);
    for wrong in [
        "",
        text.trim_end_matches(|_| true),
        &text[..text.len() - 1],
        &swapped,
    ] {
        assert!(
            db.store.authenticate(wrong).await.unwrap().is_none(),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn organisations_are_unique_and_found_by_name() {
    let db = TestDb::new().await;
    db.org("acme").await;
    let twice = admin::create_org(&db.store, &name("acme"), None, "test").await;
    assert!(
        matches!(&twice, Err(Error::AlreadyExists { constraint }) if constraint == "orgs_name_key"),
        "{twice:?}"
    );
    let nobody =
        admin::create_token(&db.store, &name("nobody"), Role::Owner, &name("t"), None).await;
    assert!(matches!(nobody, Err(Error::NotFound)), "{nobody:?}");
}
