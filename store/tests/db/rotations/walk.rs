//! Rotations at random: whatever is done to them, somebody is trusted.

use heddle_store::authorities::{self, AuthorityState};
use heddle_store::rotations::{Mode, What};

use super::field::{Field, new};

/// Drawn the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

/// The bundle of a mesh: its sequence, and the roots in it. Some root is in it, and the one under which leaves are signed is.
async fn bundle(field: &Field) -> (u64, Vec<String>) {
    let rows = authorities::load(&field.db.store, &field.mesh)
        .await
        .unwrap();
    let roots: Vec<_> = authorities::trusted(&rows).collect();
    let signs = authorities::issuing(&rows).expect("somebody signs");
    let root = authorities::root_of(&rows, signs).expect("it has a root");
    assert_ne!(root.state, AuthorityState::Removed);
    assert!(roots.contains(&root), "{roots:?} without {root:?}");
    let ids = roots.iter().map(|root| root.id.to_string()).collect();
    (authorities::sequence(&rows), ids)
}

#[tokio::test]
async fn spiffe_s20_s23_no_step_leaves_a_mesh_without_roots_and_each_change_of_them_is_counted() {
    let seed = 20_261_127;
    let mut random = Random(seed);
    let field = Field::new(&[]).await;
    let (mut before, mut changes) = (bundle(&field).await, 0);
    let mut id = None;
    for nth in 0..300 {
        let done = match (random.below(6), id) {
            (0 | 1, _) => {
                let what = [What::Root, What::Intermediate][usize::from(random.below(3) == 0)];
                let mode = match (random.below(4), what) {
                    (0, What::Root) => Mode::BreakTrust,
                    (1, _) => Mode::Emergency,
                    _ => Mode::Planned,
                };
                let started = field.start(new(what, mode)).await;
                id = started.as_ref().map(|row| Some(row.id)).unwrap_or(id);
                format!("start {what:?} {mode:?}: {started:?}")
            }
            (2, Some(id)) => format!("reverse: {:?}", field.reverse(id).await),
            (3, Some(id)) => format!("force: {:?}", field.advance(id, true).await),
            _ => format!("step: {:?}", field.step().await),
        };
        let after = bundle(&field).await;
        assert!(after.0 >= before.0, "seed {seed}, {nth}: {done}");
        if after.1 != before.1 {
            assert!(after.0 > before.0, "seed {seed}, {nth}: {done}");
            changes += 1;
        }
        before = after;
    }
    assert!(changes > 20, "{changes}");
}
