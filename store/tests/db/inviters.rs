//! Invitations and those who are behind them: who made one, whom it is for, and how often it is sent.

use chrono::TimeDelta;
use heddle_model::authz::Role;
use heddle_model::authz::permission::{MemberWrite, RoleBindingWrite};
use heddle_store::invitations::{self, Delivery};
use heddle_store::{Caller, Visitor, admin, mails, members, role_bindings};
use secrecy::SecretString;

use crate::build::name;
use crate::invitations::{
    accept, again, delivered, email, invite, is_unusable, listed, look, owner,
};
use crate::sessions::World;
use crate::support::grant;

const BEA: &str = "bea@example.com";

async fn remove(world: &World, caller: &Caller, whom: &str) {
    let store = &world.db.store;
    let mut tx = store.begin(&grant::<MemberWrite>(caller)).await.unwrap();
    let row = members::find(&mut tx, whom).await.unwrap().unwrap();
    members::remove(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
}

/// Takes every role from a member.
async fn strip(world: &World, caller: &Caller, whom: &str) {
    let store = &world.db.store;
    let mut tx = store
        .begin(&grant::<RoleBindingWrite>(caller))
        .await
        .unwrap();
    let row = members::find(&mut tx, whom).await.unwrap().unwrap();
    let bound = role_bindings::page(&mut tx, Some(row.id), None, None, 10);
    for one in bound.await.unwrap() {
        role_bindings::delete(&mut tx, &one).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Somebody whom a member who signed in invited: the member, and the secret of the link.
async fn invited_by_cleo(world: &World) -> SecretString {
    let cleo = "cleo@example.com";
    world.member(cleo, Role::Admin).await;
    let signed = world
        .try_sign_in("acme", cleo, crate::sessions::PASSWORD)
        .await;
    let cleo = world.caller(&signed.unwrap()).await.unwrap();
    let store = &world.db.store;
    let row = invite(store, &cleo, BEA, Role::Admin).await;
    row.unwrap();
    let secret = delivered(store).await.unwrap().secret;
    assert!(look(store, "acme", &secret).await.is_ok());
    secret
}

#[tokio::test]
async fn sec_w08_an_invitation_is_worth_no_more_than_whoever_made_it() {
    for gone in [true, false] {
        let world = World::new().await;
        let store = &world.db.store;
        let owner = owner(&world).await;
        let secret = invited_by_cleo(&world).await;
        if gone {
            remove(&world, &owner, "cleo@example.com").await;
        } else {
            strip(&world, &owner, "cleo@example.com").await;
        }
        assert!(is_unusable(&look(store, "acme", &secret).await), "{gone}");
        let late = accept(store, "acme", &secret, BEA).await;
        assert!(is_unusable(&late), "{gone}");
        // Somebody else answers for it: then it is as good as theirs.
        let id = listed(store, &owner).await[0].id;
        let _ = again(store, &owner, id).await.unwrap();
        let secret = delivered(store).await.unwrap().secret;
        let bea = accept(store, "acme", &secret, BEA).await.unwrap();
        assert_eq!(bea.bound[0].role, Role::Admin);
    }
}

#[tokio::test]
async fn sec_w08_an_invitation_by_a_token_ends_with_the_token() {
    let world = World::new().await;
    let store = &world.db.store;
    let token = world.db.token("acme", Role::Admin, "machine").await;
    let machine = world.db.caller(&token).await.unwrap();
    let row = invite(store, &machine, BEA, Role::Viewer).await;
    row.unwrap();
    let secret = delivered(store).await.unwrap().secret;
    assert!(look(store, "acme", &secret).await.is_ok());
    admin::revoke_token(store, &name("acme"), "machine")
        .await
        .unwrap();
    assert!(is_unusable(&accept(store, "acme", &secret, BEA).await));
    // Nobody gets a mail with a link that leads to nothing, and nobody answers for what was made before that was noted.
    let owner = owner(&world).await;
    let row = invite(store, &owner, "dan@example.com", Role::Viewer).await;
    row.unwrap();
    sqlx::query("update heddle.invitations set inviter_id = null, token_id = null")
        .execute(&world.db.superuser().await)
        .await
        .unwrap();
    assert!(delivered(store).await.is_none());
}

#[tokio::test]
async fn sec_w10_an_invitation_ends_when_there_is_such_a_member_however_it_came_to_be() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    for by_admin in [true, false] {
        let row = invite(store, &owner, BEA, Role::Owner).await;
        row.unwrap();
        let secret = delivered(store).await.unwrap().secret;
        if by_admin {
            world.member(BEA, Role::Viewer).await;
        } else {
            let mut tx = store.begin(&grant::<MemberWrite>(&owner)).await.unwrap();
            let new = members::NewMember {
                email: email(BEA),
                display_name: None,
                password_hash: None,
                role: None,
            };
            let _ = members::create(&mut tx, &new).await.unwrap();
            tx.commit().await.unwrap();
        }
        assert_eq!(listed(store, &owner).await, []);
        assert!(is_unusable(&accept(store, "acme", &secret, BEA).await));
        // Whoever is removed does not come back by it.
        remove(&world, &owner, BEA).await;
        assert!(is_unusable(&accept(store, "acme", &secret, BEA).await));
    }
    let count: i64 = sqlx::query_scalar(
        "select count(*) from heddle.changes where kind = 'invitation' and action = 'withdraw'",
    )
    .fetch_one(&world.db.superuser().await)
    .await
    .unwrap();
    assert_eq!(count, 2);
}

#[tokio::test]
async fn sec_w10_whoever_is_removed_takes_an_invitation_along() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let row = invite(store, &owner, "cleo@example.com", Role::Owner).await;
    row.unwrap();
    let secret = delivered(store).await.unwrap().secret;
    // As it may be after a release that knew nothing of this.
    sqlx::query(
        "insert into heddle.principals (org_id, id, kind, name, created_at, created_by) \
         select org_id, gen_random_uuid(), 'member', email, created_at, 'test' from heddle.invitations",
    )
    .execute(&world.db.superuser().await)
    .await
    .unwrap();
    remove(&world, &owner, "cleo@example.com").await;
    let back = accept(store, "acme", &secret, "cleo@example.com").await;
    assert!(is_unusable(&back));
}

#[tokio::test]
async fn sec_a10_a_good_link_is_let_in_however_many_bad_ones_come_from_the_same_place() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let row = invite(store, &owner, BEA, Role::Viewer).await;
    row.unwrap();
    let secret = delivered(store).await.unwrap().secret;
    // Looking at it costs nothing.
    for _ in 0..100 {
        assert!(look(store, "acme", &secret).await.is_ok());
    }
    let bad = SecretString::from("heddle_inv_none");
    let mut tried = 0;
    while is_unusable(&look(store, "acme", &bad).await) {
        tried += 1;
        assert!(tried <= 60);
    }
    assert_eq!(tried, 60);
    let bad = look(store, "acme", &bad).await;
    assert!(matches!(bad, Err(invitations::Refused::Wait(_))), "{bad:?}");
    assert!(look(store, "acme", &secret).await.is_ok());
    assert!(accept(store, "acme", &secret, BEA).await.is_ok());
}

