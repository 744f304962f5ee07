//! Invitations: who may send one, what its link opens, for whom, and for how long.

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::Role;
use heddle_model::authz::permission::{MemberRead, MemberWrite};
use heddle_model::email::Email;
use heddle_model::id::InvitationId;
use heddle_model::name::Name;
use heddle_store::invitations::{self, Delivery, InvitationRow, NewAccount, Refused, State};
use heddle_store::mails::{self, About, Letter};
use heddle_store::{Caller, Error, PrincipalRow, Store, Unusable, Visitor};
use secrecy::SecretString;

use crate::sessions::{PASSWORD, World};
use crate::support::grant;

pub(crate) fn email(text: &str) -> Email {
    text.parse().unwrap()
}

pub(crate) async fn invite(
    store: &Store,
    caller: &Caller,
    to: &str,
    role: Role,
) -> Result<InvitationRow, Error> {
    let mut tx = store.begin(&grant::<MemberWrite>(caller)).await?;
    let row = invitations::create(&mut tx, &email(to), role).await?;
    tx.commit().await?;
    Ok(row.unwrap())
}

pub(crate) async fn again(
    store: &Store,
    caller: &Caller,
    id: InvitationId,
) -> Result<InvitationRow, Error> {
    let mut tx = store.begin(&grant::<MemberWrite>(caller)).await?;
    let row = invitations::send_again(&mut tx, id).await?;
    tx.commit().await?;
    Ok(row.unwrap())
}

async fn withdraw(store: &Store, caller: &Caller, id: InvitationId) -> Result<(), Error> {
    let mut tx = store.begin(&grant::<MemberWrite>(caller)).await?;
    invitations::withdraw(&mut tx, id).await?;
    tx.commit().await?;
    Ok(())
}

pub(crate) async fn listed(store: &Store, caller: &Caller) -> Vec<InvitationRow> {
    let mut tx = store.begin(&grant::<MemberRead>(caller)).await.unwrap();
    invitations::page(&mut tx, None, 10).await.unwrap()
}

/// A mail with a link.
pub(crate) struct Delivered {
    pub(crate) to: Email,
    pub(crate) org: Name,
    /// The role, for an invitation.
    pub(crate) role: Option<Role>,
    pub(crate) secret: SecretString,
    pub(crate) expires_at: DateTime<Utc>,
}

/// The link of a letter; none in what only tells something.
pub(crate) fn with_link(letter: Letter) -> Option<Delivered> {
    let (role, link) = match letter.about {
        About::PasswordReset(link) => (None, link),
        About::Invitation { role, link } => (Some(role), link),
        About::Notice { .. } | About::WebhookDisabled { .. } => return None,
    };
    Some(Delivered {
        to: letter.to,
        org: letter.org,
        role,
        secret: link.secret,
        expires_at: link.expires_at,
    })
}

/// The next mail with a link that is due, as it is sent.
pub(crate) async fn delivered(store: &Store) -> Option<Delivered> {
    loop {
        let turn = mails::take(store).await.unwrap()?;
        let letter = mails::open(store, &turn).await.unwrap()?;
        mails::sent(store, &turn).await.unwrap();
        if let Some(delivered) = with_link(letter) {
            return Some(delivered);
        }
    }
}

/// Somebody who was invited: the secret of the link that was sent.
pub(crate) async fn invited(store: &Store, caller: &Caller) -> SecretString {
    let row = invite(store, caller, "bea@example.com", Role::Viewer).await;
    row.unwrap();
    delivered(store).await.unwrap().secret
}

pub(crate) async fn accept(
    store: &Store,
    org: &str,
    secret: &SecretString,
    who: &str,
) -> Result<PrincipalRow, Refused> {
    let who = email(who);
    let new = NewAccount {
        email: &who,
        display_name: Some("Bea"),
        password: SecretString::from(PASSWORD),
    };
    let from = Visitor::default();
    invitations::accept(store, (org, secret), new, &from)
        .await
        .unwrap()
}

pub(crate) async fn look(
    store: &Store,
    org: &str,
    secret: &SecretString,
) -> Result<InvitationRow, Refused> {
    invitations::look(store, (org, secret), &Visitor::default())
        .await
        .unwrap()
}

