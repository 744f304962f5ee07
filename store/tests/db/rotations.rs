//! Rotations of a mesh's authorities: the states, and who takes a step.

mod field;
mod gates;
mod walk;

pub(crate) use field::Maker;
use field::{Field, new};

use chrono::TimeDelta;
use heddle_model::authz::permission::MeshWrite;
use heddle_model::id::AuthorityId;
use heddle_store::authorities::{self, AuthorityKind, AuthorityRow, AuthorityState};
use heddle_store::authority_requests::Adopted;
use heddle_store::meshes;
use heddle_store::rotations::{
    self, AuthorityMaker as _, Mode, NewRotation, Refused, RotationRow, State, What,
};

use crate::proxies::world;
use crate::support::grant;

#[tokio::test]
async fn spiffe_s51_a_root_goes_through_every_state_and_a_new_process_goes_on_from_each() {
    let field = Field::new(&[]).await;
    let before = field.trust().await;
    assert_eq!((before.1, before.2), (1, false));
    let rotation = field.start(new(What::Root, Mode::Planned)).await.unwrap();
    assert_eq!((rotation.state, rotation.generation), (State::Prepared, 1));
    assert_eq!(field.trust().await, before, "nobody knows of it");
    let new = Some(rotation.issuing);
    let expected = [
        (State::Published, (before.0, 2, false)),
        (State::Active, (new, 2, false)),
        (State::Retiring, (new, 2, true)),
        (State::Removed, (new, 1, true)),
    ];
    for (n, (state, trust)) in (2..).zip(expected) {
        // What a killed process leaves behind is the row, and whatever it had begun is undone.
        let store = field.restarted().await;
        let step = rotations::step(&store, &field.mesh).await.unwrap().unwrap();
        assert_eq!((step.state, step.generation), (state, n));
        assert_eq!(step.revision, rotation.revision + n - 1, "a revision each");
        assert_eq!(field.trust().await, trust, "{state:?}");
    }
    assert_eq!(field.step().await, None, "it has ended");
    let counted: Vec<(i64, i64, i64)> = sqlx::query_as(
        "select added, changed, removed from heddle.revisions where revision >= $1 order by revision",
    )
    .bind(rotation.revision.cast_signed())
    .fetch_all(&field.db.superuser().await)
    .await
    .unwrap();
    assert_eq!(counted, [(0, 0, 0); 5], "no object was changed");
    let states: Vec<String> =
        sqlx::query_scalar("select state from heddle.authorities order by id")
            .fetch_all(&field.db.superuser().await)
            .await
            .unwrap();
    assert_eq!(states, ["removed", "removed", "active", "active"]);
}

#[tokio::test]
async fn spiffe_s51_an_intermediate_follows_under_the_same_root() {
    let field = Field::new(&[]).await;
    let before = field.trust().await;
    let rotation = field
        .start(new(What::Intermediate, Mode::Planned))
        .await
        .unwrap();
    assert_eq!(rotation.root, None);
    field.until(State::Removed).await;
    assert_eq!(field.trust().await, (Some(rotation.issuing), 1, true));
    let rows = authorities::load(&field.db.store, &field.mesh)
        .await
        .unwrap();
    let signs = authorities::issuing(&rows).unwrap();
    let root = authorities::root_of(&rows, signs).unwrap();
    assert_eq!(root.kind, AuthorityKind::Root);
    assert_ne!(before.0, Some(signs.id));
    // And once more, from there.
    field
        .start(new(What::Intermediate, Mode::Planned))
        .await
        .unwrap();
    field.until(State::Removed).await;
    assert_eq!(field.trust().await.1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s51_of_servers_that_take_a_step_at_once_one_does() {
    let field = Field::new(&[("payments", "a")]).await;
    let rotation = field.start(new(What::Root, Mode::Planned)).await.unwrap();
    // It has not what comes next, so there is one step and no second.
    field
        .says(field.proxies[0], true, rotation.revision, None)
        .await;
    let mut servers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, mesh) = (field.db.store.clone(), field.mesh);
        servers.spawn(async move { rotations::step(&store, &mesh).await.unwrap() });
    }
    let steps: Vec<RotationRow> = servers.join_all().await.into_iter().flatten().collect();
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!((steps[0].state, steps[0].generation), (State::Published, 2));
    let other = field.start(new(What::Intermediate, Mode::Planned)).await;
    assert_eq!(other, Err(Refused::UnderWay(rotation.id)));
}