#[tokio::test]
async fn sec_a10_an_address_is_sent_so_many_invitations_by_whomever() {
    let world = World::new().await;
    let store = &world.db.store;
    let callers = [owner(&world).await, world.db.owner("rival").await];
    let mut sent = 0;
    let wait = 'sending: loop {
        for caller in &callers {
            let mut tx = store.begin(&grant::<MemberWrite>(caller)).await.unwrap();
            let made = invitations::create(&mut tx, &email(BEA), Role::Viewer).await;
            match made.unwrap() {
                Ok(row) => {
                    sent += 1;
                    invitations::withdraw(&mut tx, row.id).await.unwrap();
                    tx.commit().await.unwrap();
                }
                Err(wait) => break 'sending wait,
            }
            assert!(sent < 10);
        }
    };
    assert_eq!(sent, 5);
    assert!(wait.0 <= TimeDelta::minutes(5));
    let other = invite(store, &callers[0], "dan@example.com", Role::Viewer).await;
    assert!(other.is_ok());
}

#[tokio::test]
async fn sending_again_takes_the_organisation_before_the_invitation() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let row = invite(store, &owner, BEA, Role::Viewer).await.unwrap();
    let superuser = world.db.superuser().await;
    // As whoever accepts does.
    let mut accepting = superuser.begin().await.unwrap();
    sqlx::query("select from heddle.orgs for no key update")
        .execute(&mut *accepting)
        .await
        .unwrap();
    let (other, by) = (store.clone(), owner.clone());
    let sending = tokio::spawn(async move { again(&other, &by, row.id).await });
    loop {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where wait_event_type = 'Lock' \
                            and datname = current_database())",
        )
        .fetch_one(&superuser)
        .await
        .unwrap();
        if waits {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    sqlx::query("select from heddle.invitations for no key update nowait")
        .execute(&mut *accepting)
        .await
        .expect("nobody has it who waits for the organisation");
    accepting.commit().await.unwrap();
    assert!(sending.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_nobody_sends_is_forgotten_and_shown_as_failed() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let row = invite(store, &owner, BEA, Role::Viewer).await;
    assert_eq!(row.unwrap().delivery, Some(Delivery::Queued));
    world.db.clock.advance(TimeDelta::days(7));
    let shown = listed(store, &owner).await;
    assert_eq!(shown[0].delivery, Some(Delivery::Failed));
    let left = async || -> i64 {
        sqlx::query_scalar("select count(*) from heddle.mail_turns")
            .fetch_one(&world.db.superuser().await)
            .await
            .unwrap()
    };
    world.db.clock.advance(TimeDelta::days(22));
    mails::forget(store).await.unwrap();
    assert_eq!(left().await, 1);
    world.db.clock.advance(TimeDelta::days(2));
    mails::forget(store).await.unwrap();
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn what_was_given_up_is_not_sent_afterwards_and_says_why_in_few_words() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let row = invite(store, &owner, BEA, Role::Viewer).await;
    row.unwrap();
    let slow = mails::take(store).await.unwrap().unwrap();
    world.db.clock.advance(TimeDelta::days(1));
    let turn = mails::take(store).await.unwrap().unwrap();
    let said = format!("550 5.7.1\u{1b}[31m\r\n{}", "x".repeat(5000));
    let _ = mails::failed(store, &turn, &said).await.unwrap();
    mails::sent(store, &slow).await.unwrap();
    let shown = listed(store, &owner).await;
    assert_eq!(shown[0].delivery, Some(Delivery::Failed));
    let reason: String = sqlx::query_scalar(
        "select after->>'reason' from heddle.changes where kind = 'mail' and action = 'send'",
    )
    .fetch_one(&world.db.superuser().await)
    .await
    .unwrap();
    assert_eq!(reason.len(), 200);
    assert!(!reason.contains(char::is_control));
}

#[tokio::test]
async fn sec_a10_strangers_from_everywhere_share_one_measure() {
    let world = World::new().await;
    let mut asked = 0;
    for n in 0..11_000_u32 {
        let from = Visitor {
            client: None,
            ip: Some(n.to_be_bytes().into()),
        };
        let who = email(&format!("x{n}@example.com"));
        let who = ("nowhere", &who);
        let done = heddle_store::password_resets::ask(&world.db.store, who, &from);
        asked += u32::from(done.await.unwrap().is_ok());
    }
    assert_eq!(asked, 600);
}