pub(crate) fn is_unusable<T>(result: &Result<T, Refused>) -> bool {
    matches!(result, Err(Refused::Link(Unusable)))
}

pub(crate) async fn owner(world: &World) -> Caller {
    let token = world.db.token("acme", Role::Owner, "inviting").await;
    world.db.caller(&token).await.unwrap()
}

#[tokio::test]
async fn sec_w10_an_invitation_makes_one_member_with_its_role() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let row = invite(store, &owner, "Bea@example.com", Role::Developer).await;
    let row = row.unwrap();
    assert_eq!(
        (row.state, row.delivery),
        (State::Pending, Some(Delivery::Queued))
    );
    let letter = delivered(store).await.unwrap();
    assert_eq!(letter.to.as_str(), "bea@example.com");
    let role = Role::Developer;
    assert_eq!(letter.role, Some(role));
    assert_eq!(letter.expires_at, row.expires_at);
    assert_eq!(
        listed(store, &owner).await[0].delivery,
        Some(Delivery::Sent)
    );

    let seen = look(store, "acme", &letter.secret).await.unwrap();
    assert_eq!((seen.email.as_str(), seen.role), ("bea@example.com", role));
    let other = accept(store, "acme", &letter.secret, "eve@example.com").await;
    assert_eq!(other.unwrap_err(), Refused::Address);
    world.db.org("rival").await;
    for org in ["rival", "nowhere", "Acme!"] {
        let elsewhere = accept(store, org, &letter.secret, "bea@example.com").await;
        assert!(is_unusable(&elsewhere), "{org}");
        assert!(is_unusable(&look(store, org, &letter.secret).await));
    }
    let bea = accept(store, "acme", &letter.secret, "bea@example.com").await;
    let bea = bea.unwrap();
    assert_eq!(bea.display_name.as_deref(), Some("Bea"));
    assert_eq!(bea.bound.len(), 1);
    assert_eq!((bea.bound[0].role, bea.bound[0].mesh), (role, None));
    let signed = world.try_sign_in("acme", "bea@example.com", PASSWORD).await;
    assert!(signed.is_ok());
    let reused = accept(store, "acme", &letter.secret, "bea@example.com").await;
    assert!(is_unusable(&reused));
    assert_eq!(listed(store, &owner).await, []);
    let mut tx = store.begin(&grant::<MemberRead>(&owner)).await.unwrap();
    let found = invitations::find(&mut tx, &row.id.to_string())
        .await
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found.state, State::Accepted);
    assert_eq!(
        found.member.map(heddle_model::id::MemberId::uuid),
        Some(bea.id.uuid())
    );
    drop(tx);
    assert!(matches!(
        withdraw(store, &owner, row.id).await,
        Err(Error::NotFound)
    ));
    assert!(matches!(
        again(store, &owner, row.id).await,
        Err(Error::NotFound)
    ));
}