#[tokio::test]
async fn spiffe_s51_it_is_turned_round_from_every_state_until_the_old_root_is_dropped() {
    let field = Field::new(&[("payments", "a")]).await;
    let before = field.trust().await;
    for state in [
        State::Prepared,
        State::Published,
        State::Active,
        State::Retiring,
    ] {
        let proxy = field.proxies[0];
        let mut rotation = field.start(new(What::Root, Mode::Planned)).await.unwrap();
        while rotation.state != state {
            field.says(proxy, true, rotation.revision, None).await;
            rotation = field.step().await.unwrap();
        }
        let has_signed = matches!(state, State::Active | State::Retiring);
        if has_signed {
            let leaf = field.issue(proxy, rotation.issuing).await;
            field.says(proxy, true, rotation.revision, leaf).await;
        }
        let turned = field.reverse(rotation.id).await.unwrap();
        assert!(turned.reversing);
        assert_eq!(field.trust().await.0, before.0, "the old one signs");
        assert_eq!(field.issue(proxy, rotation.issuing).await, None);
        if has_signed {
            assert_eq!(turned.state, State::Published);
            assert_eq!(field.trust().await.1, 2, "its leaf is still about");
            assert_eq!(field.step().await, None, "so it waits");
            let again = field.reverse(rotation.id).await;
            assert_eq!(again, Err(Refused::Reversing));
            let leaf = field.issue(proxy, before.0.unwrap()).await;
            assert!(leaf.is_some());
            field.says(proxy, true, turned.revision, leaf).await;
            assert_eq!(field.step().await.unwrap().state, State::Cancelled);
        } else {
            assert_eq!(turned.state, State::Cancelled);
        }
        assert_eq!(field.trust().await.1, 1, "{state:?}");
        assert_eq!(field.step().await, None);
    }
    // Dropped is dropped.
    let rotation = field.start(new(What::Root, Mode::BreakTrust)).await;
    let late = field.reverse(rotation.unwrap().id).await;
    assert_eq!(late, Err(Refused::Ended(State::Removed)));
}

#[tokio::test]
async fn what_followed_the_new_one_by_itself_gives_way_with_it() {
    let field = Field::new(&[]).await;
    let before = field.trust().await;
    let rotation = field.start(new(What::Root, Mode::Planned)).await.unwrap();
    field.until(State::Active).await;
    let rows = authorities::load(&field.db.store, &field.mesh)
        .await
        .unwrap();
    let signs = authorities::issuing(&rows).unwrap();
    let root = authorities::root_of(&rows, signs).unwrap();
    let mut successor = field.maker.issuing(&field.mesh, root, signs).await.unwrap();
    successor.not_after += TimeDelta::days(83);
    authorities::renew(&field.db.store, &field.mesh, signs.id, &successor)
        .await
        .unwrap();
    assert_eq!(field.trust().await.0, Some(successor.id));
    field.reverse(rotation.id).await.unwrap();
    assert_eq!(field.trust().await.0, before.0);
    assert_eq!(field.step().await.unwrap().state, State::Cancelled);
    let (rows, _) = rotations::trust(&field.db.store, &field.mesh)
        .await
        .unwrap();
    let left = rows
        .iter()
        .filter(|row| row.state == AuthorityState::Active);
    assert_eq!(left.count(), 2, "what was there before");
}

#[tokio::test]
async fn spiffe_s58_in_an_emergency_only_those_are_waited_for_that_are_connected() {
    let field = Field::new(&[("payments", "a"), ("payments", "b")]).await;
    let [near, away] = field.proxies[..] else {
        panic!("two")
    };
    let old = field.trust().await.0.unwrap();
    for (proxy, connected) in [(near, true), (away, false)] {
        let leaf = field.issue(proxy, old).await;
        field.says(proxy, connected, 2, leaf).await;
    }
    field.start(new(What::Root, Mode::Emergency)).await.unwrap();
    let mut row = field.step().await.unwrap();
    assert_eq!(field.step().await, None, "the one that is connected");
    while row.state != State::Retiring {
        field.says(near, true, row.revision, None).await;
        row = field.step().await.unwrap();
    }
    assert_eq!(field.step().await, None);
    let leaf = field.issue(near, row.issuing).await;
    field.says(near, true, row.revision, leaf).await;
    let counts = field.counts(&row).await;
    assert_eq!((counts.offline, counts.waiting_for), (1, 0), "it is listed");
    assert_eq!(field.step().await.unwrap().state, State::Removed);
}