#[tokio::test]
async fn sec_w10_a_withdrawn_expired_or_replaced_link_leads_to_nothing() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let row = invite(store, &owner, "bea@example.com", Role::Viewer).await;
    let row = row.unwrap();
    let first = delivered(store).await.unwrap();
    // Sent again: the first one is void.
    let _ = again(store, &owner, row.id).await.unwrap();
    let second = delivered(store).await.unwrap();
    assert!(is_unusable(&look(store, "acme", &first.secret).await));
    assert!(look(store, "acme", &second.secret).await.is_ok());
    // Seven days.
    world.db.clock.advance(TimeDelta::days(7));
    let late = accept(store, "acme", &second.secret, "bea@example.com").await;
    assert!(is_unusable(&late));
    assert_eq!(listed(store, &owner).await[0].state, State::Expired);
    let taken = invite(store, &owner, "bea@example.com", Role::Viewer).await;
    let Err(Error::AlreadyExists { constraint }) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(constraint, "invitations_email_key");
    let renewed = again(store, &owner, row.id).await.unwrap();
    assert_eq!(renewed.state, State::Pending);
    let third = delivered(store).await.unwrap();
    assert!(look(store, "acme", &third.secret).await.is_ok());
    withdraw(store, &owner, row.id).await.unwrap();
    let gone = accept(store, "acme", &third.secret, "bea@example.com").await;
    assert!(is_unusable(&gone));
    assert!(matches!(
        withdraw(store, &owner, row.id).await,
        Err(Error::NotFound)
    ));
    // A mail that was still to be sent is not.
    let row = invite(store, &owner, "bea@example.com", Role::Viewer).await;
    withdraw(store, &owner, row.unwrap().id).await.unwrap();
    assert!(delivered(store).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_w10_of_fifty_who_accept_at_once_one_becomes_a_member() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let _ = invite(store, &owner, "bea@example.com", Role::Viewer)
        .await
        .unwrap();
    let secret = delivered(store).await.unwrap().secret;
    let who = email("bea@example.com");
    let all = (0..50).map(|_| {
        let new = NewAccount {
            email: &who,
            display_name: None,
            password: SecretString::from(PASSWORD),
        };
        let from = Visitor::default();
        let secret = &secret;
        async move { invitations::accept(store, ("acme", secret), new, &from).await }
    });
    let mut made = 0;
    for one in futures::future::join_all(all).await {
        match one {
            Ok(Ok(_)) => made += 1,
            Ok(Err(Refused::Link(_))) | Err(Error::Busy) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
    let members: i64 = sqlx::query_scalar(
        "select count(*) from heddle.principals where kind = 'member' and name = 'bea@example.com'",
    )
    .fetch_one(&world.db.superuser().await)
    .await
    .unwrap();
    assert_eq!(members, 1);
}

#[tokio::test]
async fn sec_w08_nobody_invites_to_more_than_they_have() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let admin = world.db.token("acme", Role::Admin, "admin").await;
    let admin = world.db.caller(&admin).await.unwrap();
    let refused = invite(store, &admin, "bea@example.com", Role::Owner).await;
    assert!(matches!(refused, Err(Error::Escalation)), "{refused:?}");
    let row = invite(store, &owner, "bea@example.com", Role::Owner).await;
    let refused = again(store, &admin, row.unwrap().id).await;
    assert!(matches!(refused, Err(Error::Escalation)), "{refused:?}");
    let _ = invite(store, &admin, "cleo@example.com", Role::Admin)
        .await
        .unwrap();
    for role in [Role::Operator, Role::Developer, Role::Viewer] {
        let token = world.db.token("acme", role, role.as_str()).await;
        let caller = world.db.caller(&token).await.unwrap();
        assert!(caller.grant::<MemberWrite>("-").is_err(), "{role:?}");
    }
    // Another organisation sees nothing of it.
    let rival = world.db.owner("rival").await;
    assert_eq!(listed(store, &rival).await, []);
    let id = listed(store, &owner).await[0].id;
    assert!(matches!(
        withdraw(store, &rival, id).await,
        Err(Error::NotFound)
    ));
    let mut tx = store.begin(&grant::<MemberRead>(&rival)).await.unwrap();
    assert!(
        invitations::find(&mut tx, &id.to_string())
            .await
            .unwrap()
            .is_none()
    );
    drop(tx);
    // A session that was left open invites nobody.
    let signed = world.sign_in().await;
    world.db.clock.advance(TimeDelta::minutes(6));
    let ada = world.caller(&signed).await.unwrap();
    let stale = invite(store, &ada, "dan@example.com", Role::Viewer).await;
    assert!(matches!(stale, Err(Error::SignInAgain)), "{stale:?}");
}

#[tokio::test]
async fn a_member_is_not_invited() {
    let world = World::new().await;
    let store = &world.db.store;
    let owner = owner(&world).await;
    let there = invite(store, &owner, "ada@example.com", Role::Viewer).await;
    let Err(Error::AlreadyExists { constraint }) = there else {
        panic!("{there:?}");
    };
    assert_eq!(constraint, "principals_name_key");
    // Neither is one who became a member without anybody having noticed.
    let row = invite(store, &owner, "bea@example.com", Role::Viewer).await;
    sqlx::query(
        "insert into heddle.principals (org_id, id, kind, name, created_at, created_by) \
         select org_id, gen_random_uuid(), 'member', email, created_at, 'test' from heddle.invitations",
    )
    .execute(&world.db.superuser().await)
    .await
    .unwrap();
    let there = again(store, &owner, row.unwrap().id).await;
    let Err(Error::AlreadyExists { constraint }) = there else {
        panic!("{there:?}");
    };
    assert_eq!(constraint, "principals_name_key");
}