#[tokio::test]
async fn spiffe_s58_trust_is_broken_in_one_call() {
    let field = Field::new(&[("payments", "a")]).await;
    let proxy = field.proxies[0];
    let old = field.trust().await.0.unwrap();
    let leaf = field.issue(proxy, old).await;
    field.says(proxy, true, 2, leaf).await;
    let rotation = field
        .start(new(What::Root, Mode::BreakTrust))
        .await
        .unwrap();
    assert_eq!(rotation.state, State::Removed);
    assert_eq!(field.trust().await, (Some(rotation.issuing), 1, true));
    assert_eq!(field.issue(proxy, old).await, None);
    assert_eq!(field.counts(&rotation).await.pending, 1, "readable still");
    assert!(field.issue(proxy, rotation.issuing).await.is_some());
    assert_eq!(field.step().await, None);
}

#[tokio::test]
async fn a_manual_rotation_waits_for_somebody_and_can_be_forced() {
    let field = Field::new(&[("payments", "a")]).await;
    field.says(field.proxies[0], true, 2, None).await;
    let manual = NewRotation {
        manual: true,
        ..new(What::Root, Mode::Planned)
    };
    let rotation = field.start(manual).await.unwrap();
    assert_eq!(field.step().await, None);
    let published = field.advance(rotation.id, false).await.unwrap();
    assert_eq!(published.state, State::Published);
    let refused = field.advance(rotation.id, false).await;
    assert!(matches!(refused, Err(Refused::Waits(c)) if c.pending == 1));
    let active = field.advance(rotation.id, true).await.unwrap();
    assert_eq!(active.state, State::Active);
}

#[tokio::test]
async fn what_somebody_else_signed_does_not_sign_once_its_end_is_near() {
    let field = Field::new(&[]).await;
    let before = field.trust().await;
    let mut rows: [AuthorityRow; 2] = crate::authorities::hierarchy(77).try_into().unwrap();
    rows[0].sealed_key = Vec::new();
    rows[1].not_after = field.db.store_now() + TimeDelta::hours(80);
    let grant = grant::<MeshWrite>(&field.owner);
    let mut tx = field.db.store.begin(&grant).await.unwrap();
    let mesh = field.mesh.mesh().to_string();
    let mesh = meshes::require(&mut tx, &mesh).await.unwrap();
    let new = new(What::Root, Mode::Planned);
    let begun = rotations::start(&mut tx, &mesh, &new, &Adopted(rows.clone())).await;
    let begun = begun.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(field.step().await.unwrap().state, State::Published);
    field.db.clock.advance(TimeDelta::hours(9));
    assert_eq!(field.step().await, None);
    let refused = field.advance(begun.id, false).await;
    assert_eq!(refused, Err(Refused::TooLate(rows[1].not_after)));
    assert_eq!(field.trust().await.0, before.0, "what was there signs on");
    assert_eq!(
        field.reverse(begun.id).await.unwrap().state,
        State::Cancelled
    );
    // The same root again, in time.
    rows[0].id = AuthorityId::from_uuid(uuid::Uuid::from_u128(900));
    rows[1].id = AuthorityId::from_uuid(uuid::Uuid::from_u128(901));
    rows[1].parent = Some(rows[0].id);
    rows[1].not_after = field.db.store_now() + TimeDelta::days(90);
    let mut tx = field.db.store.begin(&grant).await.unwrap();
    let again = rotations::start(&mut tx, &mesh, &new, &Adopted(rows.clone())).await;
    again.unwrap().unwrap();
    tx.commit().await.unwrap();
    field.until(State::Removed).await;
    assert_eq!(field.trust().await, (Some(rows[1].id), 1, true));
}

#[tokio::test]
async fn a_mesh_without_authorities_has_nothing_to_replace() {
    let (db, owner, mesh, _) = world(&[]).await;
    let mut tx = db.store.begin(&grant::<MeshWrite>(&owner)).await.unwrap();
    let row = meshes::require(&mut tx, &mesh.mesh().to_string())
        .await
        .unwrap();
    let new = new(What::Root, Mode::Planned);
    let refused = rotations::start(&mut tx, &row, &new, &Maker::new()).await;
    assert_eq!(refused.unwrap(), Err(Refused::NothingThere));
}
